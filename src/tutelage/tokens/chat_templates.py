"""Chat templates by name: those bundled with Tutelage, or a file."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.regular import read_text
from tutelage.core.suggestions import did_you_mean

OWN_TEMPLATE = "{#- then the model's own template -#}"
"""A template that ends with this comment goes on with the model's own: it changes what that one is given."""


def complete(text: str, own: str | None) -> str:
    """A template's text, with the model's own template behind it where it ends with OWN_TEMPLATE.

    Raises:
        InputError: the model has none.
    """
    if not text.rstrip().endswith(OWN_TEMPLATE):
        return text
    if not own:
        raise InputError(
            "the chat template goes on with the model's own, and the model has none",
            where="chat_template",
            found="a tokenizer without a chat template",
            expected="a model that has one, or a template that is whole",
            fix="name another one, such as `chat_template: plain`",
        )
    start = text.rstrip().removesuffix(OWN_TEMPLATE)
    return own if own.startswith(start) else start + own


def bundled_names() -> list[str]:
    """List the names of the bundled chat templates."""
    folder = files("tutelage.tokens").joinpath("templates")
    return sorted(p.name.removesuffix(".jinja") for p in folder.iterdir() if p.name.endswith(".jinja"))


def template_text(name: str, *, root: Path) -> str:
    """Read the Jinja text of a bundled chat template, or of a file whose path is relative to `root`.

    Raises:
        InputError: the name is neither, or the file cannot be read.
    """
    names = bundled_names()
    if name in names:
        return files("tutelage.tokens").joinpath("templates", f"{name}.jinja").read_text("utf-8")
    path = root / name
    if os.path.lexists(path) or "/" in name or path.suffix in (".jinja", ".j2"):
        fix = f"name one of {', '.join(names)}, or a file relative to the recipe"
        return read_text(path, subject="the chat template", fix=fix, limit=MAX_RECIPE_BYTES)
    raise InputError(
        "unknown chat template",
        where="chat_template",
        found=repr(name),
        expected=f"one of {', '.join(names)}, or the path of a Jinja file",
        fix=did_you_mean(name, names, form="{!r}"),
    )
