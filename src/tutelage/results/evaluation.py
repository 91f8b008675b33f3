"""One model's answers to one list of items, and what they scored."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from tutelage.core import hashing
from tutelage.core.errors import InputError, MachineError
from tutelage.core.types import Json, Response
from tutelage.metrics.score import ItemScores, Score
from tutelage.results import columns
from tutelage.results.database import transaction, words


@dataclass(frozen=True, slots=True)
class Item:
    """One thing asked: what a person needs to read a response, and what a metric needs to score it.

    `part` is the subject or kind that the item belongs to, '' when there are none.
    """

    id: str
    part: str
    prompt: str
    references: tuple[str, ...]
    fields: Mapping[str, Json] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The sha256 of all of it: two items are the same when their keys are."""
        return hashing.of_json([self.id, self.part, self.prompt, list(self.references), dict(self.fields)])


class Evaluation:
    """One model answering one list of items in one way. Made by `Store.evaluation`, listed by `Store.evaluations`.

    Attributes:
        model: "base", "tuned", or the label it was given.
        suite: "task" or "benchmark".
        name: the task's or benchmark's name.
        fingerprint: stands for weights, items and decoding.
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
        self._session: int | None = None

    def __repr__(self) -> str:
        return f"Evaluation(model={self.model!r}, suite={self.suite!r}, name={self.name!r})"

    def declare(self, items: Sequence[Item]) -> None:
        """State what is asked, in order, before the first response. The same list again changes nothing.

        Raises:
            InputError: two items have one id, or another list was declared before.
        """
        _refuse_twins(items, where=f"{self._path}: {self.name}")
        with transaction(self._connection, self._path):
            keys = [item.key for item in items]
            known = self._declared_keys()
            if known and known != keys:
                raise InputError(
                    f"{self.name!r} was begun with other items",
                    where=str(self._path),
                    found=f"{len(keys)} items, of which {len(set(keys) & set(known))} are the ones asked before",
                    expected=f"the {len(known)} items asked before, in their order",
                    fix="evaluate into another folder with --out, or bring back the data as it was",
                )
            if not known:
                self._insert_items(items, keys)

    def items(self) -> tuple[Item, ...]:
        """What was declared, in its order."""
        with words(self._path):
            found = self._connection.execute(
                "SELECT i.id, i.part, i.prompt, i.reference_texts, i.fields FROM declared d JOIN items i ON i.key = d.item "
                "WHERE d.evaluation = ? ORDER BY d.position",
                (self._id,),
            ).fetchall()
        return tuple(self._item(*row) for row in found)

    def add(self, responses: Sequence[Response]) -> None:
        """Keep responses, all or none; when this returns they are on the disk. The same response again changes nothing.

        Raises:
            InputError: a response to something that was not declared, a log-probability that is not a finite number,
                or another answer than the one that is there.
        """
        if not responses:
            return
        with transaction(self._connection, self._path):
            declared = {
                item_id for (item_id,) in self._select("SELECT item_id FROM declared WHERE evaluation = ?")
            }
            for response in responses:
                self._add_one(response, declared, self._this_session())

    def responses(self) -> dict[str, Response]:
        """What was answered so far, by item id, in the order of the items."""
        with words(self._path):
            found = self._select(
                "SELECT r.item_id, r.text, r.finish, r.tokens, r.choice, r.logprobs, r.lengths FROM responses r "
                "JOIN declared d USING (evaluation, item_id) WHERE evaluation = ? ORDER BY d.position"
            )
        return {
            row[0]: columns.response(row, path=self._path, where=f"{self.name}: item {row[0]!r}")
            for row in found
        }

    def put_scores(
        self, part: str, scored: Mapping[str, ItemScores], *, primary: str, ids: Sequence[str] | None = None
    ) -> None:
        """Keep the scores of one part ('' is the whole) and their values per item; what stood there is replaced.

        A metric that counts none of the part's items (n is 0) has no value and is left out.

        Args:
            part: the part's name.
            scored: by metric; `rows` are indices into the part's items in declared order.
            primary: the metric that decides.
            ids: the items that `rows` are indices into, when they are not the part's items in declared order.
        """
        counted = {metric: value for metric, value in scored.items() if value.score.n > 0}
        if primary not in counted:
            raise InputError(
                "the primary metric was not scored, or counts none of these items",
                where=f"{self.name}: {part}" if part else self.name,
                found=primary,
                expected=", ".join(counted),
            )
        names = list(ids) if ids is not None else self._names(part)
        with transaction(self._connection, self._path):
            self._connection.execute(
                "UPDATE evaluations SET scored = 1 + (SELECT max(scored) FROM evaluations) WHERE id = ?",
                (self._id,),
            )
            self._connection.execute("DELETE FROM scores WHERE evaluation = ? AND part = ?", (self._id, part))
            for position, (metric, value) in enumerate(counted.items()):
                self._put_one(part, metric, position, value, names, is_primary=metric == primary)

    def parts(self) -> list[str]:
        """The parts that have scores, '' for the whole among them."""
        with words(self._path):
            found = self._select("SELECT DISTINCT part FROM scores WHERE evaluation = ? ORDER BY part")
        return [part for (part,) in found]

    def primary(self, part: str = "") -> str | None:
        """The metric that decides, or None when the part has no scores."""
        with words(self._path):
            found = self._select(
                "SELECT metric FROM scores WHERE evaluation = ? AND is_primary AND part = ?", part
            )
        return cast("str", found[0][0]) if found else None

    def scores(self, part: str = "") -> dict[str, ItemScores]:
        """The scores of a part by metric, `rows` as they were put."""
        return {metric: scored for metric, (scored, _) in self.item_scores(part).items()}

    def item_scores(self, part: str = "") -> dict[str, tuple[ItemScores, tuple[str, ...]]]:
        """The scores of a part by metric, each with the ids of the items that it counts."""
        with words(self._path):
            heads = self._select(
                "SELECT metric, value, low, high, n, signature, higher_is_better FROM scores "
                "WHERE evaluation = ? AND part = ? ORDER BY position",
                part,
            )
            return {head[0]: self._scored(part, head) for head in heads}

    def digests(self) -> dict[str, str]:
        """Hashes of all that was asked and answered (`answers`), and of all that it scored (`scores`)."""
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
        items = (
            "SELECT part, metric, position, item_id, value, statistics, cluster FROM item_scores "
            "WHERE evaluation = ? ORDER BY part, metric, position"
        )
        with words(self._path):
            return {
                "answers": hashing.of_rows(self._connection.execute(answers, (self._id,))),
                "scores": hashing.of_rows(
                    chain(
                        self._connection.execute(scores, (self._id,)),
                        self._connection.execute(items, (self._id,)),
                    )
                ),
            }

    def provenance(self) -> list[dict[str, Any]]:
        """Where and with what it was answered: an entry for each process that added responses, and one for kept ones."""
        with words(self._path):
            found = self._select("SELECT provenance FROM sessions WHERE evaluation = ? ORDER BY id")
        return [
            columns.json_value(text, dict, path=self._path, where=f"{self.name}: provenance")
            for (text,) in found
        ]

    def _select(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, (self._id, *values)).fetchall()

    def _names(self, part: str) -> list[str]:
        """The ids of a part's items in declared order; '' is the whole."""
        found = self._connection.execute(
            "SELECT d.item_id FROM declared d JOIN items i ON i.key = d.item "
            "WHERE d.evaluation = :id AND :part IN ('', i.part) ORDER BY d.position",
            {"id": self._id, "part": part},
        )
        return [name for (name,) in found]

    def _declared_keys(self) -> list[str]:
        return [
            key for (key,) in self._select("SELECT item FROM declared WHERE evaluation = ? ORDER BY position")
        ]

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

    def _this_session(self) -> int:
        """The row that says where this process runs; made with its first responses."""
        if self._session is None:
            if self._provenance is None:
                raise MachineError(
                    "an evaluation taken from a listing is for reading",
                    where=str(self._path),
                    found=repr(self),
                )
            done = self._connection.execute(
                "INSERT INTO sessions (evaluation, provenance) VALUES (?, ?)",
                (self._id, _json(dict(self._provenance))),
            )
            assert done.lastrowid is not None
            self._session = done.lastrowid
        return self._session

    def _add_one(self, response: Response, declared: set[str], session: int) -> None:
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
        known = self._select(
            "SELECT text, finish, tokens, choice, logprobs, coalesce(lengths, ?2) FROM responses "
            "WHERE evaluation = ?1 AND item_id = ?3",
            values[-1],
            response.id,
        )
        if known and known[0] != values:
            raise InputError(
                "the item has another answer already",
                where=where,
                found=repr(response.text[:80]),
                expected=repr(known[0][0][:80]),
                fix="a fingerprint must differ whenever weights, prompts or decoding do",
            )
        if not known:
            self._connection.execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self._id, response.id, session, *values),
            )

    def _put_one(
        self,
        part: str,
        metric: str,
        position: int,
        scored: ItemScores,
        names: Sequence[str],
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
        self._connection.executemany(
            "INSERT INTO item_scores VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    self._id,
                    part,
                    metric,
                    row,
                    names[row],
                    None if math.isnan(value) else value,
                    line.tobytes(),
                    cluster,
                )
                for row, value, line, cluster in zip(
                    scored.rows, scored.items.tolist(), statistics, clusters, strict=True
                )
            ],
        )

    def _scored(self, part: str, head: tuple[Any, ...]) -> tuple[ItemScores, tuple[str, ...]]:
        metric, value, low, high, n, signature, higher = head
        lines = self._select(
            "SELECT position, item_id, value, statistics, cluster FROM item_scores WHERE evaluation = ? AND part = ? AND metric = ? "
            "ORDER BY position",
            part,
            metric,
        )
        where = f"{self.name}: scores of {metric}" + (f", part {part}" if part else "")
        columns.require_scores(head[1:4], lines, path=self._path, where=where)
        statistics = [np.frombuffer(line[3], dtype="<f8") for line in lines]
        scored = ItemScores(
            metric=metric,
            score=Score(value=value, low=low, high=high, n=n, signature=signature),
            rows=tuple(line[0] for line in lines),
            items=np.array([math.nan if line[2] is None else line[2] for line in lines], dtype=np.float64),
            statistics=np.array(statistics, dtype=np.float64).reshape(len(lines), -1 if lines else 0),
            higher_is_better=bool(higher),
            clusters=_clusters([line[4] for line in lines]),
        )
        return scored, tuple(line[1] for line in lines)

    def _item(self, id_: str, part: str, prompt: str, references: str, fields: str) -> Item:
        where = f"{self.name}: item {id_!r}"
        texts = columns.texts(references, path=self._path, where=where)
        values = columns.json_value(fields, dict, path=self._path, where=where)
        return Item(id_, part, prompt, texts, values)


def _refuse_twins(items: Sequence[Item], *, where: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise InputError(
                "two items have the same id", where=where, found=repr(item.id), fix="give each its own"
            )
        seen.add(item.id)


def _clusters(found: Sequence[int | None]) -> npt.NDArray[np.int64] | None:
    numbers = [cluster for cluster in found if cluster is not None]
    return np.array(numbers, dtype=np.int64) if numbers else None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
