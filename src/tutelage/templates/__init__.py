"""Turns examples into prompts and completions by Jinja templates, and conversations into text by chat templates.

The public names are imported when they are first used, so that the process that renders (`subprocess_main`) starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutelage.templates.binding import ConstantField as ConstantField
    from tutelage.templates.binding import FieldSource as FieldSource
    from tutelage.templates.columns import column_template as column_template
    from tutelage.templates.columns import column_template_names as column_template_names
    from tutelage.templates.columns import common_columns as common_columns
    from tutelage.templates.columns import detect as detect
    from tutelage.templates.columns import guess_columns as guess_columns
    from tutelage.templates.library import TemplateSelection as TemplateSelection
    from tutelage.templates.library import find as find
    from tutelage.templates.library import is_template_file as is_template_file
    from tutelage.templates.library import kind_name as kind_name
    from tutelage.templates.library import template_file as template_file
    from tutelage.templates.library_template import LibraryTemplate as LibraryTemplate
    from tutelage.templates.library_template import WordingOptions as WordingOptions
    from tutelage.templates.library_template import bind_template as bind_template
    from tutelage.templates.sandbox import check as check
    from tutelage.templates.sandbox import reference as reference
    from tutelage.templates.subprocess_renderer import close as close
    from tutelage.templates.task_template import TaskTemplate as TaskTemplate

_MODULE_OF = {
    "ConstantField": "binding",
    "FieldSource": "binding",
    "LibraryTemplate": "library_template",
    "TaskTemplate": "task_template",
    "TemplateSelection": "library",
    "WordingOptions": "library_template",
    "bind_template": "library_template",
    "check": "sandbox",
    "close": "subprocess_renderer",
    "column_template": "columns",
    "column_template_names": "columns",
    "common_columns": "columns",
    "detect": "columns",
    "find": "library",
    "guess_columns": "columns",
    "is_template_file": "library",
    "kind_name": "library",
    "reference": "sandbox",
    "template_file": "library",
}

__all__ = [
    "ConstantField",
    "FieldSource",
    "LibraryTemplate",
    "TaskTemplate",
    "TemplateSelection",
    "WordingOptions",
    "bind_template",
    "check",
    "close",
    "column_template",
    "column_template_names",
    "common_columns",
    "detect",
    "find",
    "guess_columns",
    "is_template_file",
    "kind_name",
    "reference",
    "template_file",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tutelage.templates' has no attribute {name!r}")
    return getattr(import_module(f"tutelage.templates.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
