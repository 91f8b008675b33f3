"""`tutelage chat MODEL`: a chat in the terminal or on a local page, or questions through a pipe."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tutelage.chat import (
    ChatSession,
    ChatSettings,
    TerminalChat,
    load_responders,
    piped_inputs,
    typed_inputs,
)
from tutelage.cli import console
from tutelage.core.errors import InputError


def chat(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A run, hub id, folder, .gguf file, or bundled name.")
    ],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="MODEL",
            help="A second model to compare; `base`: what MODEL was tuned from.",
        ),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.")] = None,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", metavar="N", min=1, help="The most tokens of an answer.")
    ] = 256,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature",
            min=0.0,
            max=5.0,
            help="0 takes the likeliest token; above 0, tokens are sampled.",
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sampling.")] = 0,
    chat_template: Annotated[
        str | None,
        typer.Option(
            "--chat-template",
            metavar="NAME",
            help="A bundled chat template or a file; default: the model's own.",
        ),
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="Chat on a page in the browser, which only this machine can reach.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            min=1024,
            max=65535,
            help="Port of the page, with --web; default: any free one.",
        ),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Talk to a model; answers are shown as they are generated. Ctrl-C stops an answer, /help lists the commands.

    Through a pipe every line is a question. With --json the whole conversation is printed when it ends.
    """
    from tutelage.tokens.chat_templates import template_text

    if port is not None and not web:
        raise InputError("--port belongs to --web", where="--port", found=str(port), fix="add --web")
    template = None if chat_template is None else template_text(chat_template, root=Path.cwd())
    responders = load_responders(model, against=against, chat_template=template, say=console.say)
    session = ChatSession(responders, ChatSettings(max_new_tokens, temperature, seed, system))
    if web:
        _serve_page(session, port or 0)
    else:
        _run_terminal(session, model, show=not json)
    if json:
        console.print_json(session.as_json())


def _serve_page(session: ChatSession, port: int) -> None:
    """Serve the page until Ctrl-C."""
    import asyncio

    from tutelage.chat import web

    def ready(address: str) -> None:
        console.show(f"Open {address} in a browser of this machine. Ctrl-C ends.")

    with suppress(KeyboardInterrupt):
        asyncio.run(web.serve(session, ready=ready, port=port))


def _run_terminal(session: ChatSession, model: str, *, show: bool) -> None:
    """Chat with a person, or answer what comes through a pipe."""
    interactive = sys.stdin.isatty()
    drawn = None
    if interactive and sys.stdout.isatty():
        drawn = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    terminal = TerminalChat(
        session, out=sys.stdout, interactive=interactive, show=interactive or show, console=drawn
    )
    if interactive:
        _edit_lines()
        console.show(f"Talking to {model}. /help lists the commands, Ctrl-D ends.")
    terminal.run(typed_inputs(input, console.show) if interactive else piped_inputs(sys.stdin.buffer))


def _edit_lines() -> None:
    """Give `input` arrow keys and a history in memory, if Python was built with them; a pasted text stays one question."""
    try:
        import readline
    except ImportError:
        console.say("(this Python has no readline: lines cannot be edited)")
    else:
        readline.parse_and_bind("set enable-bracketed-paste on")
