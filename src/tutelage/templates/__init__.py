"""Turns examples into prompts and completions by Jinja templates, and conversations into text by chat templates.

The public names are imported when they are first used, so that the process that renders (`subprocess_main`) starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutelage.templates.binding import ConstantField, FieldSource
    from tutelage.templates.column_reading import ColumnReading
    from tutelage.templates.columns import (
        column_template,
        column_template_named,
        column_template_names,
        common_columns,
        detect,
        guess_columns,
    )
    from tutelage.templates.library import TemplateSelection, find, is_template_file, kind_name, template_file
    from tutelage.templates.library_template import LibraryTemplate, WordingOptions, bind_template
    from tutelage.templates.plain_text import PlainTextTemplate
    from tutelage.templates.sandbox import check, reference
    from tutelage.templates.subprocess_renderer import close
    from tutelage.templates.task_template import TaskTemplate

_MODULE_OF = {
    "ColumnReading": "column_reading",
    "ConstantField": "binding",
    "FieldSource": "binding",
    "LibraryTemplate": "library_template",
    "PlainTextTemplate": "plain_text",
    "TaskTemplate": "task_template",
    "TemplateSelection": "library",
    "WordingOptions": "library_template",
    "bind_template": "library_template",
    "check": "sandbox",
    "close": "subprocess_renderer",
    "column_template": "columns",
    "column_template_named": "columns",
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
    "ColumnReading",
    "ConstantField",
    "FieldSource",
    "LibraryTemplate",
    "PlainTextTemplate",
    "TaskTemplate",
    "TemplateSelection",
    "WordingOptions",
    "bind_template",
    "check",
    "close",
    "column_template",
    "column_template_named",
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
