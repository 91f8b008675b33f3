"""Rows put into words: one part's questions, asked in one way, with their worked examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tutelage.benchmarks.asking import Shots, is_template
from tutelage.benchmarks.dataset import Found, Places, read_rows, value_of
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.rowspec import PART, RowsPart, RowsSpec
from tutelage.benchmarks.sampling import Limit, sampled
from tutelage.core import files, hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_ERRORS
from tutelage.core.nouns import Example, History, Json, Origin
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten
from tutelage.templates.failures import in_words
from tutelage.templates.sandbox import Failure, attempt

_NOWHERE = Origin("the spec", 1)


class Wording:
    """One part's rows put into words in one way.

    Args:
        spec: the benchmark.
        way: the way's name, "" where it has one only.
        part: the part's name.
        places: where its examples may be.
        shots: how many examples, if not as many as the spec says.
    """

    def __init__(self, spec: RowsSpec, way: str, part: str, places: Places, *, shots: int | None) -> None:
        self.part = part
        self.asked = spec.asked(way, part)
        title = spec.parts.get(part, RowsPart()).title or part.replace("_", " ")
        self._beside: dict[str, Json] = {"part": part, "title": title}
        self._before = self._fill(self.asked.before, Example(part, {}, _NOWHERE), "before")
        self._shots: tuple[str, ...] = ()
        self._turns: History = ()
        own = self.asked.shots
        if own is not None and (own.count if shots is None else shots) != 0:
            self._examples(own, own.count if shots is None else shots, places)

    def items(self, rows: Sequence[tuple[int, Example]]) -> Iterator[BenchmarkItem | InputError]:
        """The rows as items, a mistake where one cannot be."""
        for number, row in rows:
            try:
                yield self._item(number, row)
            except InputError as error:
                yield error

    def _item(self, number: int, row: Example) -> BenchmarkItem:
        prompt = self._fill(self.asked.prompt, row, "prompt")
        choices = self._choices(row)
        right = self._right(row, choices)
        before, turns = self._before, self._turns
        if turns:
            before, turns = "", ((turns[0][0], self._before + turns[0][1]), *turns[1:])
        return BenchmarkItem(
            id=f"{self.part}/{number}",
            part=self.part,
            prompt=prompt,
            choices=choices if self.asked.kind == "choose" else (),
            references=right,
            extraction=self.asked.extraction if self.asked.kind == "generate" else "",
            form=self.asked.form,
            before=before,
            shots=self._shots,
            between=self.asked.between,
            turns=turns,
            join=self.asked.join if self.asked.form == "text" else "",
        )

    def _choices(self, row: Example) -> tuple[str, ...]:
        told = self.asked.choices
        if isinstance(told, tuple):
            return tuple(self._fill(text, row, "choices") for text in told)
        value = value_of(row, told)
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(one, str) and one.strip() for one in value)
        ):
            raise InputError(
                f"the column {told} holds no choices",
                where=str(row.origin),
                found=f"{json_kind(value)}: {shorten(str(value))}",
                expected="a list of texts",
            )
        return tuple(map(str, value))

    def _right(self, row: Example, choices: Sequence[str]) -> tuple[str, ...]:
        """The right answers: texts of choices for `choose`; for `generate` what is to be said."""
        if self.asked.references:
            value = value_of(row, self.asked.references)
            texts = [value] if isinstance(value, str) else value
            if (
                not isinstance(texts, list)
                or not texts
                or not all(isinstance(one, str) and one.strip() for one in texts)
            ):
                raise InputError(
                    f"the column {self.asked.references} holds no right answers",
                    where=str(row.origin),
                    found=f"{json_kind(value)}: {shorten(str(value))}",
                    expected="a text, or a list of texts",
                )
            return tuple(map(str, texts))
        answer = self._fill(self.asked.answer, row, "answer")
        if not choices:
            return (answer,)
        labels = (
            list(map(str, range(len(choices))))
            if self.asked.labels == "index"
            else list(self.asked.labels) or list(choices)
        )
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

    def _fill(self, template: str, row: Example, what: str) -> str:
        if not is_template(template):
            return template
        ends = len(template) - len(template.rstrip("\n"))  # Jinja drops the last line's end
        done = attempt(template[: len(template) - ends], row.fields, self._beside)
        if isinstance(done, Failure):
            raise in_words(done, row, what, what)
        return done.text + "\n" * ends

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
        pairs = [(self._fill(self.asked.prompt, row, "prompt"), self._said(row)) for row in chosen]
        if told.turns:
            self._turns = tuple(
                turn for asked, said in pairs for turn in (("user", asked), ("assistant", said))
            )
        else:
            self._shots = tuple(asked + self.asked.join + said for asked, said in pairs)

    def _said(self, row: Example) -> str:
        return self._right(row, self._choices(row) if self.asked.choices else ())[0]

    def _of_text(self, told: Shots, count: int | None, path: Path) -> None:
        text = files.read_bytes(
            path, what="the file of worked examples", fix="correct the spec's shots"
        ).decode("utf-8-sig")
        if told.after:
            _, mark, behind = text.partition(told.after + "\n")
            if not mark:
                raise InputError(
                    "the line before the examples is not there", where=str(path), expected=shorten(told.after)
                )
            text = behind
        head, *blocks = re.split(told.split, text) if told.split else ["", text]
        if head:
            self._before += head + self.asked.between
        for one in told.replace:
            blocks = [re.sub(one.pattern, one.by, block) for block in blocks]
        chosen = blocks[: len(blocks) if count is None else count]
        _enough(len(chosen), count, path)
        self._shots = tuple(chosen)


def _enough(here: int, count: int | None, path: Path) -> None:
    if count is not None and here < count:
        raise InputError(
            "there are too few worked examples", where=str(path), found=str(here), expected=str(count)
        )


def items_of(
    spec: RowsSpec, way: str, found: Found, places: Places, *, limit: Limit, shots: int | None
) -> tuple[BenchmarkItem, ...]:
    """The items of all rows that are here, or of a sample of each part.

    Raises:
        InputError: a row cannot be asked in this way, with file and line; InputErrors for the first 20.
    """
    items: list[BenchmarkItem] = []
    errors: list[InputError] = []
    for part, rows in found.rows.items():
        try:
            wording = Wording(spec, way, part, places, shots=shots)
        except InputError as error:
            errors.append(error)
            continue
        chosen = sampled(rows, limit, key=lambda row: hashing.of_json(dict(row[1].fields)))
        for one in wording.items(chosen):
            if isinstance(one, InputError):
                errors.append(one)
            else:
                items.append(one)
        if len(errors) >= MAX_ERRORS:
            break
    raise_all(spec.name, errors[:MAX_ERRORS])
    return tuple(items)
