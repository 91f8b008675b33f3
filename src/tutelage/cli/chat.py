"""`tutelage chat MODEL`: a conversation in the terminal, or questions through a pipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console


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
        typer.Option("--temperature", min=0.0, help="0 takes the likeliest token; above, tokens are drawn."),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    chat_template: Annotated[
        str | None,
        typer.Option(
            "--chat-template", metavar="NAME", help="A bundled chat template or a file; else the model's own."
        ),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Talk to a model; answers come as they are made. Ctrl-C stops an answer, /help lists the commands.

    Through a pipe every line is a question. With --json the whole talk is printed when the input ends.
    """
    from tutelage.chat import Settings, Terminal, piped, typed, voices
    from tutelage.tokens import chat as templates

    person = sys.stdin.isatty()
    template = None if chat_template is None else templates.text_of(chat_template, root=Path.cwd())
    answering = voices(model, against=against, chat_template=template, say=console.say)
    settings = Settings(max_new_tokens, temperature, seed, system)
    terminal = Terminal(answering, settings, out=sys.stdout, interactive=person, show=person or not json)
    if person:
        _edit_lines()
        console.show(f"Talking to {model}. /help lists the commands, Ctrl-D ends.")
    terminal.run(typed(input, console.show) if person else piped(sys.stdin.buffer))
    if json:
        console.print_json(terminal.as_json())
    return 0


def _edit_lines() -> None:
    """Arrow keys and history in `input`, where Python was built with them."""
    import importlib

    try:
        importlib.import_module("readline")
    except ImportError:
        console.say("(this Python has no readline: lines cannot be edited)")
