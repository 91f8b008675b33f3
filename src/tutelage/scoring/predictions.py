"""Files of predictions to rows that metrics score: JSONL with references, or plain texts line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import nearest
from tutelage.core.types import Json
from tutelage.data.formats import jsonl
from tutelage.data.formats.lines import Line, Lines
from tutelage.metrics import Row

_TYPES: dict[str, tuple[Any, str]] = {
    "prediction": (str, "a text"),
    "target": (str, "a text"),
    "task": (str, "a text"),
    "references": (list, 'a list of texts, such as ["..."]'),
    "cluster": (str | int | None, "a text or a number"),
}
EXAMPLE = '{"prediction": "...", "references": ["..."]}'


@dataclass(frozen=True, slots=True)
class Predictions:
    """The rows of a file, and the line that each stands on.

    Attributes:
        shown: the file's name for messages.
        rows: predictions with their references.
        lines: the rows' line numbers, from 1.
    """

    shown: str
    rows: tuple[Row, ...]
    lines: tuple[int, ...]


def read_predictions(path: Path) -> Predictions:
    """Read a .jsonl file (or .jsonl.gz) of predictions.

    A row is `{"prediction": text, "references": [text, ...]}`; `target`, one text, may replace `references`.
    `task` and `cluster` (what several rows share, such as a document) are read too, and further fields are there for
    the metrics that read them.

    Raises:
        InputError: a mistake with file and line; InputErrors for several.
    """
    shown = str(path)
    rows: list[Row] = []
    lines: list[int] = []
    errors: list[InputError] = []
    for row in jsonl.rows(Lines(path, shown), shown):
        mistakes = (
            [row] if isinstance(row, InputError) else list(_mistakes(row.fields, f"{shown}:{row.line}"))
        )
        errors += mistakes
        if len(errors) >= MAX_MISTAKES:
            break
        if not mistakes and not isinstance(row, InputError):
            rows.append(_row(row.fields))
            lines.append(row.line)
    raise_all(shown, errors[:MAX_MISTAKES])
    if not rows:
        raise InputError("the file has no rows", where=shown, found="blank lines only", expected=EXAMPLE)
    return Predictions(shown, tuple(rows), tuple(lines))


def read_text_files(predictions: Path, references: Sequence[Path]) -> Predictions:
    """Read plain texts, one a line: the predictions, and one or more files of references beside them.

    Raises:
        InputError: a line is not UTF-8, or the files do not have equally many lines.
    """
    texts = [_texts(path) for path in (predictions, *references)]
    for path, lines in zip(references, texts[1:], strict=True):
        if len(lines) != len(texts[0]):
            raise InputError(
                "predictions and references do not have equally many lines",
                where=str(path),
                found=f"{len(lines)} lines, and {len(texts[0])} in {predictions}",
                expected="one reference line for every prediction",
                fix="look for a missing line, or for an empty answer that was not written",
            )
    rows = tuple(Row(prediction, tuple(right)) for prediction, *right in zip(*texts, strict=True))
    return Predictions(str(predictions), rows, tuple(range(1, len(rows) + 1)))


def _texts(path: Path) -> list[str]:
    texts: list[str] = []
    errors: list[InputError] = []
    for line in Lines(path, str(path)):
        if isinstance(line, Line):
            texts.append(line.text)
            continue
        errors.append(line)
        if len(errors) == MAX_MISTAKES:
            break
    raise_all(str(path), errors)
    return texts


def _row(fields: Mapping[str, Json]) -> Row:
    references = fields["references"] if "references" in fields else [fields["target"]]
    cluster = fields.get("cluster")
    return Row(
        prediction=str(fields["prediction"]),
        references=tuple(map(str, references)) if isinstance(references, list) else (str(references),),
        fields={name: value for name, value in fields.items() if name not in _TYPES},
        task=str(fields.get("task", "")),
        cluster=None if cluster is None else str(cluster),
    )


def _mistakes(fields: Mapping[str, Json], where: str) -> Iterator[InputError]:
    if "prediction" not in fields:
        yield _missing("prediction", "the model's answer, a text", fields, where)
    if "references" not in fields and "target" not in fields:
        yield _missing("references", "a list of right answers (or target, one text)", fields, where)
    if "references" in fields and "target" in fields:
        yield InputError(
            "references and target both stand in the row",
            where=where,
            found=f"references and target {shorten(str(fields['target']))}",
            expected="one of them",
            fix="remove target",
        )
    yield from _wrong_types(fields, where)


def _missing(name: str, expected: str, fields: Mapping[str, Json], where: str) -> InputError:
    close = nearest(name, [field for field in fields if field not in _TYPES])
    return InputError(
        f"the field {name} is missing",
        where=where,
        found="the fields " + ", ".join(map(shorten, fields)),
        expected=expected,
        fix=f"rename {close} to {name}" if close else f"write rows such as {EXAMPLE}",
    )


def _wrong_types(fields: Mapping[str, Json], where: str) -> Iterator[InputError]:
    for name, (type_, expected) in _TYPES.items():
        if name in fields and not isinstance(fields[name], type_):
            yield _wrong_type(name, json_kind(fields[name]), expected, where)
    references = fields.get("references")
    if references == []:
        yield _wrong_type("references", "an empty list", "at least one right answer", where)
    elif isinstance(references, list) and not all(isinstance(text, str) for text in references):
        other = next(text for text in references if not isinstance(text, str))
        yield _wrong_type("references", f"{json_kind(other)} in the list", "texts only", where)


def _wrong_type(name: str, found: str, expected: str, where: str) -> InputError:
    return InputError(f"{name} has the wrong type", where=where, found=found, expected=expected)
