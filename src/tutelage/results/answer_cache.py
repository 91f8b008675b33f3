"""Answers that were given before, kept under hashes of all that they depend on, from one evaluation to the next.

    CACHE/answers/answers.sqlite

A key is content alone: the model's and the request's, never a name. An answer that was kept is on the disk when `keep` has
returned, any number of processes may use the file at once, and a process may be killed at any instruction. A file that
is damaged or cannot be written is told once, and then nothing is found and nothing kept: the cache never stops an evaluation.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tutelage.core import hashing, yamltext
from tutelage.core.errors import MachineError
from tutelage.core.locks import locked
from tutelage.core.types import Request, Response
from tutelage.results.database import BUSY_SECONDS, atomic

AT_ONCE = 500
"""Keys that are looked up in one statement, which may hold 999 values in any SQLite."""
SPARED = 0.9
"""When the file is full, rows go until it holds this share of what it may: not every batch shall have to make room."""


@cache
def schema() -> dict[str, Any]:
    """The version that goes into every key, and the statements that make the table."""
    loaded: dict[str, Any] = yamltext.table("tutelage.results", "answer_cache.yaml")
    return loaded


def key_of(model: str, request: Request) -> bytes:
    """The sha256 of all that an answer depends on.

    Args:
        model: a hash of what decides the model's answers: weights, tokenizer, chat template, program, machine.
        request: every field counts but its id, those that come to be as well.
    """
    asked = {field.name: getattr(request, field.name) for field in fields(request) if field.name != "id"}
    told = [field.name for field in fields(Response)]
    return bytes.fromhex(hashing.of_json([schema()["version"], model, asked, told]))


def repeats(request: Request) -> bool:
    """Whether the same request gets the same answer: what is drawn by chance is never kept."""
    # Requests are greedy, as there is no such field; this stands guard should they ever have one.
    return not getattr(request, "temperature", None)


class Answers:
    """The file of answers, open. Use it in a `with` block or close it.

    Args:
        path: the file; it and its folder are made when they are not there.
        most: the bytes that it may have; beyond them the answers that were used longest ago go first.
        say: told once, in one line, when the file cannot be used.
    """

    def __init__(self, path: Path, *, most: int, say: Callable[[str], None]) -> None:
        self.path = path
        self._most = most
        self._say = say
        self._connection: sqlite3.Connection | None = None
        with self._spared():
            self._connection = _opened(path)

    def find(self, model: str, requests: Sequence[Request]) -> list[Response]:
        """The answers that are known, with the requests' ids, in the requests' order."""
        found: list[Response] = []
        for start in range(0, len(requests), AT_ONCE):
            with self._spared():
                found += self._find(model, requests[start : start + AT_ONCE])
        return found

    def keep(self, model: str, answered: Sequence[tuple[Request, Response]]) -> None:
        """Keep answers; when this returns they are on the disk, unless the file cannot be used. Known ones stay as they are."""
        now = time.time_ns()
        rows = []
        for request, response in answered:
            if repeats(request) and (answer := _written(response)) is not None:
                key = key_of(model, request)
                rows.append((key, answer, _proof(key, answer), now))
        if self._connection is None or not rows:
            return
        with self._spared(), atomic(self._connection):
            self._connection.executemany(
                "INSERT INTO answers (key, answer, proof, used) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET used = excluded.used",
                rows,
            )
            self._make_room()
        self._shrink()

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in by the last one to close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, model: str, requests: Sequence[Request]) -> list[Response]:
        if self._connection is None:
            return []
        keys = {request.id: key_of(model, request) for request in requests if repeats(request)}
        wanted = list(dict.fromkeys(keys.values()))
        places = ", ".join("?" * len(wanted))
        rows = self._connection.execute(
            f"SELECT key, answer, proof FROM answers WHERE key IN ({places})",  # noqa: S608 - question marks
            wanted,
        ).fetchall()
        good = {key: answer for key, answer, proof in rows if _proof(key, answer) == proof}
        known = {key: response for key, answer in good.items() if (response := _read(answer)) is not None}
        bad = [(key,) for key, _, _ in rows if key not in known]
        if rows:
            with atomic(self._connection):
                now = time.time_ns()
                self._connection.executemany(
                    "UPDATE answers SET used = ? WHERE key = ?", [(now, key) for key in known]
                )
                self._connection.executemany("DELETE FROM answers WHERE key = ?", bad)
        return [replace(known[key], id=id_) for id_, key in keys.items() if key in known]

    def _make_room(self) -> None:
        """Remove what was used longest ago while the file is too large."""
        assert self._connection is not None
        size = self._size()
        if size <= self._most:
            return
        goal = int(SPARED * self._most)
        count = self._number("SELECT count(*) FROM answers")
        while size > goal and count:
            going = max(1, int(count * (size - goal) / size))
            self._connection.execute(
                "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY used, id LIMIT ?)", (going,)
            )
            count -= going
            size = self._size()

    def _shrink(self) -> None:
        """Give back to the disk what rows left free, when the file itself is too large."""
        if self._connection is None:
            return
        with self._spared():
            if self._number("PRAGMA page_count") * self._number("PRAGMA page_size") > self._most:
                # It frees a page a step, and `execute` takes but one step of what gives no rows.
                self._connection.executescript("PRAGMA incremental_vacuum")

    def _size(self) -> int:
        """The bytes of the file's pages that hold something."""
        pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        return pages * self._number("PRAGMA page_size")

    def _number(self, query: str) -> int:
        assert self._connection is not None
        return int(self._connection.execute(query).fetchone()[0])

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """Whatever is wrong with the file: told once, and then it is left alone."""
        try:
            yield
        except (sqlite3.Error, OSError, MachineError) as error:
            problem = error.problem if isinstance(error, MachineError) else str(error)
            self.close()
            self._say(f"the kept answers cannot be used, so all is asked: {problem} ({self.path})")


def _opened(path: Path) -> sqlite3.Connection:
    # Two processes that make the file at once, and set its mode, may find it locked without being made to wait.
    with locked(path.with_name(".lock"), what="the answers of before", wait=BUSY_SECONDS):
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


def _proof(key: bytes, answer: bytes) -> bytes:
    return hashlib.sha256(key + answer).digest()[:16]


def _written(response: Response) -> bytes | None:
    """A response as JSON; None for one that would not be read as it was written."""
    said = {name: value for name, value in asdict(response).items() if name != "id"}
    try:
        text = json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        answer = text.encode("utf-8")
    except (TypeError, ValueError):
        return None
    read = _read(answer)
    return answer if read is not None and replace(read, id=response.id) == response else None


def _read(answer: bytes) -> Response | None:
    """The response without an id; None for what is none."""
    try:
        said: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(answer).items()
        }
        return Response(id="", **said)
    except (TypeError, ValueError, AttributeError):
        return None
