"""Examples put into words, and conversations into text.

The public names are imported when they are first asked for: the process that renders (`child`) starts with what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutelage.templates.binding import Same as Same
    from tutelage.templates.binding import Source as Source
    from tutelage.templates.columns import columns_of as columns_of
    from tutelage.templates.columns import detect as detect
    from tutelage.templates.columns import guess as guess
    from tutelage.templates.columns import named as named
    from tutelage.templates.columns import names as names
    from tutelage.templates.library import Found as Found
    from tutelage.templates.library import find as find
    from tutelage.templates.library import is_own as is_own
    from tutelage.templates.library import kind_part as kind_part
    from tutelage.templates.library import own_file as own_file
    from tutelage.templates.sandbox import check as check
    from tutelage.templates.sandbox import reference as reference
    from tutelage.templates.subprocess_renderer import close as close
    from tutelage.templates.template import TaskTemplate as TaskTemplate
    from tutelage.templates.wording import LibraryTemplate as LibraryTemplate
    from tutelage.templates.wording import Manner as Manner
    from tutelage.templates.wording import use as use

_HOMES = {
    "Found": "library",
    "LibraryTemplate": "wording",
    "Manner": "wording",
    "Same": "binding",
    "Source": "binding",
    "TaskTemplate": "template",
    "check": "sandbox",
    "close": "subprocess_renderer",
    "columns_of": "columns",
    "detect": "columns",
    "find": "library",
    "guess": "columns",
    "is_own": "library",
    "kind_part": "library",
    "named": "columns",
    "names": "columns",
    "own_file": "library",
    "reference": "sandbox",
    "use": "wording",
}

__all__ = [
    "Found",
    "LibraryTemplate",
    "Manner",
    "Same",
    "Source",
    "TaskTemplate",
    "check",
    "close",
    "columns_of",
    "detect",
    "find",
    "guess",
    "is_own",
    "kind_part",
    "named",
    "names",
    "own_file",
    "reference",
    "use",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tutelage.templates' has no attribute {name!r}")
    return getattr(import_module(f"tutelage.templates.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
