"""Answers rows with a model and gives them in the order of the input; a file of answers is whole or absent, and resumed after any stop."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tutelage.core import files, hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Json, Prompted, Request, Response
from tutelage.evaluation.answer_folder import AnswerFolder
from tutelage.evaluation.measure import ModelEvaluator, decoding_key, evaluator_of
from tutelage.evaluation.progress import Listener, SilentListener
from tutelage.prediction.asker import Asker, asker_of
from tutelage.prediction.options import ALL_COLUMNS, PredictionOptions
from tutelage.prediction.questions import Questions
from tutelage.prediction.rows import VALUES, Rows, read_rows
from tutelage.prediction.table import Record, Table
from tutelage.prepare import template_clock
from tutelage.results.store import Item
from tutelage.tokens.encoder import conversation_text

ID, SAMPLE, PREDICTION, FINISH, LIKELIHOODS = "id", "sample", "prediction", "finish", "log_likelihoods"
_OWN = (ID, SAMPLE, PREDICTION, FINISH, LIKELIHOODS)
_SUITE = "prediction"
_WRITING = "writing"
"""In the folder of answers: the output is being written, so that a file of its name is this output."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers to rows.

    Attributes:
        records: one for each answer, in the order of the rows: `id`, `prediction`, `finish` (stop; length: cut off; choice), with several
            answers a row `sample` from 1, with choices their `log_likelihoods` in nats by choice, and the columns that were kept.
        rows: how many rows were answered.
        cut: how many answers ended at the limit of new tokens.
        shortened: how many prompts were cut to fit the model.
        out: the file that was written; None where none was named.
    """

    records: tuple[Record, ...]
    rows: int
    cut: int
    shortened: int
    out: Path | None = None

    def as_json(self) -> dict[str, Json]:
        """The counts, with the answers where no file was written."""
        records: dict[str, Json] = {} if self.out is not None else {"predictions": [*self.records]}
        return {
            "out": None if self.out is None else str(self.out),
            "rows": self.rows,
            "answers": len(self.records),
            "cut": self.cut,
            "shortened": self.shortened,
            **records,
        }


def predict(
    options: PredictionOptions, rows: Rows, *, shown: str = VALUES, listener: Listener | None = None
) -> Predictions:
    """Answer rows. With `out`, the same call again resumes after any stop, and gives the file of a call that was never stopped.

    Args:
        options: the model, how it is asked, and what is written.
        rows: a file, texts, or rows.
        shown: what texts or rows are called in errors.
        listener: receives progress.

    Raises:
        InputError: model, rows or options are wrong; InputErrors for several rows. Nothing is answered then.
        MachineError: the disk, the memory, or another process stood in the way.
    """
    listener = listener or SilentListener()
    listener.stage("check")
    options.check()
    inputs = [path for path in (rows if isinstance(rows, Path) else None, Path(options.model)) if path]
    table = None if options.out is None else Table(options.out, inputs)
    if table is not None:
        table.check(may_exist=any((folder / _WRITING).exists() for folder in _begun(table.path)))
    asker = asker_of(options, say=partial(listener.stage, "model"))
    read = read_rows(rows, asker.prompts, shown=shown)
    for note in _notes(read.data.source):
        listener.stage("rows", note)
    prompted = asker.prompts.prompts(read.data)
    kept = _kept(prompted, options.keep, ids=read.ids)
    questions = asker.questions(prompted, options)
    if questions.shortened:
        listener.stage("rows", f"{questions.shortened} prompts are cut to fit the model")
    with _answer_folder(asker, questions, table) as folder:
        is_written = (folder.path / _WRITING).exists()
        if table is not None:
            table.check(may_exist=is_written)
            for other in _begun(table.path):
                if other.name != folder.path.name:
                    note = f"{other.name} holds answers that were begun otherwise; remove it if nobody goes on with them"
                    listener.stage("rows", note)
        answers = _answer(asker, questions, folder, listener)
        records = [
            record
            for row_id, columns, record_rows in zip(read.ids, kept, _records(questions, answers), strict=True)
            for record in ({ID: row_id, **record_row, **columns} for record_row in record_rows)
        ]
        if table is not None:
            files.write_text(folder.path / _WRITING, "")
            table.write(records, may_exist=is_written)
    cut = sum(record[FINISH] == "length" for record in records)
    return Predictions(tuple(records), len(prompted), cut, questions.shortened, options.out)


def _notes(source: Mapping[str, Json]) -> Sequence[str]:
    notes = source.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _kept(rows: Sequence[Prompted], names: Sequence[str], *, ids: Sequence[Json]) -> list[Record]:
    """The columns of each row that are carried along; null where a row lacks one that others have.

    Raises:
        InputError: no row has such a column, or it is called like one of the output; InputErrors for several.
    """
    present = dict.fromkeys(name for row in rows for name in row.fields)
    wanted = [*dict.fromkeys(present if ALL_COLUMNS in names else names)]
    if ID in wanted and [row.fields.get(ID) for row in rows] == list(ids):
        wanted.remove(ID)  # it is the output's own
    errors = [
        InputError(
            "no row has a column to keep",
            where=f"--keep {name}",
            found="the columns " + ", ".join(present),
            expected=name,
            fix=did_you_mean(name, list(present), form="--keep {}") or "leave it out of --keep",
        )
        for name in wanted
        if name not in present
    ]
    errors += [
        InputError(
            "the column is called like one of the output",
            where=f"--keep {name}",
            found=name,
            expected=f"another name than {', '.join(_OWN)}",
            fix="rename the column in the file, or name the others that you want with --keep",
        )
        for name in wanted
        if name in present and name in _OWN
    ]
    raise_all("--keep", errors)
    return [{name: row.fields.get(name) for name in wanted} for row in rows]


def _begun(out: Path) -> list[Path]:
    """The folders in which answers for this file were begun."""
    return [path for path in out.absolute().parent.glob(f".{out.name}.*.answers") if path.is_dir()]


@contextmanager
def _answer_folder(asker: Asker, questions: Questions, table: Table | None) -> Iterator[AnswerFolder]:
    """The folder of the answers so far: beside the output until that is written, else one that is gone when the block ends."""
    requests = [request for row in questions.generate for request in row] + _choose(questions)
    identity = hashing.of_json([asker.fingerprint, [decoding_key(request) for request in requests]])
    if table is None:
        with tempfile.TemporaryDirectory(prefix="tutelage-answers-") as scratch:
            yield AnswerFolder(Path(scratch), identity)
        return
    out = table.path.absolute()
    folder = AnswerFolder(out.with_name(f".{out.name}.{identity[:16]}.answers"), identity)
    yield folder
    shutil.rmtree(folder.path, ignore_errors=True)


def _answer(
    asker: Asker, questions: Questions, folder: AnswerFolder, listener: Listener
) -> dict[str, Response]:
    """The responses to all requests by request id: those that are stored, those of the cache, then those of the model."""
    clock = template_clock.clock_for(folder.path, first=asker.prompts.instant)
    listener.stage("load")
    loaded = asker.load(clock)
    responses: dict[str, Response] = {}
    with folder.open(clock, say=partial(listener.stage, "cache")) as (store, cache):
        evaluator = evaluator_of(loaded, store, cache, listener)
        texts = [request for row in questions.generate for request in row]
        for stage, requests in (("answers", texts), ("likelihoods", _choose(questions))):
            if requests:
                listener.stage(stage)
                responses |= _ask(evaluator, stage, requests)
    return responses


def _ask(evaluator: ModelEvaluator, name: str, requests: Sequence[Request]) -> dict[str, Response]:
    items = [
        Item(request.id, "", conversation_text(request.prompt, request.history), ()) for request in requests
    ]
    return evaluator.answer(_SUITE, name, items, requests)[1]


def _choose(questions: Questions) -> list[Request]:
    return [request for request in questions.choose if request is not None]


def _records(questions: Questions, responses: Mapping[str, Response]) -> Iterator[list[Record]]:
    """For each row the columns of its answers."""
    for texts, choice in zip(questions.generate, questions.choose, strict=True):
        likelihoods: Record = {}
        if choice is not None:
            pairs = zip(choice.choices, responses[choice.id].logprobs, strict=True)
            likelihoods = {LIKELIHOODS: dict(pairs)}
        if not texts:
            assert choice is not None
            chosen = responses[choice.id]
            yield [{PREDICTION: chosen.text, FINISH: chosen.finish, **likelihoods}]
            continue
        yield [
            {
                **({SAMPLE: sample} if len(texts) > 1 else {}),
                PREDICTION: responses[text.id].text,
                FINISH: responses[text.id].finish,
                **likelihoods,
            }
            for sample, text in enumerate(texts, 1)
        ]
