"""Test sets whose right answers only a leaderboard knows: their items, and the files of predictions that it takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.benchmarks.dataset import DataFolders, NumberedRows, read_parts
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.library import describe, find_spec, names
from tutelage.benchmarks.part_sources import source_paths
from tutelage.benchmarks.prompt_spec import PromptSpec
from tutelage.benchmarks.row_layouts.columns import not_as_published, with_columns
from tutelage.benchmarks.row_prompts import PromptSettings, items_of_rows
from tutelage.benchmarks.rows_spec import RowsPart, RowsSpec, SubmissionFile
from tutelage.benchmarks.runner import Benchmark
from tutelage.benchmarks.sampling import Limit
from tutelage.benchmarks.table_rows import value_of
from tutelage.benchmarks.way_spec import spec_in_way
from tutelage.core.errors import InputError, raise_all
from tutelage.core.types import Example, Json, Response
from tutelage.metrics.referents import names as names_noun

LABELS, PLACE = "submission_labels", "submission_place"
"""Columns that test rows get: what the file says for each choice, and the row's number or numbers."""
_REFERENT = "referent"
_SCALE = (0.0, 5.0)
"""The smallest and the largest similarity that GLUE's leaderboard takes."""
_Label = str | int | float


@dataclass(frozen=True, slots=True)
class Submission:
    """The test rows of a benchmark as questions, and a leaderboard's files.

    Attributes:
        benchmark: the questions. Their references are all labels: nothing can be scored.
        spec: the benchmark's spec over test rows, without ways.
        files: the leaderboard's file of each part.
    """

    benchmark: Benchmark
    spec: RowsSpec
    files: Mapping[str, SubmissionFile]

    def texts(self, responses: Mapping[str, Response]) -> tuple[dict[str, str], dict[str, int]]:
        """The files of predictions.

        Args:
            responses: by item id, to every item.

        Returns:
            The content of each file by its name, and by part how many answers are none that the leaderboard knows: the first label,
            or 0, stands in their place.
        """
        texts, invalid = {}, {}
        for part, file in self.files.items():
            items = [item for item in self.benchmark.items if item.part == part]
            labels = [self._label(item, responses[item.id]) for item in items]
            places = [item.fields[PLACE] for item in items]
            predictions = [(place, label) for place, (label, _) in zip(places, labels, strict=True)]
            texts[file.file] = "".join(line + "\n" for line in _lines(file, predictions))
            if count := sum(not valid for _, valid in labels):
                invalid[part] = count
        return texts, invalid

    def _label(self, item: BenchmarkItem, response: Response) -> tuple[_Label, bool]:
        """What a file says for an answer, and whether the answer is a label."""
        part, file = self.spec.parts[item.part], self.files[item.part]
        text = self.benchmark.row(item, response).prediction.strip()
        if part.predict == "expected" or (
            part.kind == "generate" and file.file.endswith(".tsv") and not file.labels
        ):
            return _similarity(text)
        if _REFERENT in part.fields:
            return file.labels[names_noun(text, str(item.fields[_REFERENT]))], True
        if part.kind == "generate" and isinstance(part.choices, tuple) and part.choices:
            number = part.choices.index(text) if text in part.choices else 0
            return (file.labels[number] if file.labels else number), text in part.choices
        if file.labels:
            return file.labels[list(map(str, file.labels)).index(text)], True
        return text, bool(text)


def load_submission(name: str, *, data: Path | None, root: Path | None = None) -> Submission:
    """Read the test rows of a benchmark that has a leaderboard.

    Args:
        name: the benchmark, with one of its ways behind a colon.
        data: the data folder.
        root: what a path is relative to; the current folder when not given.

    Raises:
        InputError: there is no such benchmark or way, no leaderboard takes predictions of it, or a row is not as published;
            InputErrors for all parts whose test rows are not here.
    """
    named = find_spec(name, root)
    spec = named.spec
    files = _files(spec) if isinstance(spec, RowsSpec) else {}
    if not isinstance(spec, RowsSpec) or not files:
        raise InputError(
            "no leaderboard takes predictions of this benchmark",
            where="--benchmark",
            found=name,
            expected=", ".join(other for other in names() if _files(describe(other))),
        )
    way = spec.way(next(iter(named.selectors), ""))
    if len(named.selectors) > 1:
        raise InputError("test rows are asked in one way, without a filter", where="--benchmark", found=name)
    tests = _over_test_rows(spec, way, files)
    folders = DataFolders(named.path.parent if named.foreign else None, data)
    part_rows = read_parts(tests, folders)
    raise_all(spec.name, [_missing(part, files[part], folders) for part in part_rows.missing])
    rows = {part: _with_places(numbered, files[part]) for part, numbered in part_rows.rows.items()}
    settings = PromptSettings(tests, "", folders, None, named.foreign)
    benchmark = Benchmark(
        name=":".join(filter(None, [spec.name, way, "test"])),
        spec=spec_in_way(tests, "", list(rows)),
        items=items_of_rows(settings, replace(part_rows, rows=rows), Limit()),
        sizes={part: len(numbered) for part, numbered in rows.items()},
    )
    return Submission(benchmark, tests, files)


def _files(spec: object) -> dict[str, SubmissionFile]:
    parts = spec.parts if isinstance(spec, RowsSpec) else {}
    return {name: part.submission for name, part in parts.items() if part.submission is not None}


def _over_test_rows(spec: RowsSpec, way: str, files: Mapping[str, SubmissionFile]) -> RowsSpec:
    """The spec with test rows instead of labelled ones, asked in one way; right answers are not looked up."""
    parts = {}
    for name, file in files.items():
        prompt = spec.prompt_spec(way, name)
        settings = {field: getattr(prompt, field) for field in prompt.model_fields_set}
        unscored = RowsPart.model_fields["scored"].default
        parts[name] = spec.parts[name].model_copy(
            update={
                **settings,
                **_without_answers(prompt),
                "sources": file.sources,
                "scored": unscored,
                "unit": "",
            }
        )
    return spec.model_copy(update={"parts": parts, "ways": {}, "filters": {}, "default": ""})


def _without_answers(prompt: PromptSpec) -> dict[str, object]:
    predictions = prompt.predictions or LABELS
    is_number = prompt.predict == "expected"
    return {
        "answer": "0" if is_number else "",
        "references": "" if is_number else predictions,
        "predictions": predictions if prompt.kind == "choose" and not is_number else "",
        "labels": (),
        "metrics": ("accuracy",),
        "fields": (PLACE, *(field for field in prompt.fields if field == _REFERENT)),
        "categories": (),
        "cluster": "",
    }


def _with_places(rows: NumberedRows, file: SubmissionFile) -> NumberedRows:
    labels: list[Json] = [*map(str, file.labels)] or ["0"]
    first_rows: dict[str, Example] = {}
    placed = []
    for number, row in rows:
        place = value_of(row, file.index)
        numbers = place if isinstance(place, list) else [place]
        if not all(str(value).isdecimal() for value in numbers):
            raise not_as_published(
                row, file.index, place, "the row's number, which the leaderboard knows it by"
            )
        earlier = first_rows.setdefault(str(place), row)
        if earlier is not row:
            raise InputError(
                "two test rows have one number", where=str(row.origin), found=f"{place}, as {earlier.origin}"
            )
        placed.append((number, with_columns(row, **{LABELS: labels, PLACE: place})))
    return placed


def _missing(part: str, file: SubmissionFile, folders: DataFolders) -> InputError:
    paths = [path for source in file.sources for path in source_paths(source, part)]
    copies = [f"{source.hub.name} on the hub" for source in file.sources if source.hub is not None]
    return InputError(
        f"the test rows of {part} are not here",
        where="--data",
        found="no data folder" if folders.data is None else str(folders.data),
        expected=" or ".join([*paths, *copies]),
        fix="a leaderboard takes the predictions of all tasks: fetch them, and name their folder with --data",
    )


def _similarity(text: str) -> tuple[float, bool]:
    low, high = _SCALE
    with suppress(ValueError):
        value = float(text)
        if math.isfinite(value):
            return min(max(value, low), high), True
    return low, False


def _lines(file: SubmissionFile, predictions: list[tuple[Json, _Label]]) -> Iterator[str]:
    """The lines of a leaderboard's file, from each row's number or numbers and its label."""
    if file.file.endswith(".tsv"):
        yield "index\tprediction"
        for place, label in predictions:
            yield f"{place}\t{f'{label:.3f}' if isinstance(label, float) else label}"
        return
    passages: dict[int, dict[int, list[dict[str, _Label]]]] = {}
    for place, label in predictions:
        numbers = [int(str(value)) for value in (place if isinstance(place, list) else [place])]
        if len(numbers) < 3:
            yield json.dumps({"idx": numbers[-1], "label": label}, ensure_ascii=False)
            continue
        passage, question, answer = numbers
        passages.setdefault(passage, {}).setdefault(question, []).append({"idx": answer, "label": label})
    for passage, questions in passages.items():
        answers = [{"idx": question, "answers": options} for question, options in questions.items()]
        yield json.dumps({"idx": passage, "passage": {"questions": answers}})
