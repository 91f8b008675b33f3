"""What a task says of its words: the types of these fields, their contradictions, and the template that comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from tutelage import templates
from tutelage.core.errors import InputError
from tutelage.core.strictjson import kind
from tutelage.core.types import Example
from tutelage.core.validation import mistake, mistake_of
from tutelage.templates import LibraryTemplate, Manner, Same, TaskTemplate

if TYPE_CHECKING:
    from tutelage.config.task_block import Task

ONLY_LIBRARY = ("fields", "labels", "options", "inverted", "wording_seed")
"""Fields of a task that say something of a kind of the library and nothing of other templates."""
_TEXT = {"type": "string", "minLength": 1}
_VALUE = {
    "type": "object",
    "properties": {"value": _TEXT},
    "required": ["value"],
    "additionalProperties": False,
}
_SCALAR = (str, int, float, bool)


def _template(value: str) -> str:
    if value in templates.names() or templates.is_own(value):
        return value
    try:
        templates.find(value)
    except InputError as error:
        raise mistake_of(error) from None
    return value


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and value and all(map(_is_source, value.values())):
        return value
    strange = [name for name, one in value.items() if not _is_source(one)] if isinstance(value, dict) else []
    raise mistake(
        "not a map of the template's fields to columns",
        found=f"{strange[0]}: {kind(value[strange[0]])}" if strange else kind(value),
        expected="for each field a column, a list of columns, or {value: a text for every row}",
        fix="write  fields: {text: review, label: stars}",
    )


def _is_source(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == ["value"] and isinstance(value["value"], str) and bool(value["value"].strip())
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(isinstance(one, str) and one for one in value)
    return isinstance(value, str) and bool(value)


def _labels(value: Any) -> list[str] | dict[str, str]:
    """Labels as texts; YAML reads yes as text already, and 1 or true as what they are."""
    items = (
        list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    )
    texts = [_as_text(one) for one in items if isinstance(one, _SCALAR)]
    good = len(texts) == len(items) and all(text.strip() for text in texts) and len(set(texts)) > 1
    if good and isinstance(value, dict):
        return dict(zip(map(str, value), texts, strict=True))
    if good and len(set(texts)) == len(texts):
        return texts
    raise mistake(
        "not labels",
        found=", ".join(texts) or kind(value),
        expected="two different words or more, or raw values with their words",
        fix="write  labels: [negative, positive]  or  labels: {0: negative, 1: positive}",
    )


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


Template = Annotated[str, AfterValidator(_template)]
Fields = Annotated[
    dict[str, Any],
    PlainValidator(_fields),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}, _VALUE]
            },
            "minProperties": 1,
        }
    ),
]
Labels = Annotated[
    list[str] | dict[str, str],
    PlainValidator(_labels),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 2},
                {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]


def check(task: Task) -> None:
    """Raise what contradicts itself in a task's words."""
    given = [name for name in ("prompt", "completion", "template") if getattr(task, name) is not None]
    if given not in ([], ["prompt", "completion"], ["template"]):
        raise mistake(
            "a task has prompt and completion, or a template, or neither",
            found=" and ".join(given),
            expected="prompt and completion together; or template alone; or none, when the columns' names say it",
            fix="remove template" if "template" in given else "add the other one of prompt and completion",
        )
    if task.template is not None and task.template not in templates.names():
        return
    if idle := [name for name in ONLY_LIBRARY if getattr(task, name)]:
        raise mistake(
            f"{idle[0]} goes with a kind of the library",
            found=f"{idle[0]} with {task.template or ' and '.join(given) or 'no template'}",
            expected="template: sentiment, or another one of `tutelage templates list`",
            fix=f"name one as template, or remove {idle[0]}",
        )
    if task.answer == "choose":
        raise mistake(
            "to choose needs a template with answer choices",
            found=task.template or " and ".join(given) or "no template",
            expected="template: sentiment, multiple-choice or another kind with choices",
            fix="name one as template, or remove answer: choose",
        )


def template_of(
    task: Task,
    examples: Sequence[Example],
    *,
    where: str,
    root: Path,
    default: str | None = None,
    listed: bool | None = None,
    only: str | None = None,
) -> TaskTemplate | LibraryTemplate:
    """The task's template: its own, the library's, or the one that the rows' columns ask for.

    Args:
        task: the task.
        examples: its rows.
        where: its path in the recipe, for errors.
        root: the folder to which a file of templates is relative.
        default: the template of the layout that the rows came in, where it has one.
        listed: whether a kind's prompts list the answer options, instead of what the task says.
        only: one wording of the task's kind, to be taken alone and never beside ones that are turned around.

    Raises:
        InputError: the columns do not say what they are, or not what the kind needs; it spells the lines to write.
    """
    references = task.references
    if task.prompt is not None and task.completion is not None:
        return TaskTemplate(task.prompt, task.completion, references=references, where=where, foreign=True)
    if task.template is None and default is not None:
        return templates.named(default, references=references, where=where)
    if task.template is None:
        return templates.detect(examples, references=references, where=where)
    if task.template in templates.names():
        return templates.named(task.template, references=references, where=where)
    found = templates.find(only or task.template, root=root, where=f"{where}.template")
    _check_answer(task, found, where)
    options = task.options or "listed"
    if listed is not None and found.kind.has_choices:
        options = "listed" if listed else "none"
    manner = Manner(options, 0.0 if only else task.inverted, task.wording_seed, references)
    sources = sources_of(task.fields)
    return templates.use(found, examples, manner, fields=sources, labels=task.labels, where=where)


def sources_of(fields: Mapping[str, Any] | None) -> dict[str, templates.Source]:
    """The recipe's map of fields as the templates package takes it."""
    return {
        name: Same(value["value"])
        if isinstance(value, dict)
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in (fields or {}).items()
    }


def _check_answer(task: Task, found: templates.Found, where: str) -> None:
    if task.answer == "choose" and not all(
        one.group == "wordings" and found.kind.has_choices for one in found.wordings
    ):
        raise InputError(
            f"{found.name} has no answers to choose from",
            where=f"{where}.answer",
            found="choose",
            expected="generate",
            fix="remove answer: choose, or take a kind with choices",
        )
