"""One model's responses to one list of items, and their scores, in results.sqlite."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np

from tutelage.core import hashing
from tutelage.core.errors import InputError, MachineError
from tutelage.core.types import Json, Response
from tutelage.metrics.score import ItemScores, Score
from tutelage.results import columns
from tutelage.results.database import select, transaction, translated_errors


@dataclass(frozen=True, slots=True)
class Item:
    """One question: what a person needs to read the response, and what a metric needs to score it.

    Attributes:
        id: unique in its evaluation.
        part: the subject or kind of item, '' if there are none.
        prompt: as it is shown to people, without exemplars.
        references: correct or reference answers.
        fields: further values of the row.
    """

    id: str
    part: str
    prompt: str
    references: tuple[str, ...]
    fields: Mapping[str, Json] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The sha256 of all fields: two items are the same if their keys are."""
        return hashing.of_json([self.id, self.part, self.prompt, list(self.references), dict(self.fields)])


class Evaluation:
    """One model's responses to one list of items in one way. Made by `Store.evaluation`, listed by `Store.evaluations`.

    Attributes:
        model: "base", "tuned", or another label.
        suite: "task" or "benchmark".
        name: the task's or benchmark's name.
        fingerprint: a hash of weights, items and decoding.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        row: tuple[int, str, str, str, str],
        provenance: Mapping[str, Any] | None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._id, self.model, self.suite, self.name, self.fingerprint = row
        self._provenance = provenance
        self._session_id: int | None = None

    def __repr__(self) -> str:
        return f"Evaluation(model={self.model!r}, suite={self.suite!r}, name={self.name!r})"

    def declare(self, items: Sequence[Item]) -> None:
        """Write the items, in order, before the first response. Declaring the same list again changes nothing.

        Raises:
            InputError: two items have the same id, or another list was declared before.
        """
        _require_unique_ids(items, where=f"{self._path}: {self.name}")
        with transaction(self._connection, self._path):
            keys = [item.key for item in items]
            declared_keys = [
                key
                for (key,) in self._select("SELECT item FROM declared WHERE evaluation = ? ORDER BY position")
            ]
            if declared_keys and declared_keys != keys:
                raise InputError(
                    f"{self.name!r} was begun with other items",
                    where=str(self._path),
                    found=f"{len(keys)} items, of which {len(set(keys) & set(declared_keys))} are the ones asked before",
                    expected=f"the {len(declared_keys)} items asked before, in their order",
                    fix="evaluate into another folder with --out, or bring back the data as it was",
                )
            if not declared_keys:
                self._insert_items(items, keys)

    def items(self) -> tuple[Item, ...]:
        """The declared items, in order."""
        rows = self._select(
            "SELECT i.id, i.part, i.prompt, i.reference_texts, i.fields FROM declared d JOIN items i ON i.key = d.item "
            "WHERE d.evaluation = ? ORDER BY d.position"
        )
        return tuple(self._item(*row) for row in rows)

    def add(self, responses: Sequence[Response]) -> None:
        """Write responses, all or none; they are on the disk when this returns. The same response again changes nothing.

        Raises:
            InputError: an item was not declared, has another response already, or a log-probability is not a finite number.
        """
        if not responses:
            return
        with transaction(self._connection, self._path):
            declared = {
                item_id for (item_id,) in self._select("SELECT item_id FROM declared WHERE evaluation = ?")
            }
            for response in responses:
                self._insert_response(response, declared, self._session())

    def responses(self) -> dict[str, Response]:
        """The responses so far by item id, in the order of the items."""
        rows = self._select(
            "SELECT r.item_id, r.text, r.finish, r.tokens, r.choice, r.logprobs, r.lengths FROM responses r "
            "JOIN declared d USING (evaluation, item_id) WHERE evaluation = ? ORDER BY d.position"
        )
        return {
            row[0]: columns.response(row, path=self._path, where=f"{self.name}: item {row[0]!r}")
            for row in rows
        }

    def cut_answers(self) -> tuple[int, int]:
        """How many responses ended at the limit of tokens, and how many there are."""
        ((cut, count),) = self._select(
            "SELECT coalesce(sum(finish = 'length'), 0), count(*) FROM responses WHERE evaluation = ?"
        )
        return int(cut), int(count)

    def write_scores(
        self, part: str, scored: Mapping[str, ItemScores], *, primary: str, ids: Sequence[str] | None = None
    ) -> None:
        """Write the scores of one part ('' is the whole) with their values per item, replacing earlier ones.

        A metric that counts no item of the part (n is 0) has no value and is left out.

        Args:
            part: the part's name.
            scored: by metric; `rows` are indices into `ids`.
            primary: the primary metric.
            ids: the ids of the part's items; by default those of the declared items of this part, in order.

        Raises:
            InputError: the primary metric has no value, or a score is not a finite number.
        """
        counted = {metric: value for metric, value in scored.items() if value.score.n > 0}
        if primary not in counted:
            raise InputError(
                "the primary metric was not scored, or counts none of these items",
                where=f"{self.name}: {part}" if part else self.name,
                found=primary,
                expected=", ".join(counted),
            )
        item_ids = list(ids) if ids is not None else self._ids_of_part(part)
        with transaction(self._connection, self._path):
            self._connection.execute(
                "UPDATE evaluations SET scored = 1 + (SELECT max(scored) FROM evaluations) WHERE id = ?",
                (self._id,),
            )
            self._connection.execute("DELETE FROM scores WHERE evaluation = ? AND part = ?", (self._id, part))
            for position, (metric, value) in enumerate(counted.items()):
                self._insert_score(part, metric, position, value, item_ids, is_primary=metric == primary)

    def parts(self) -> list[str]:
        """The parts that have scores; '' stands for the whole."""
        rows = self._select("SELECT DISTINCT part FROM scores WHERE evaluation = ? ORDER BY part")
        return [part for (part,) in rows]

    def primary(self, part: str = "") -> str | None:
        """The primary metric, None if the part has no scores."""
        rows = self._select(
            "SELECT metric FROM scores WHERE evaluation = ? AND is_primary AND part = ?", part
        )
        return cast("str", rows[0][0]) if rows else None

    def scores(self, part: str = "") -> dict[str, ItemScores]:
        """The scores of a part by metric, with `rows` as they were written."""
        return {metric: scored for metric, (scored, _) in self.item_scores(part).items()}

    def item_scores(self, part: str = "") -> dict[str, tuple[ItemScores, tuple[str, ...]]]:
        """The scores of a part by metric, each with the ids of the items it counts."""
        rows = self._select(
            "SELECT metric, value, low, high, n, signature, higher_is_better FROM scores "
            "WHERE evaluation = ? AND part = ? ORDER BY position",
            part,
        )
        return {row[0]: self._scored(part, row) for row in rows}

    def digests(self) -> dict[str, str]:
        """Hash the items and responses (`answers`), and all scores (`scores`)."""
        answers = (
            "SELECT d.position, d.item_id, i.part, i.prompt, i.reference_texts, i.fields, r.text, r.finish, r.tokens, r.choice, "
            "r.logprobs, r.lengths FROM declared d JOIN items i ON i.key = d.item "
            "LEFT JOIN responses r ON r.evaluation = d.evaluation AND r.item_id = d.item_id "
            "WHERE d.evaluation = ? ORDER BY d.position"
        )
        scores = (
            "SELECT part, metric, position, is_primary, value, low, high, n, signature, higher_is_better FROM scores "
            "WHERE evaluation = ? ORDER BY part, position, metric"
        )
        item_scores = (
            "SELECT part, metric, position, item_id, value, statistics, cluster FROM item_scores "
            "WHERE evaluation = ? ORDER BY part, metric, position"
        )
        with translated_errors(self._path):
            # Straight from the cursors, so that not all rows are in memory at once.
            cursors = [
                self._connection.execute(query, (self._id,)) for query in (answers, scores, item_scores)
            ]
            return {
                "answers": hashing.of_rows(cursors[0]),
                "scores": hashing.of_rows(chain(*cursors[1:])),
            }

    def provenance(self) -> list[dict[str, Any]]:
        """Where the responses come from: one entry per process that added some, and one for those of the answer cache."""
        rows = self._select("SELECT provenance FROM sessions WHERE evaluation = ? ORDER BY id")
        return [
            columns.json_value(text, dict, path=self._path, where=f"{self.name}: provenance")
            for (text,) in rows
        ]

    def _select(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        return select(self._connection, self._path, query, (self._id, *values))

    def _ids_of_part(self, part: str) -> list[str]:
        """The ids of a part's items in declared order; '' is the whole."""
        rows = self._select(
            "SELECT d.item_id FROM declared d JOIN items i ON i.key = d.item "
            "WHERE d.evaluation = ? AND ? IN ('', i.part) ORDER BY d.position",
            part,
        )
        return [item_id for (item_id,) in rows]

    def _insert_items(self, items: Sequence[Item], keys: Sequence[str]) -> None:
        rows = [
            (key, item.id, item.part, item.prompt, _json(list(item.references)), _json(dict(item.fields)))
            for item, key in zip(items, keys, strict=True)
        ]
        self._connection.executemany("INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._connection.executemany(
            "INSERT INTO declared VALUES (?, ?, ?, ?)",
            [
                (self._id, position, item.id, key)
                for position, (item, key) in enumerate(zip(items, keys, strict=True))
            ],
        )

    def _session(self) -> int:
        """The id of this process in `sessions`, inserted with its first responses."""
        if self._session_id is None:
            if self._provenance is None:
                raise MachineError(
                    "an evaluation from a listing is for reading",
                    where=str(self._path),
                    found=repr(self),
                )
            cursor = self._connection.execute(
                "INSERT INTO sessions (evaluation, provenance) VALUES (?, ?)",
                (self._id, _json(dict(self._provenance))),
            )
            assert cursor.lastrowid is not None
            self._session_id = cursor.lastrowid
        return self._session_id

    def _insert_response(self, response: Response, declared: set[str], session: int) -> None:
        where = f"{self._path}: {self.name}, item {response.id!r}"
        if response.id not in declared:
            raise InputError("a response to an item that was not declared", where=where)
        if not all(math.isfinite(value) for value in response.logprobs):
            raise InputError(
                "a log-probability is not a finite number",
                where=where,
                found=str(response.logprobs),
                fix="check the model's weights: it gives no usable number for this item",
            )
        values = (
            response.text, response.finish, response.tokens, response.choice, _json(list(response.logprobs)),
            _json(list(response.lengths)),
        )  # fmt: skip
        # Rows of schema version 1 have no lengths: they count as equal.
        present = self._select(
            "SELECT text, finish, tokens, choice, logprobs, coalesce(lengths, ?2) FROM responses "
            "WHERE evaluation = ?1 AND item_id = ?3",
            values[-1],
            response.id,
        )
        if present and present[0] != values:
            raise InputError(
                "the item has another answer already",
                where=where,
                found=repr(response.text[:80]),
                expected=repr(present[0][0][:80]),
                fix="a fingerprint must differ whenever weights, prompts or decoding do",
            )
        if not present:
            self._connection.execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self._id, response.id, session, *values),
            )

    def _insert_score(
        self,
        part: str,
        metric: str,
        position: int,
        scored: ItemScores,
        item_ids: Sequence[str],
        *,
        is_primary: bool,
    ) -> None:
        score = scored.score
        if not all(math.isfinite(value) for value in (score.value, score.low, score.high)):
            raise InputError(
                "a score is not a finite number",
                where=f"{self.name}: {metric}",
                found=f"{score}",
                expected="a number",
            )
        self._connection.execute(
            "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._id, part, metric, position, is_primary, score.value, score.low, score.high, score.n,
                score.signature, scored.higher_is_better,
            ),
        )  # fmt: skip
        clusters = [None] * len(scored.rows) if scored.clusters is None else scored.clusters.tolist()
        statistics = np.asarray(scored.statistics, dtype="<f8")
        columns_of_items = zip(scored.rows, scored.items.tolist(), statistics, clusters, strict=True)
        self._connection.executemany(
            "INSERT INTO item_scores VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    self._id, part, metric, row, item_ids[row], None if math.isnan(value) else value,
                    sums.tobytes(), cluster,
                )
                for row, value, sums, cluster in columns_of_items
            ],
        )  # fmt: skip

    def _scored(self, part: str, row: tuple[Any, ...]) -> tuple[ItemScores, tuple[str, ...]]:
        metric, value, low, high, n, signature, higher_is_better = row
        item_rows = self._select(
            "SELECT position, item_id, value, statistics, cluster FROM item_scores WHERE evaluation = ? AND part = ? AND metric = ? "
            "ORDER BY position",
            part,
            metric,
        )
        where = f"{self.name}: scores of {metric}" + (f", part {part}" if part else "")
        columns.require_scores((value, low, high), item_rows, path=self._path, where=where)
        positions, ids, values, statistics, clusters = (
            zip(*item_rows, strict=True) if item_rows else ((),) * 5
        )
        matrix = np.array([np.frombuffer(sums, dtype="<f8") for sums in statistics], dtype=np.float64)
        # Statistics and clusters of all items have the same form: `require_scores` has checked that.
        clustered = bool(clusters) and clusters[0] is not None
        scored = ItemScores(
            metric=metric,
            score=Score(value=value, low=low, high=high, n=n, signature=signature),
            rows=tuple(positions),
            items=np.array([math.nan if item is None else item for item in values], dtype=np.float64),
            statistics=matrix.reshape(len(item_rows), -1 if item_rows else 0),
            higher_is_better=bool(higher_is_better),
            clusters=np.array(clusters, dtype=np.int64) if clustered else None,
        )
        return scored, tuple(ids)

    def _item(self, id_: str, part: str, prompt: str, references: str, fields: str) -> Item:
        where = f"{self.name}: item {id_!r}"
        texts = columns.texts(references, path=self._path, where=where)
        values = columns.json_value(fields, dict, path=self._path, where=where)
        return Item(id_, part, prompt, texts, values)


def _require_unique_ids(items: Sequence[Item], *, where: str) -> None:
    counts = Counter(item.id for item in items)
    if repeated := [repr(item_id) for item_id, count in counts.items() if count > 1]:
        raise InputError(
            "two items have the same id", where=where, found=repeated[0], fix="give each its own"
        )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
