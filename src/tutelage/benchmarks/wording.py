"""Rows put into words: one part's questions, asked in one way, with their worked examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tutelage.benchmarks.dataset import Found, Places, read_rows, value_of
from tutelage.benchmarks.filling import Named, filled
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.prompt_spec import Shots
from tutelage.benchmarks.rowspec import PART, RowsPart, RowsSpec
from tutelage.benchmarks.sampling import Limit, sampled
from tutelage.benchmarks.validation import read_text
from tutelage.core import hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.patterns import Pattern
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten
from tutelage.core.types import Example, History, Json, Origin

_T = TypeVar("_T")
_NOWHERE = Origin("the spec", 1)


@dataclass(frozen=True, slots=True)
class _Said:
    """A row in words."""

    prompt: str
    choices: tuple[str, ...]
    right: tuple[str, ...]


class Wording:
    """One part's rows put into words in one way.

    Args:
        spec: the benchmark.
        way: the way's name, "" where it has one only.
        part: the part's name.
        places: where its examples may be.
        shots: how many examples, if not as many as the spec says.
        foreign: whether the spec came from elsewhere.
    """

    def __init__(
        self, spec: RowsSpec, way: str, part: str, places: Places, *, shots: int | None, foreign: bool
    ) -> None:
        self.part = part
        self.asked = spec.asked(way, part)
        self._foreign = foreign
        title = spec.parts.get(part, RowsPart()).title or part.replace("_", " ")
        self._beside: dict[str, Json] = {"part": part, "title": title}
        (before,) = self._filled([("before", self.asked.before)], [Example(part, {}, _NOWHERE)])
        (self._before,) = _good(before)
        self._shots: tuple[str, ...] = ()
        self._turns: History = ()
        own = self.asked.shots
        if own is not None and (own.count if shots is None else shots) != 0:
            self._examples(own, own.count if shots is None else shots, places)

    def items(self, rows: Sequence[tuple[int, Example]]) -> Iterator[BenchmarkItem | InputError]:
        """The rows as items, a mistake where one cannot be."""
        for (number, _), said in zip(rows, self._said([row for _, row in rows]), strict=False):
            yield said if isinstance(said, InputError) else self._item(number, said)

    def _item(self, number: int, said: _Said) -> BenchmarkItem:
        before, turns = self._before, self._turns
        if turns:
            before, turns = "", ((turns[0][0], self._before + turns[0][1]), *turns[1:])
        return BenchmarkItem(
            id=f"{self.part}/{number}",
            part=self.part,
            prompt=said.prompt,
            choices=said.choices if self.asked.kind == "choose" else (),
            references=said.right,
            extraction=self.asked.extraction if self.asked.kind == "generate" else "",
            form=self.asked.form,
            before=before,
            shots=self._shots,
            between=self.asked.between,
            turns=turns,
            join=self.asked.join if self.asked.form == "text" else "",
        )

    def _filled(
        self, templates: Sequence[Named], rows: Sequence[Example]
    ) -> Iterator[tuple[str, ...] | InputError]:
        return filled(templates, rows, self._beside, foreign=self._foreign)

    def _said(self, rows: Sequence[Example]) -> Iterator[_Said | InputError]:
        """Question, choices and right answers of each row, or what is wrong with it."""
        told = self.asked.choices
        own = [("choices", text) for text in told] if isinstance(told, tuple) else []
        templates = [("prompt", self.asked.prompt), ("answer", self.asked.answer), *own]
        for row, texts in zip(rows, self._filled(templates, rows), strict=False):
            try:
                prompt, answer, *choices = _good(texts)
                if isinstance(told, str):
                    choices = _texts_of(row, told, "choices", single=False)
                yield _Said(prompt, tuple(choices), self._right(row, answer, choices))
            except InputError as error:
                yield error

    def _right(self, row: Example, answer: str, choices: Sequence[str]) -> tuple[str, ...]:
        """The right answers: texts of choices for `choose`; for `generate` what is to be said."""
        if self.asked.references:
            return tuple(_texts_of(row, self.asked.references, "right answers", single=True))
        if not choices:
            return (answer,)
        labels = list(self.asked.labels) or list(choices)
        if self.asked.labels == "index":
            labels = list(map(str, range(len(choices))))
        if answer not in labels:
            raise InputError(
                "the answer is none of the choices",
                where=str(row.origin),
                found=shorten(answer),
                expected=", ".join(map(shorten, labels)),
            )
        text = choices[labels.index(answer)]
        if self.asked.kind == "choose":
            return (text,)
        # Two choices may say the same: the label of either is then right.
        return tuple(label for label, choice in zip(labels, choices, strict=True) if choice == text)

    def _examples(self, told: Shots, count: int | None, places: Places) -> None:
        file = (told.path or told.text).replace(PART, self.part)
        path = places.find(file)
        if path is None:
            raise InputError(
                f"the worked examples of {self.part} are not here",
                where="shots",
                found=places.said(file),
                fix="put them there, or ask without examples (--shots 0)",
            )
        if told.text:
            self._of_text(told, count, path)
            return
        rows = read_rows(path, told.columns)
        chosen = rows[: len(rows) if count is None else count]
        _enough(len(chosen), count, path)
        said = [_good(one) for one in self._said(chosen)]
        if told.turns:
            self._turns = tuple(
                turn for one in said for turn in (("user", one.prompt), ("assistant", one.right[0]))
            )
        else:
            self._shots = tuple(one.prompt + self.asked.join + one.right[0] for one in said)

    def _of_text(self, told: Shots, count: int | None, path: Path) -> None:
        text = read_text(path, what="the file of worked examples")
        if told.after:
            _, mark, behind = text.partition(told.after + "\n")
            if not mark:
                raise InputError(
                    "the line before the examples is not there", where=str(path), expected=shorten(told.after)
                )
            text = behind
        head, *blocks = Pattern(told.split).split(text) if told.split else ["", text]
        if head:
            self._before += head + self.asked.between
        for one in told.replace:
            blocks = [Pattern(one.pattern).replaced(one.by, block) for block in blocks]
        chosen = blocks[: len(blocks) if count is None else count]
        _enough(len(chosen), count, path)
        self._shots = tuple(chosen)


def _enough(here: int, count: int | None, path: Path) -> None:
    if count is not None and here < count:
        raise InputError(
            "there are too few worked examples", where=str(path), found=str(here), expected=str(count)
        )


def _good(said: _T | InputError) -> _T:
    """What is not wrong; else it is raised."""
    if isinstance(said, InputError):
        raise said
    return said


def _texts_of(row: Example, column: str, what: str, *, single: bool) -> list[str]:
    """The texts that a column holds as a list, or alone where `single` lets it."""
    value = value_of(row, column)
    texts = [value] if single and isinstance(value, str) else value
    if isinstance(texts, list) and texts and all(isinstance(one, str) and one.strip() for one in texts):
        return list(map(str, texts))
    raise InputError(
        f"the column {column} holds no {what}",
        where=str(row.origin),
        found=f"{json_kind(value)}: {shorten(str(value))}",
        expected="a text, or a list of texts" if single else "a list of texts",
    )


def items_of(  # what is asked, of what, how much of it
    spec: RowsSpec,
    way: str,
    found: Found,
    places: Places,
    *,
    limit: Limit,
    shots: int | None,
    foreign: bool,
) -> tuple[BenchmarkItem, ...]:
    """The items of all rows that are here, or of a sample of each part.

    Args:
        spec: the benchmark.
        way: the way's name, "" where it has one only.
        found: its rows.
        places: where its examples may be.
        limit: how many of each part.
        shots: how many examples, if not as many as the spec says.
        foreign: whether the spec came from elsewhere.

    Raises:
        InputError: a row cannot be asked in this way, with file and line; InputErrors for several.
    """
    items: list[BenchmarkItem] = []
    errors: list[InputError] = []
    for part, rows in found.rows.items():
        try:
            wording = Wording(spec, way, part, places, shots=shots, foreign=foreign)
        except InputError as error:
            errors.append(error)
            continue
        chosen = sampled(rows, limit, key=lambda row: hashing.of_json(dict(row[1].fields)))
        for one in wording.items(chosen):
            if isinstance(one, InputError):
                errors.append(one)
            else:
                items.append(one)
        if len(errors) >= MAX_MISTAKES:
            break
    raise_all(spec.name, errors[:MAX_MISTAKES])
    return tuple(items)
