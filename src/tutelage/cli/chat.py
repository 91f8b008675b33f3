"""`tutelage chat MODEL`: a conversation in the terminal or on a local page, or questions through a pipe."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError

if TYPE_CHECKING:
    from tutelage.chat import ChatSession


def chat(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A run, hub id, folder, .gguf file, or bundled name.")
    ],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="MODEL",
            help="A second model that answers too; `base`: what MODEL was tuned from.",
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="The system prompt to begin with.")
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", metavar="N", min=1, help="The most tokens of an answer.")
    ] = 256,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", min=0.0, max=5.0, help="0 takes the likeliest token; above, tokens are drawn."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    chat_template: Annotated[
        str | None,
        typer.Option(
            "--chat-template", metavar="NAME", help="A bundled chat template or a file; else the model's own."
        ),
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="On a page in the browser, which only this machine can reach.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", min=1024, max=65535, help="Of the page, with --web; else any free one."
        ),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Talk to a model; answers come as they are made. Ctrl-C stops an answer, /help lists the commands.

    Through a pipe every line is a question. With --json the whole talk is printed when it ends.
    """
    from tutelage.chat import ChatSettings, ChatSession, responders
    from tutelage.tokens.chat_templates import template_text

    if port is not None and not web:
        raise InputError("--port is of the page", where="--port", found=str(port), fix="add --web")
    template = None if chat_template is None else template_text(chat_template, root=Path.cwd())
    answering = responders(model, against=against, chat_template=template, say=console.say)
    talk = ChatSession(answering, ChatSettings(max_new_tokens, temperature, seed, system))
    if web:
        _on_a_page(talk, port or 0)
    else:
        _in_the_terminal(talk, model, show=not json)
    if json:
        console.print_json(talk.as_json())
    return 0


def _on_a_page(talk: ChatSession, port: int) -> None:
    """Serve the page until Ctrl-C."""
    import asyncio

    from tutelage.chat import web

    def ready(address: str) -> None:
        console.show(f"Open {address} in a browser of this machine. Ctrl-C ends.")

    with suppress(KeyboardInterrupt):
        asyncio.run(web.serve(talk, ready=ready, port=port))


def _in_the_terminal(talk: ChatSession, model: str, *, show: bool) -> None:
    """Talk to a person, or answer what comes through a pipe."""
    from rich.console import Console

    from tutelage.chat import TerminalChat, piped_inputs, typed_inputs

    person = sys.stdin.isatty()
    drawn = (
        Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
        if person and sys.stdout.isatty()
        else None
    )
    terminal = TerminalChat(talk, out=sys.stdout, interactive=person, show=person or show, console=drawn)
    if person:
        _edit_lines()
        console.show(f"Talking to {model}. /help lists the commands, Ctrl-D ends.")
    terminal.run(typed_inputs(input, console.show) if person else piped_inputs(sys.stdin.buffer))


def _edit_lines() -> None:
    """Arrow keys and history in `input`, where Python was built with them; nothing of it is kept on disk.

    What is pasted with several lines stays one question.
    """
    try:
        import readline
    except ImportError:
        console.say("(this Python has no readline: lines cannot be edited)")
    else:
        readline.parse_and_bind("set enable-bracketed-paste on")
