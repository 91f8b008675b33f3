"""Turns rendering failures into errors that say what to fix."""

from __future__ import annotations

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_TEMPLATE_BYTES
from tutelage.core.suggestions import nearest
from tutelage.core.types import Example, Json
from tutelage.templates.sandbox import RenderFailure

_NOT_IN_ROW = "which the row does not have"
_FIX_BY_CASE = {
    "null": "fill it, delete the row, or guard it: {% if FIELD %}...{% endif %}",
    "null in a completion": "fill it, or leave such rows out (on_bad_row: drop  in the task's data)",
    "turns": "write prompt and completion both as lists of turns, or both as texts",
    "turns by columns": "write its turns as a list of objects, each with all its parts",
    "objects": "join a part of each: {{ FIELD | map(attribute='PART') | join(', ') }}",
    "a list": "join it: {{ FIELD | join(', ') }}",
    "an object": "name a part of it: {{ FIELD['PART'] }}",
    "true or false": "say it in words: {{ 'yes' if FIELD else 'no' }}",
}


def render_error(failure: RenderFailure, example: Example, part: str, where: str) -> InputError:
    """The InputError for a failure.

    Args:
        failure: what happened.
        example: the row that was rendered.
        part: `prompt` or `completion`.
        where: the template's place in the recipe, with the part.
    """
    match failure.kind:
        case "missing":
            return _missing_field_error(failure, example, part)
        case "not-text":
            return _not_text_error(failure, example, part)
        case "memory" | "time" | "died":
            return _limit_error(failure, example, part, where)
        case "forbidden":
            description = (
                "does what a template may not",
                "fields, filters, conditions and loops",
                f"take it out of {where}",
            )
        case "too-long":
            description = (
                "gives a text that is too long",
                "a shorter text",
                f"shorten the row, or correct {where}",
            )
        case _:
            description = ("cannot be rendered for this row", "", f"correct {where}, or the row")
    problem, expected, fix = description
    return InputError(
        f"the {part} template {problem}",
        where=str(example.origin),
        found=failure.detail,
        expected=expected or None,
        fix=fix,
    )


def merge_if_in_no_row(errors: list[InputError], where: str) -> list[InputError]:
    """The errors of all rows of a task; a single error about the template if every row lacks the same field."""
    problems = {error.problem for error in errors}
    problem = errors[0].problem
    if len(problems) > 1 or not problem.endswith(_NOT_IN_ROW):
        return errors
    first = errors[0]
    part = problem.split()[1]
    return [
        InputError(
            problem.removesuffix(_NOT_IN_ROW) + "which no row has",
            where=f"{where}.{part}",
            found=f"{first.found} (first row: {first.where})",
            expected=first.expected,
            fix=first.fix
            if first.fix and first.fix.startswith("did you mean")
            else "name one of the fields that the rows have",
        )
    ]


def _missing_field_error(failure: RenderFailure, example: Example, part: str) -> InputError:
    suggestion = None if failure.inside else nearest(failure.name, list(example.fields))
    return InputError(
        f"the {part} uses {failure.name}, {_NOT_IN_ROW}"
        if not failure.inside
        else f"the {part} uses a part {failure.name} that its value does not have",
        where=str(example.origin),
        found="the fields " + ", ".join(example.fields),
        expected=f"a field {failure.name}" if not failure.inside else None,
        fix=f"did you mean {{{{ {suggestion} }}}}?"
        if suggestion
        else f"fill it in this row, leave such rows out (on_bad_row: drop  in the task's data), or correct the {part}",
    )


def _not_text_error(failure: RenderFailure, example: Example, part: str) -> InputError:
    name = failure.name or "a value"
    return InputError(
        f"the {part} needs text in the field {name}" if failure.name else f"the {part} needs text",
        where=str(example.origin),
        found=f"{name} is {failure.detail}",
        expected="text or a number",
        fix=_fix_for_value(failure.detail, name, example.fields.get(name), part),
    )


def _fix_for_value(value_kind: str, name: str, value: Json, part: str) -> str:
    """The advice for a field that is not text, by its value."""
    case, part_name = value_kind, ""
    if value_kind == "null" and part == "completion":
        case = "null in a completion"
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        case = "turns" if {"role", "from"} & value[0].keys() else "objects"
        part_name = next(iter(value[0]), "")
    elif isinstance(value, dict) and value:
        case = (
            "turns by columns"
            if all(isinstance(part_value, list) for part_value in value.values())
            else value_kind
        )
        part_name = next(iter(value))
    fix = _FIX_BY_CASE.get(case, "call it, or name another field")
    return fix.replace("FIELD", name).replace("PART", part_name.replace("\\", "\\\\").replace("'", "\\'"))


def _limit_error(failure: RenderFailure, example: Example, part: str, where: str) -> InputError:
    memory = f"more than {MAX_TEMPLATE_BYTES >> 20:,} MB of memory"
    descriptions = {
        "memory": ("needs too much memory for this row", memory),
        "time": ("takes too long for this row", failure.detail),
        "died": ("ended the process that renders it", failure.detail),
    }
    problem, found = descriptions[failure.kind]
    return InputError(
        f"the {part} template {problem}",
        where=str(example.origin),
        found=found,
        expected="a text in milliseconds and a few megabytes",
        fix=f"take loops and repetitions out of {where}, or shorten the row; nothing was written",
    )
