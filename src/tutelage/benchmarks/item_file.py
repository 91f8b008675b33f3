"""The items of a benchmark in their files: JSONL rows, checked against the spec, every mistake with file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.prompt_spec import choices_mistake
from tutelage.benchmarks.rendering import render_templates
from tutelage.benchmarks.spec import CHOICE, INPUT, PartSpec, Spec
from tutelage.core.errors import InputError, raise_all, value_or_raise
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.patterns import Pattern
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Example, Json, Origin
from tutelage.core.validation import Block, NonBlank, Places, validate
from tutelage.data.formats import jsonl
from tutelage.data.formats.lines import Lines

_FIELDS = {
    "choose": ("choices", "answer"),
    "generate": ("references", "pattern"),
}
"""Fields that only items of one kind may have."""


class _ItemFields(Block):
    """The fields of an item, as they stand in the file."""

    id: NonBlank
    part: NonBlank
    input: NonBlank
    choices: tuple[NonBlank, ...] | None = None
    answer: NonBlank | None = None
    references: tuple[NonBlank, ...] | None = None
    pattern: NonBlank | None = None
    topic: NonBlank = ""
    difficulty: NonBlank = ""


@dataclass(frozen=True, slots=True)
class _Line:
    """A checked line of a file.

    Attributes:
        number: its place among the rows of all files, from 0.
        file: its file's name in errors.
        line: its line in the file, from 1.
        fields: the item's fields.
    """

    number: int
    file: str
    line: int
    fields: _ItemFields


def read_items(files: Mapping[str, Path], spec: Spec, *, foreign: bool) -> tuple[BenchmarkItem, ...]:
    """Read and check a benchmark's items.

    Args:
        files: JSONL files, whose fields are described in `docs/benchmarks.md`, by their names in errors.
        spec: the spec that the rows must fit.
        foreign: whether the spec is not one of the bundled ones.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    title = ", ".join(files)
    lines, errors = _read_lines(files, spec)
    items: dict[int, BenchmarkItem] = {}
    for name, part in spec.parts.items():
        own_lines = [line for line in lines if line.fields.part == name]
        for line, item in zip(own_lines, _items(own_lines, part, foreign=foreign), strict=False):
            if isinstance(item, InputError):
                errors.append((line.number, item))
            else:
                items[line.number] = item
    checked = [(line, items[line.number]) for line in lines if line.number in items]
    errors += _duplicates(checked)
    raise_all(title, [error for _, error in sorted(errors, key=lambda pair: pair[0])][:MAX_MISTAKES])
    empty = [part for part in spec.parts if part not in {item.part for _, item in checked}]
    raise_all(title, [_no_items(part, title) for part in empty])
    return tuple(item for _, item in checked)


def _read_lines(files: Mapping[str, Path], spec: Spec) -> tuple[list[_Line], list[tuple[int, InputError]]]:
    """The lines without mistakes, and the mistakes with their rows' numbers, until there are too many."""
    lines: list[_Line] = []
    errors: list[tuple[int, InputError]] = []
    rows = ((file, row) for file, path in files.items() for row in jsonl.rows(Lines(path, file), file))
    for number, (file, row) in enumerate(rows):
        if isinstance(row, InputError):
            errors.append((number, row))
            continue
        places = Places(f"{file}:{row.line}")
        fields, mistakes, _ = validate(_ItemFields, row.fields, places)
        if fields is not None:
            mistakes = list(_mistakes(fields, spec, places))
        if mistakes:
            errors += [(number, mistake) for mistake in mistakes]
        elif fields is not None:
            lines.append(_Line(number, file, row.line, fields))
        if len(errors) >= MAX_MISTAKES:
            break
    return lines, errors


def _items(lines: Sequence[_Line], part: PartSpec, *, foreign: bool) -> Iterator[BenchmarkItem | InputError]:
    """The items of one part, or what is wrong with a line."""

    def render(
        field: str, template: str, name: str, texts: Mapping[str, _Line]
    ) -> dict[str, str | InputError]:
        """Render a template of one field for each text that the field has; the texts come with their first lines."""
        rows = [
            Example(part.title, {name: text}, Origin(line.file, line.line)) for text, line in texts.items()
        ]
        extra: dict[str, Json] = {"part": lines[0].fields.part, "title": part.title}
        rendered = render_templates([(field, template)], rows, extra, foreign=foreign)
        return {
            text: result if isinstance(result, InputError) else result[0]
            for text, result in zip(texts, rendered, strict=False)
        }

    if not lines:
        return
    inputs: dict[str, _Line] = {}
    choices: dict[str, _Line] = {}
    for line in lines:
        inputs.setdefault(line.fields.input, line)
        for choice in line.fields.choices or part.choices:
            choices.setdefault(choice, line)
    prompts = render("prompt", part.prompt, INPUT, inputs)
    answers = render("answer", part.answer, CHOICE, choices)
    complete = len(prompts) == len(inputs) and len(answers) == len(choices)
    for line in lines:
        fields = line.fields
        own_choices = (fields.choices or part.choices) if part.kind == "choose" else ()
        try:
            choice_texts = {choice: value_or_raise(answers[choice]) for choice in own_choices}
            yield BenchmarkItem(
                id=fields.id,
                part=fields.part,
                prompt=part.prefix + value_or_raise(prompts[fields.input]),
                choices=tuple(choice_texts.values()),
                references=fields.references or (choice_texts[str(fields.answer)],),
                extraction=part.extraction if part.kind == "generate" else "",
                pattern=fields.pattern or "",
                topic=fields.topic,
                difficulty=fields.difficulty,
            )
        except InputError as error:
            yield error
            if not complete:
                return  # the rendering ended here


def _mistakes(fields: _ItemFields, spec: Spec, places: Places) -> Iterator[InputError]:
    part = spec.parts.get(fields.part)
    if part is None:
        fix = "take one of these, or add the part to the spec"
        yield unknown_name("there is no such part", fields.part, spec.parts, where=places(("part",)), fix=fix)
        return
    other_kind = "generate" if part.kind == "choose" else "choose"
    for name in _FIELDS[other_kind]:
        value = getattr(fields, name)
        if value is not None:
            yield InputError(
                f"{name} has no meaning in a part of kind: {part.kind}",
                where=places((name,)),
                found=shorten(str(value)),
                fix="remove it",
            )
    yield from (_choice_mistakes if part.kind == "choose" else _reference_mistakes)(fields, part, places)


def _choice_mistakes(fields: _ItemFields, part: PartSpec, places: Places) -> Iterator[InputError]:
    choices = fields.choices or part.choices
    if part.choices and fields.choices is not None:
        yield InputError(
            "the part has choices of its own",
            where=places(("choices",)),
            found=shorten(str(list(fields.choices))),
            fix="remove them here or in the spec",
        )
    elif error := choices_mistake(choices, places(("choices",))):
        yield error
    elif fields.answer not in choices:
        yield InputError(
            "the answer is not among the choices",
            where=places(("answer",)),
            found="no such field" if fields.answer is None else shorten(fields.answer),
            expected=", ".join(map(shorten, choices)),
        )


def _reference_mistakes(fields: _ItemFields, part: PartSpec, places: Places) -> Iterator[InputError]:
    if not fields.references:
        yield InputError(
            "the field references is missing",
            where=places(("references",)),
            expected="a list of right answers; with a pattern, examples of what it accepts",
            fix='add "references": ["..."]',
        )
        return
    if part.reading is not None:
        if fields.pattern:
            yield InputError(
                "pattern has no meaning in a part with a reading of its own",
                where=places(("pattern",)),
                found=shorten(fields.pattern),
                fix="remove it, or take an extraction instead of the reading",
            )
        return
    pattern = Pattern(fields.pattern, places(("pattern",))) if fields.pattern else None
    try:
        if pattern:
            pattern.check()
        answers = [part.rule.answer(reference) for reference in fields.references]
        wrong = [not answer or bool(pattern and not pattern.matches(answer)) for answer in answers]
    except InputError as error:
        yield error
        return
    for reference, answer, is_wrong in zip(fields.references, answers, wrong, strict=True):
        if is_wrong:
            yield InputError(
                "a reference would itself be wrong",
                where=places(("references",)),
                found=shorten(reference),
                expected=f"what {part.extraction} takes from it ({shorten(answer)}) matches the pattern"
                if answer
                else f"something that the rule {part.extraction} finds",
                fix="correct the reference, the pattern or the part's extraction",
            )


def _duplicates(items: Sequence[tuple[_Line, BenchmarkItem]]) -> Iterator[tuple[int, InputError]]:
    """Ids and questions that stand twice; a question is prompt and choices, whatever the choices' order."""
    first_lines: dict[tuple[str, ...], _Line] = {}
    for line, item in items:
        question = ("question", item.part, item.prompt, *sorted(item.choices))
        for key, text in ((("id", item.id), item.id), (question, item.prompt[-40:])):
            first = first_lines.setdefault(key, line)
            if first is not line:
                place = f"line {first.line}" + (f" of {first.file}" if first.file != line.file else "")
                yield (
                    line.number,
                    InputError(
                        f"the {key[0]} stands twice",
                        where=f"{line.file}:{line.line}",
                        found=f"{shorten(text)}, as on {place}",
                        expected=f"every {key[0]} once",
                        fix="change or remove one of them",
                    ),
                )


def _no_items(part: str, files: str) -> InputError:
    return InputError(
        f"the part {part} has no items",
        where=files,
        found="0 items",
        expected="at least one",
        fix="add some, or remove the part from the spec",
    )
