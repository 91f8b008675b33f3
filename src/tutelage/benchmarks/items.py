"""A benchmark's items: JSONL rows, checked against the spec, every mistake with file and line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from tutelage.benchmarks.spec import CHOICE, INPUT, PartSpec, Spec
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.patterns import Pattern
from tutelage.core.strictjson import kind, shorten
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import History, Json, Request
from tutelage.data.formats import jsonl
from tutelage.data.formats.lines import Lines

_TEXTS = ("id", "part", "input", "answer", "pattern", "topic", "difficulty")
_LISTS = ("choices", "references")
_FIELDS = (*_TEXTS, *_LISTS)


@dataclass(frozen=True)
class BenchmarkItem:
    """One question of a benchmark.

    Attributes:
        id: unique in the benchmark.
        part: the part it belongs to.
        prompt: the question: the part's prefix, and its prompt with the item's input.
        choices: for `choose`, the texts whose likelihoods are compared.
        references: the right choice, or right answers; with a `pattern`, examples of what it accepts.
        extraction: for `generate`, the name of the rule that takes the answer out of the text; else "".
        pattern: for `generate`, a regular expression that the whole extracted answer must match; "" for none.
        topic: a finer kind than the part, for people.
        difficulty: said on development items.
        form: whether it is a turn of a conversation, or a text that the answer goes on from.
        before: what stands once before examples and question.
        shots: worked examples, each as text.
        between: what stands between examples, and before the question.
        turns: worked examples as earlier turns instead, two an example.
        join: what stands between a text and a choice that goes on from it.
        dropped: examples that were left out, so that the question fits into the model's context.
    """

    id: str
    part: str
    prompt: str
    choices: tuple[str, ...]
    references: tuple[str, ...]
    extraction: str
    pattern: str = ""
    topic: str = ""
    difficulty: str = ""
    form: Literal["chat", "text"] = "chat"
    before: str = ""
    shots: tuple[str, ...] = ()
    between: str = ""
    turns: History = ()
    join: str = ""
    dropped: int = 0

    @property
    def asked(self) -> str:
        """The whole text that the model is asked: what goes before, the examples, the question."""
        return self.before + self.between.join([*self.shots, self.prompt])

    @property
    def exemplars(self) -> int:
        """How many worked examples there are, in the text or as turns."""
        return len(self.shots) + len(self.turns) // 2

    def without_last_shot(self) -> BenchmarkItem:
        """The same question with one example less, the last one."""
        return replace(self, shots=self.shots[:-1], turns=self.turns[:-2], dropped=self.dropped + 1)

    @cached_property
    def accepts(self) -> Pattern | None:
        """The pattern, to be matched in bounded time."""
        return Pattern(self.pattern, f"item {self.id}: pattern") if self.pattern else None

    def request(self, part: PartSpec) -> Request:
        """The question as an engine is asked it."""
        if part.kind == "choose":
            choices = tuple(self.join + choice for choice in self.choices) if self.join else self.choices
            return Request(self.id, "choose", self.asked, choices=choices, history=self.turns, form=self.form)
        return Request(
            self.id,
            "generate",
            self.asked,
            max_new_tokens=part.max_new_tokens,
            stop=part.stop,
            history=self.turns,
            form=self.form,
        )


def read_items(path: Path, spec: Spec, *, shown: str) -> tuple[BenchmarkItem, ...]:
    """Read and check a benchmark's items.

    Args:
        path: JSONL; README of the fields in `docs/benchmarks.md`.
        spec: what the rows must fit.
        shown: the file's name in errors.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    items: list[BenchmarkItem] = []
    errors: list[InputError] = []
    ids: dict[str, int] = {}
    asked: dict[tuple[str, ...], int] = {}
    for row in jsonl.rows(Lines(path, shown), shown):
        if isinstance(row, InputError):
            errors.append(row)
            continue
        where = f"{shown}:{row.line}"
        mistakes = list(_mistakes(row.fields, spec, where))
        if not mistakes:
            item = _item(row.fields, spec)
            mistakes = [
                *_twice("id", shorten(item.id), ids.setdefault(item.id, row.line), row.line, where),
                *_twice(
                    "question",
                    shorten(item.prompt[-40:]),
                    asked.setdefault(_question(item), row.line),
                    row.line,
                    where,
                ),
            ]
            items.append(item)
        errors += mistakes
        if len(errors) >= MAX_MISTAKES:
            break
    raise_all(shown, errors[:MAX_MISTAKES])
    counts = Counter(item.part for item in items)
    raise_all(shown, [_no_items(part, shown) for part in spec.parts if not counts[part]])
    return tuple(items)


def _question(item: BenchmarkItem) -> tuple[str, ...]:
    """What makes a question the same as another: prompt and choices, whatever their order."""
    return (item.part, item.prompt, *sorted(item.choices))


def _item(fields: Mapping[str, Json], spec: Spec) -> BenchmarkItem:
    """A checked row as an item."""
    part = spec.parts[str(fields["part"])]
    own = fields.get("choices")
    choices = tuple(map(str, own)) if isinstance(own, list) else part.choices
    references = fields.get("references")
    right = tuple(map(str, references)) if isinstance(references, list) else ()
    if part.kind == "choose":
        right = (part.answer.replace(CHOICE, str(fields["answer"])),)
    return BenchmarkItem(
        id=str(fields["id"]),
        part=str(fields["part"]),
        prompt=part.prefix + part.prompt.replace(INPUT, str(fields["input"])),
        choices=tuple(part.answer.replace(CHOICE, choice) for choice in choices)
        if part.kind == "choose"
        else (),
        references=right,
        extraction=part.extraction if part.kind == "generate" else "",
        pattern=str(fields.get("pattern", "")),
        topic=str(fields.get("topic", "")),
        difficulty=str(fields.get("difficulty", "")),
    )


def _mistakes(fields: Mapping[str, Json], spec: Spec, where: str) -> Iterable[InputError]:
    shapes = [*_unknown(fields, where), *_shapes(fields, where)]
    if shapes:
        yield from shapes
        return
    name = str(fields["part"])
    part = spec.parts.get(name)
    if part is None:
        yield InputError(
            "there is no such part",
            where=f"{where}: part",
            found=name,
            expected=", ".join(spec.parts),
            fix=did_you_mean(name, list(spec.parts)) or "take one of these, or add the part to the spec",
        )
    elif part.kind == "choose":
        yield from _of_choice(fields, part, where)
    else:
        yield from _of_generation(fields, part, where)


def _unknown(fields: Mapping[str, Json], where: str) -> Iterable[InputError]:
    for name in fields:
        if name not in _FIELDS:
            yield InputError(
                "there is no such field",
                where=where,
                found=shorten(name),
                expected=", ".join(_FIELDS),
                fix=did_you_mean(name, _FIELDS) or "remove it",
            )
    for name in ("id", "part", "input"):
        if name not in fields:
            yield InputError(f"the field {name} is missing", where=where, expected="a text", fix="add it")


def _shapes(fields: Mapping[str, Json], where: str) -> Iterable[InputError]:
    for name, value in fields.items():
        if name in _TEXTS and not (isinstance(value, str) and value.strip()):
            found = shorten(value) if isinstance(value, str) else kind(value)
            yield InputError(
                f"{name} must be a text", where=f"{where}: {name}", found=found, expected="some text"
            )
        if name in _LISTS and not _is_texts(value):
            found = shorten(str(value)) if isinstance(value, list) else kind(value)
            yield InputError(
                f"{name} must be a list of texts",
                where=f"{where}: {name}",
                found=found,
                expected='["...", "..."]',
            )


def _is_texts(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) and v.strip() for v in value)


def _of_choice(fields: Mapping[str, Json], part: PartSpec, where: str) -> Iterable[InputError]:
    yield from _foreign(fields, ("references", "pattern"), part, where)
    own = fields.get("choices")
    choices = list(map(str, own)) if isinstance(own, list) else list(part.choices)
    if part.choices and "choices" in fields:
        yield InputError(
            "the part has choices of its own",
            where=f"{where}: choices",
            found=shorten(str(own)),
            fix="remove them here or in the spec",
        )
    elif len(choices) < 2 or len(set(choices)) < len(choices):
        yield InputError(
            "two or more different choices are needed",
            where=f"{where}: choices",
            found=", ".join(map(shorten, choices)) or "none",
        )
    elif fields.get("answer") not in choices:
        yield InputError(
            "the answer is not among the choices",
            where=f"{where}: answer",
            found=shorten(str(fields["answer"])) if "answer" in fields else "no such field",
            expected=", ".join(map(shorten, choices)),
        )


def _of_generation(fields: Mapping[str, Json], part: PartSpec, where: str) -> Iterable[InputError]:
    yield from _foreign(fields, ("choices", "answer"), part, where)
    references = fields.get("references")
    if not isinstance(references, list):
        yield InputError(
            "the field references is missing",
            where=where,
            expected="a list of right answers; with a pattern, examples of what it accepts",
            fix='add "references": ["..."]',
        )
        return
    pattern = Pattern(str(fields["pattern"]), f"{where}: pattern") if "pattern" in fields else None
    try:
        if pattern:
            pattern.check()
        answers = [part.rule(str(reference)) for reference in references]
        wrong = [not answer or bool(pattern and not pattern.matches(answer)) for answer in answers]
    except InputError as error:
        yield error
        return
    for reference, answer, is_wrong in zip(references, answers, wrong, strict=True):
        if is_wrong:
            yield InputError(
                "a reference would itself be wrong",
                where=f"{where}: references",
                found=shorten(str(reference)),
                expected=f"what {part.extraction} takes from it ({shorten(answer)}) matches the pattern"
                if answer
                else f"something that the rule {part.extraction} finds",
                fix="correct the reference, the pattern or the part's extraction",
            )


def _foreign(
    fields: Mapping[str, Json], names: tuple[str, ...], part: PartSpec, where: str
) -> Iterable[InputError]:
    for name in names:
        if name in fields:
            yield InputError(
                f"{name} has no meaning in a part of kind: {part.kind}",
                where=f"{where}: {name}",
                found=shorten(str(fields[name])),
                fix="remove it",
            )


def _twice(what: str, found: str, first: int, line: int, where: str) -> list[InputError]:
    if first == line:
        return []
    return [
        InputError(
            f"the {what} stands twice",
            where=where,
            found=f"{found}, as on line {first}",
            expected=f"every {what} once",
            fix="change or remove one of them",
        )
    ]


def _no_items(part: str, shown: str) -> InputError:
    return InputError(
        f"the part {part} has no items",
        where=shown,
        found="0 items",
        expected="at least one",
        fix="add some, or remove the part from the spec",
    )
