"""A cache of model answers, shared by all evaluations on this machine.

    CACHE/answers/answers.sqlite

The key of an answer is a hash of everything that the answer depends on: the model's content and the request's, never a
name. An answer is on the disk when `AnswerCache.add` has returned. Any number of processes may use the file at once, and a
process may be killed at any time. A file that is damaged or cannot be written is reported once; after that nothing is
looked up or added. The cache never stops an evaluation.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from tutelage.core import hashing, yamltext
from tutelage.core.errors import MachineError
from tutelage.core.locks import locked
from tutelage.core.types import Request, Response
from tutelage.results.database import BUSY_SECONDS, atomic

KEYS_PER_QUERY = 500
"""SQLite takes 999 values in one statement, whatever its version."""
_NEWER_FIELDS = ("continuation", "sampling")
"""Fields that requests did not have when the first answers were cached: unset, they leave the key as it was."""
TARGET_SHARE = 0.9
"""A full file is emptied to this share of its limit, so that not every batch has to delete rows."""


def schema() -> dict[str, Any]:
    """The version that is part of every key, and the statements that create the table."""
    return yamltext.table("tutelage.results", "answer_cache.yaml")


def answer_key(model: str, request: Request) -> bytes:
    """The sha256 of everything that an answer depends on.

    Args:
        model: a hash of what decides the model's answers: weights, tokenizer, chat template, program, machine.
        request: every field counts, also fields that are added later; `_NEWER_FIELDS` where they are set, and the id where
            the answer is sampled, as it decides what is drawn.
    """
    request_values = {
        name: value
        for name, value in asdict(request).items()
        if (name != "id" or request.sampling) and (name not in _NEWER_FIELDS or value)
    }
    response_fields = [field.name for field in fields(Response)]
    return bytes.fromhex(hashing.of_json([schema()["version"], model, request_values, response_fields]))


class AnswerCache(AbstractContextManager["AnswerCache"]):
    """The open cache file. Use it in a `with` block or close it.

    Args:
        path: the file; it and its folder are created if they do not exist.
        max_bytes: the size limit in bytes; beyond it the answers that were used longest ago are deleted.
        say: called once, with one line, when the file cannot be used.
    """

    def __init__(self, path: Path, *, max_bytes: int, say: Callable[[str], None]) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._say = say
        self._connection: sqlite3.Connection | None = None
        with self._disabled_on_error():
            self._connection = _connect(path)

    def find(self, model: str, requests: Sequence[Request]) -> list[Response]:
        """The cached answers, with the ids of the requests and in their order; requests without one are left out."""
        responses: list[Response] = []
        for start in range(0, len(requests), KEYS_PER_QUERY):
            with self._disabled_on_error():
                responses += self._find(model, requests[start : start + KEYS_PER_QUERY])
        return responses

    def add(self, model: str, answered: Sequence[tuple[Request, Response]]) -> None:
        """Add answers; they are on the disk when this returns. An answer that is already cached stays as it is."""
        now = time.time_ns()
        rows = []
        for request, response in answered:
            if (answer := _serialize(response)) is not None:
                key = answer_key(model, request)
                rows.append((key, answer, _checksum(key, answer), now))
        if self._connection is None or not rows:
            return
        with self._disabled_on_error():
            with atomic(self._connection):
                self._connection.executemany(
                    "INSERT INTO answers (key, answer, proof, used) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET used = excluded.used",
                    rows,
                )
                self._delete_oldest()
            if self._number("PRAGMA page_count") * self._number("PRAGMA page_size") > self._max_bytes:
                # The pragma frees one page per step, and `execute` runs one step of a statement without rows.
                self._connection.executescript("PRAGMA incremental_vacuum")

    def close(self) -> None:
        """Close the file; the last process to close it also folds in the write-ahead log."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, model: str, requests: Sequence[Request]) -> list[Response]:
        if self._connection is None:
            return []
        keys = {request.id: answer_key(model, request) for request in requests}
        distinct_keys = list(dict.fromkeys(keys.values()))
        marks = ", ".join("?" * len(distinct_keys))
        rows = self._connection.execute(
            f"SELECT key, answer, proof FROM answers WHERE key IN ({marks})",  # noqa: S608 - question marks
            distinct_keys,
        ).fetchall()
        responses = {
            key: response
            for key, answer, checksum in rows
            if _checksum(key, answer) == checksum and (response := _deserialize(answer)) is not None
        }
        damaged_keys = [(key,) for key, _, _ in rows if key not in responses]
        if rows:
            with atomic(self._connection):
                now = time.time_ns()
                self._connection.executemany(
                    "UPDATE answers SET used = ? WHERE key = ?", [(now, key) for key in responses]
                )
                self._connection.executemany("DELETE FROM answers WHERE key = ?", damaged_keys)
        return [replace(responses[key], id=id_) for id_, key in keys.items() if key in responses]

    def _delete_oldest(self) -> None:
        """Delete the answers that were used longest ago if the file is above its limit."""
        assert self._connection is not None
        size = self._used_bytes()
        if size <= self._max_bytes:
            return
        target = int(TARGET_SHARE * self._max_bytes)
        count = self._number("SELECT count(*) FROM answers")
        while size > target and count:
            excess = max(1, int(count * (size - target) / size))
            self._connection.execute(
                "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY used, id LIMIT ?)",
                (excess,),
            )
            count -= excess
            size = self._used_bytes()

    def _used_bytes(self) -> int:
        """The bytes of the file's pages that are not free."""
        pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        return pages * self._number("PRAGMA page_size")

    def _number(self, query: str) -> int:
        assert self._connection is not None
        return int(self._connection.execute(query).fetchone()[0])

    @contextmanager
    def _disabled_on_error(self) -> Iterator[None]:
        """Turn any error of the file into one line, and close the cache for good."""
        try:
            yield
        except (sqlite3.Error, OSError, MachineError) as error:
            problem = error.problem if isinstance(error, MachineError) else str(error)
            self.close()
            self._say(f"the answer cache cannot be used, so all is asked: {problem} ({self.path})")


def _connect(path: Path) -> sqlite3.Connection:
    # While two processes create the file and set its mode, SQLite may report it as locked without waiting: hence a lock.
    with locked(path.with_name(".lock"), subject="the answer cache", wait=BUSY_SECONDS):
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA journal_size_limit = 4000000")
            connection.execute("PRAGMA synchronous = FULL")
            for statement in schema()["statements"]:
                connection.execute(statement)
            connection.execute("SELECT id, key, answer, proof, used FROM answers LIMIT 1").fetchall()
        except BaseException:
            connection.close()
            raise
    return connection


def _checksum(key: bytes, answer: bytes) -> bytes:
    return hashlib.sha256(key + answer).digest()[:16]


def _serialize(response: Response) -> bytes | None:
    """A response as JSON, without its id; None if reading it back would give another response."""
    values = {name: value for name, value in asdict(response).items() if name != "id"}
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        answer = text.encode("utf-8")
    except (TypeError, ValueError):
        return None
    reread = _deserialize(answer)
    return answer if reread is not None and replace(reread, id=response.id) == response else None


def _deserialize(answer: bytes) -> Response | None:
    """The response, with an empty id; None if the bytes are not a response."""
    try:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(answer).items()
        }
        return Response(id="", **values)
    except (TypeError, ValueError, AttributeError):
        return None
