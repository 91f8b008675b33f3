"""Task files of lm-evaluation-harness as specs: simple ones are converted, all others are refused field by field.

The format is that of version 0.4.13 (lm_eval/config/task.py, docs/task_guide.md). A task that is refused here can be run as it is by
`tutelage harness`, where lm-eval is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import SandboxedEnvironment

from tutelage.benchmarks.lm_eval import answers
from tutelage.benchmarks.lm_eval.data import split_files
from tutelage.benchmarks.lm_eval.harness_task import FIELDS, USE_HARNESS, HarnessTask
from tutelage.benchmarks.prompt_spec import is_template
from tutelage.core import regular
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES, MAX_RECIPE_BYTES
from tutelage.core.validation import Places, read_document
from tutelage.core.yamltext import FieldPath

_MARKS = ("output_type", "doc_to_text", "doc_to_target", "dataset_path", "include")
"""Fields by which a task file is known: no spec of ours has them."""
_FUNCTION = re.compile(r"^\s*(?:-\s+)?[\"']?([\w.]+)[\"']?\s*:\s*!function\b", re.MULTILINE)
_NEUTRAL: Mapping[str, Any] = {"repeats": 1, "unsafe_code": False}
"""Fields that are read only to be refused where they have another value."""


def is_task(text: str) -> bool:
    """Whether a YAML text is a task file of lm-evaluation-harness, by the names of its fields."""
    names = re.findall(r"^[\"']?(\w+)[\"']?\s*:", text, re.MULTILINE)
    return any(name in _MARKS for name in names)


def read_task(path: Path, text: str) -> tuple[dict[str, Any], Places]:
    """Read a task file as the fields of a spec over rows.

    Args:
        path: the file.
        text: its content.

    Returns:
        The spec's fields, and where they are written.

    Raises:
        InputError: the task needs what a spec does not have, or is wrong; InputErrors for several.
    """
    values, places = _with_includes(path, text, ())
    values = {name: value for name, value in values.items() if value is not None}
    task = HarnessTask(values, places, path.parent)
    spec = dict(_converted(task))
    raise_all(str(path), task.mistakes[:MAX_MISTAKES])
    return spec, Places(places.file, _lines(places))


def _with_includes(path: Path, text: str, above: tuple[Path, ...]) -> tuple[dict[str, Any], Places]:
    """The fields of a file over those of the files that it includes."""
    functions = [
        InputError(
            "Python code in a task is not run",
            where=f"{path}:{text[: match.start(1)].count(chr(10)) + 1}: {match[1]}",
            found="!function",
            expected="a Jinja template or the name of a column",
            fix=USE_HARNESS,
        )
        for match in _FUNCTION.finditer(text)
    ]
    raise_all(str(path), functions)
    values, places = read_document(
        text, file=str(path), subject="a task of lm-evaluation-harness", fields=FIELDS, fix=USE_HARNESS
    )
    included = values.pop("include", [])
    merged: dict[str, Any] = {}
    for name in [included] if isinstance(included, str) else included:
        other = path.parent / str(name)
        if other in (path, *above):
            raise InputError("a task includes itself", where=places(("include",)), found=str(name))
        content = regular.read_text(
            other, subject="the included task", fix="correct include", limit=MAX_RECIPE_BYTES
        )
        merged |= _with_includes(other, content, (path, *above))[0]
    return merged | values, places


def _lines(places: Places) -> dict[FieldPath, int]:
    """The lines of the spec's fields: those of the task's fields that they come from."""
    origins = {
        "prompt": "doc_to_text",
        "answer": "doc_to_target",
        "choices": "doc_to_choice",
        "before": "description",
        "metrics": "metric_list",
        "stop": "generation_kwargs",
        "ways": "filter_list",
        "data": "dataset_kwargs",
        "name": "task",
    }
    return {(name,): places.lines[(old,)] for name, old in origins.items() if (old,) in places.lines}


def _converted(task: HarnessTask) -> Iterator[tuple[str, Any]]:
    """The fields of the spec; mistakes are noted in the task."""
    values = task.fields
    for name in values:
        if name not in FIELDS:
            task.refuse(name, "no such field")
    for name, neutral in _NEUTRAL.items():
        if values.get(name, neutral) != neutral:
            task.refuse(name, str(neutral))
    kind = values.get("output_type", "generate_until")
    if kind not in ("multiple_choice", "generate_until"):
        task.refuse("output_type", "multiple_choice or generate_until", value=kind)
    name = str(values.get("task", "task"))
    metadata = values.get("metadata") or {}
    version = metadata.get("version", 1) if isinstance(metadata, Mapping) else 1
    yield "version", max(1, int(version)) if isinstance(version, int | float) else 1
    yield "name", name
    yield "title", str(values.get("task_alias") or name)
    yield "form", "text"
    yield "prompt", _template(task, "doc_to_text")
    yield "answer", _template(task, "doc_to_target")
    yield "before", _constant(task, "description", "")
    yield "between", _constant(task, "fewshot_delimiter", "\n\n")
    yield "join", _constant(task, "target_delimiter", " ")
    yield from split_files(task)
    if kind == "multiple_choice":
        yield "kind", "choose"
        yield "choices", _choices(task)
        yield "labels", "index-or-text"
        yield "metrics", answers.choice_metrics(task)
    elif kind == "generate_until":
        yield "kind", "generate"
        if "doc_to_choice" in values:
            task.refuse("doc_to_choice", "no such field where answers are generated")
        yield from answers.generated_answers(task)


def _template(task: HarnessTask, name: str) -> str:
    """A template: as it is, or of the column that a bare name stands for."""
    value = task.fields.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and name == "doc_to_target":
        return str(value)
    if not isinstance(value, str) or not value:
        task.refuse(name, "a Jinja template, or the name of a column", value=value)
        return ""
    if is_template(value):
        return value
    if value.isidentifier():
        return f"{{{{ {value} }}}}"
    task.refuse(name, "a template with {{ column }}, or the name of a column")
    return ""


def _constant(task: HarnessTask, name: str, default: str) -> str:
    """A text that is the same for all rows."""
    value = task.fields.get(name, default)
    if value is None:
        return default
    if not isinstance(value, str) or is_template(value):
        task.refuse(name, "a text without placeholders")
        return default
    return value


def _choices(task: HarnessTask) -> str | list[str]:
    """The texts of choices, or the column that holds them."""
    value = task.fields.get("doc_to_choice")
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        if all(isinstance(text, str) and not is_template(text) for text in value):
            return value
    elif isinstance(value, str) and value.isidentifier():
        return value
    elif isinstance(value, str) and (elements := _list_elements(value)) is not None:
        return elements
    task.refuse(
        "doc_to_choice", "texts, the name of a column, or a list such as {{ [first, second] }}", value=value
    )
    return []


def _list_elements(text: str) -> list[str] | None:
    """Templates of the elements of a template that is one list, such as {{ [first, second] }}; None for another template."""
    try:
        (output,) = SandboxedEnvironment().parse(text).body
    except (TemplateSyntaxError, ValueError):
        return None
    if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
        return None
    (expression,) = output.nodes
    if not isinstance(expression, nodes.List):
        return None
    names = [element.name for element in expression.items if isinstance(element, nodes.Name)]
    texts = [element.value for element in expression.items if isinstance(element, nodes.Const)]
    if len(names) == len(expression.items):
        return [f"{{{{ {name} }}}}" for name in names]
    return list(map(str, texts)) if len(texts) == len(expression.items) else None
