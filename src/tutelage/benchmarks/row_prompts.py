"""The questions of a benchmark over rows: each part's rows and exemplars put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.benchmarks.dataset import DataFolders, DataNotFoundError, NumberedRows, PartRows
from tutelage.benchmarks.exemplar_draws import harness_draws
from tutelage.benchmarks.field_checks import field_mistakes
from tutelage.benchmarks.fields import path_of_part
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.part_sources import hub_paths
from tutelage.benchmarks.prompt_spec import ExemplarSpec, PromptSpec
from tutelage.benchmarks.rendering import NamedTemplate, render_templates
from tutelage.benchmarks.row_layouts import layout
from tutelage.benchmarks.rows_spec import RowsPart, RowsSpec
from tutelage.benchmarks.sampling import Limit, sample
from tutelage.benchmarks.table_rows import read_table, value_of
from tutelage.core import hashing, regular
from tutelage.core.errors import InputError, raise_all, value_or_raise
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.patterns import Pattern
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Example, History, Json, Origin
from tutelage.metrics.catalogue import parse

_SPEC_ORIGIN = Origin("the spec", 1)


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How a benchmark over rows is asked.

    Attributes:
        spec: the benchmark.
        way: the way's name, "" where it has one only.
        folders: where its exemplars may be.
        exemplar_count: how many exemplars stand before each question, if not as many as the spec says.
        foreign: whether the spec is not one of the bundled ones.
    """

    spec: RowsSpec
    way: str
    folders: DataFolders
    exemplar_count: int | None
    foreign: bool


@dataclass(frozen=True, slots=True)
class _Question:
    """A row in words, and its values that metrics read beside the answer."""

    prompt: str
    choices: tuple[str, ...]
    continuation: str
    references: tuple[str, ...]
    fields: Mapping[str, Json]
    cluster: str | None
    predictions: tuple[str, ...]
    categories: tuple[str, ...]

    def worked(self) -> tuple[str, str]:
        """The question, and its right answer."""
        right = self.references[0]
        return (self.prompt + right, self.continuation) if self.continuation else (self.prompt, right)


@dataclass(frozen=True, slots=True)
class _Exemplars:
    """Exemplars before a question: as texts, or as turns of a conversation, with a text in front of them."""

    before: str
    texts: tuple[str, ...] = ()
    turns: History = ()


@dataclass(frozen=True, slots=True)
class _ExemplarPool:
    """Rows of which some are drawn for each question, and how many more are drawn and not used."""

    rows: Sequence[Example]
    count: int
    spare: int


class PartPrompter:
    """Puts the rows of one part into words.

    Args:
        settings: the way of asking.
        part: the part's name.

    Raises:
        InputError: its exemplars cannot be read.
    """

    def __init__(self, settings: PromptSettings, part: str) -> None:
        self._part = part
        self._settings = settings
        self._spec: PromptSpec = settings.spec.prompt_spec(settings.way, part)
        reads = {field for name in self._spec.metrics for field in parse(name).entry.reads}
        self._needs_labels = self._spec.kind == "generate" and "labels" in reads
        title = settings.spec.parts.get(part, RowsPart()).title or part.replace("_", " ")
        self._extra: dict[str, Json] = {"part": part, "title": title}
        (rendered,) = self._render([("before", self._spec.before)], [Example(part, {}, _SPEC_ORIGIN)])
        (self._before,) = value_or_raise(rendered)
        self._exemplars = self._read_exemplars()

    def items(self, rows: NumberedRows) -> Iterator[BenchmarkItem | InputError]:
        """The rows as items, or what is wrong with a row."""
        exemplars = self._exemplars_by_question([number for number, _ in rows])
        questions = self._questions([row for _, row in rows])
        for (number, _), question in zip(rows, questions, strict=False):
            yield (
                question
                if isinstance(question, InputError)
                else self._item(number, question, exemplars[number])
            )

    def _item(self, number: int, question: _Question, exemplars: _Exemplars) -> BenchmarkItem:
        spec = self._spec
        return BenchmarkItem(
            id=f"{self._part}/{number}",
            part=self._part,
            prompt=question.prompt,
            choices=question.choices if spec.kind == "choose" else (),
            continuation=question.continuation,
            references=question.references,
            extraction=spec.extraction if spec.kind == "generate" else "",
            form=spec.form,
            fields=question.fields,
            cluster=question.cluster,
            predictions=question.predictions,
            categories=question.categories,
            before=exemplars.before,
            exemplars=exemplars.texts,
            between=spec.between,
            exemplar_turns=exemplars.turns,
            join=spec.join if spec.form == "text" else "",
        )

    def _render(
        self, templates: Sequence[NamedTemplate], rows: Sequence[Example]
    ) -> Iterator[tuple[str, ...] | InputError]:
        return render_templates(templates, rows, self._extra, foreign=self._settings.foreign)

    def _questions(self, rows: Sequence[Example]) -> Iterator[_Question | InputError]:
        """Prompt, choices and right answers of each row, or what is wrong with it."""
        choices = self._spec.choices
        names = ("prompt", "answer", "continuation")
        templates = [(name, getattr(self._spec, name)) for name in names]
        if isinstance(choices, tuple):
            templates += [("choices", text) for text in choices]
        for row, rendered in zip(rows, self._render(templates, rows), strict=False):
            try:
                prompt, answer, continuation, *choice_texts = value_or_raise(rendered)
                if isinstance(choices, str):
                    choice_texts = _texts_of(row, choices, "choices", allow_one=False)
                references = self._references(row, answer, choice_texts)
                fields = {name: value_of(row, name) for name in self._spec.fields}
                if self._needs_labels:
                    fields["labels"] = list(choice_texts)
                cluster = str(value_of(row, self._spec.cluster)) if self._spec.cluster else None
                predictions = self._predictions(row, choice_texts)
                categories = _categories(row, self._spec.categories)
                yield _Question(
                    prompt,
                    tuple(choice_texts),
                    continuation,
                    references,
                    fields,
                    cluster,
                    predictions,
                    categories,
                )
            except InputError as error:
                yield error

    def _predictions(self, row: Example, choices: Sequence[str]) -> tuple[str, ...]:
        """What each choice stands for; empty where the prediction is its text."""
        if not self._spec.predictions or self._spec.kind != "choose":
            return ()
        predictions = _texts_of(row, self._spec.predictions, "meanings of the choices", allow_one=False)
        if len(predictions) != len(choices):
            raise InputError(
                f"the column {self._spec.predictions} does not fit the choices",
                where=str(row.origin),
                found=f"{len(predictions)} values for {len(choices)} choices",
                expected="one a choice",
            )
        return tuple(predictions)

    def _references(self, row: Example, answer: str, choices: Sequence[str]) -> tuple[str, ...]:
        """The right answers: texts of choices for `choose`; for `generate` what the model should say."""
        spec = self._spec
        if spec.references:
            right = _texts_of(row, spec.references, "right answers", allow_one=True)
            if spec.kind == "choose" and not spec.predictions:
                _require_choices(row, right, choices)
            return tuple(right)
        if not choices or spec.predict == "expected":
            return (answer,)
        labels = list(spec.labels) if isinstance(spec.labels, tuple) and spec.labels else list(choices)
        numbers = list(map(str, range(len(choices))))
        if spec.labels == "index" or (spec.labels == "index-or-text" and _is_number(row, answer, choices)):
            labels = numbers
        _require_choices(row, [answer], labels)
        right_choice = choices[labels.index(answer)]
        if spec.kind == "choose":
            return (right_choice,)
        # Two choices may be equal: the label of either is then right.
        return tuple(label for label, choice in zip(labels, choices, strict=True) if choice == right_choice)

    def _read_exemplars(self) -> _Exemplars | _ExemplarPool:
        """The exemplars of all questions, or the rows that they are drawn from."""
        spec = self._spec.shots
        if spec is None:
            return _Exemplars(self._before)
        count = spec.count if self._settings.exemplar_count is None else self._settings.exemplar_count
        if count == 0:
            return _Exemplars(self._before)
        paths = self._exemplar_files(spec)
        if spec.text:
            return self._exemplars_of_text(spec, count, paths[0])
        rows = [row for path in paths for row in read_table(path, spec.columns)]
        if spec.layout:
            rows = [question for row in rows for question in layout(spec.layout)(row)]
        spare = int(spec.draw == "lm-eval-spare")
        _require_count(len(rows), None if count is None else count + spare, paths[0])
        if spec.draw != "first" and count is not None:
            return _ExemplarPool(rows, count, spare)
        return self._join(self._worked(rows[:count]))

    def _exemplar_files(self, spec: ExemplarSpec) -> Sequence[Path]:
        """The files of the exemplars, at least one."""
        file, folders = path_of_part(spec.path or spec.text, self._part), self._settings.folders
        if spec.hub is not None:
            paths = hub_paths(spec.hub, folders.data)
            searched = f"no copy of {spec.hub.name} in the data folder or the hub's cache"
            fix = f"tutelage benchmarks fetch {folders.spec or self._settings.spec.name}"
        else:
            path = folders.find(file)
            paths = [] if path is None else [path]
            searched, fix = folders.searched(file), "put them there"
        if not paths:
            raise DataNotFoundError(
                f"the exemplars of {self._part} are not here",
                where="shots",
                found=searched,
                fix=f"{fix}, or ask without examples (--shots 0)",
            )
        return paths

    def _exemplars_by_question(self, numbers: Sequence[int]) -> dict[int, _Exemplars]:
        """The exemplars before each question, by the question's number in its file."""
        pool = self._exemplars
        if isinstance(pool, _Exemplars):
            return dict.fromkeys(numbers, pool)
        draws = harness_draws(len(pool.rows), pool.count, set(numbers), spare=pool.spare)
        drawn = sorted({index for draw in draws.values() for index in draw})
        exemplars = dict(zip(drawn, self._worked([pool.rows[index] for index in drawn]), strict=True))
        return {number: self._join([exemplars[index] for index in draw]) for number, draw in draws.items()}

    def _worked(self, rows: Sequence[Example]) -> list[_Question]:
        """Rows as exemplars, each with its right answer."""
        return [value_or_raise(question) for question in self._questions(rows)]

    def _join(self, questions: Sequence[_Question]) -> _Exemplars:
        """Exemplars as texts, or as turns of a conversation."""
        if not self._spec.shots or not self._spec.shots.turns:
            texts = [self._spec.join.join(question.worked()) for question in questions]
            return _Exemplars(self._before, tuple(texts))
        turns = [
            turn
            for question in questions
            for turn in zip(("user", "assistant"), question.worked(), strict=True)
        ]
        before = self._before
        if turns:  # what stands before all else stands in the first turn
            turns[0], before = ("user", before + turns[0][1]), ""
        return _Exemplars(before, turns=tuple(turns))

    def _exemplars_of_text(self, spec: ExemplarSpec, count: int | None, path: Path) -> _Exemplars:
        before = self._before
        text = regular.read_text(
            path, subject="the file of exemplars", fix="put it there, or ask without examples"
        )
        if spec.after:
            _, line, text = text.partition(spec.after + "\n")
            if not line:
                raise InputError(
                    "the line before the examples is not there", where=str(path), expected=shorten(spec.after)
                )
        head, *texts = Pattern(spec.split).split(text) if spec.split else ["", text]
        if head:
            before += head + self._spec.between
        for change in spec.replace:
            texts = [Pattern(change.pattern).replaced(change.by, text) for text in texts]
        _require_count(len(texts[:count]), count, path)
        return _Exemplars(before, tuple(texts[:count]))


def _is_number(row: Example, answer: str, choices: Sequence[str]) -> bool:
    """Whether an answer is the number of a choice, and not a choice's text; an InputError where it is both, of different ones."""
    is_number = answer.isdecimal() and int(answer) < len(choices)
    if is_number and answer in choices and choices[int(answer)] != answer:
        raise InputError(
            "the answer is the number of a choice and the text of another",
            where=str(row.origin),
            found=answer,
            expected="one of the two",
            fix="write a spec that says which: labels: index, or no labels",
        )
    return is_number


def _require_choices(row: Example, answers: Sequence[str], choices: Sequence[str]) -> None:
    for answer in answers:
        if answer not in choices:
            raise InputError(
                "the answer is none of the choices",
                where=str(row.origin),
                found=shorten(answer),
                expected=", ".join(map(shorten, choices)),
            )


def _categories(row: Example, columns: Sequence[str]) -> tuple[str, ...]:
    """The categories of a row: the values of columns, separated by ;."""
    values = [str(value_of(row, column) or "") for column in columns]
    names = [name.strip() for value in values for name in value.split(";")]
    return tuple(dict.fromkeys(name for name in names if name))


def _require_count(available: int, count: int | None, path: Path) -> None:
    if count is not None and available < count:
        raise InputError(
            "there are too few exemplars", where=str(path), found=str(available), expected=str(count)
        )


def _texts_of(row: Example, column: str, subject: str, *, allow_one: bool) -> list[str]:
    """The texts that a column holds as a list, or alone where `allow_one`."""
    value = value_of(row, column)
    texts = [value] if allow_one and isinstance(value, str) else value
    if isinstance(texts, list) and texts and all(isinstance(text, str) and text.strip() for text in texts):
        return list(map(str, texts))
    raise InputError(
        f"the column {column} holds no {subject}",
        where=str(row.origin),
        found=f"{json_kind(value)}: {shorten(str(value))}",
        expected="a text, or a list of texts" if allow_one else "a list of texts",
    )


def _sampled(rows: NumberedRows, limit: Limit, unit: str) -> NumberedRows:
    """A sample of a part's rows, in which rows with the same value of the column `unit`, if there is one, stay together."""

    def key(row: tuple[int, Example]) -> str:
        return hashing.of_json(dict(row[1].fields))

    return sample(rows, limit, key=key, unit=(lambda row: str(value_of(row[1], unit))) if unit else None)


def items_of_rows(settings: PromptSettings, part_rows: PartRows, limit: Limit) -> tuple[BenchmarkItem, ...]:
    """The items of all rows, or of a sample of each part.

    Args:
        settings: the way of asking.
        part_rows: the rows of each part.
        limit: how many of each part.

    Raises:
        InputError: a row cannot be asked in this way, with file and line; InputErrors for several.
    """
    items: list[BenchmarkItem] = []
    errors: list[InputError] = []
    for part, rows in part_rows.rows.items():
        try:
            prompter = PartPrompter(settings, part)
        except InputError as error:
            errors.append(error)
            continue
        sampled = _sampled(rows, limit, settings.spec.parts.get(part, RowsPart()).unit)
        part_items: list[BenchmarkItem] = []
        for item in prompter.items(sampled):
            if isinstance(item, InputError):
                errors.append(item)
            else:
                part_items.append(item)
        items += part_items
        errors += field_mistakes(settings.spec.prompt_spec(settings.way, part).metrics, part_items)
        if len(errors) >= MAX_MISTAKES:
            break
    raise_all(settings.spec.name, errors[:MAX_MISTAKES])
    return tuple(items)
