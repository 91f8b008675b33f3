"""Answers kept from one evaluation to the next, by what was asked of which weights: one SQLite file that many processes share.

The file is in write-ahead mode: a `put` that returned outlives a process that is killed, and readers wait for no writer. An answer
carries a checksum, and one that differs from it counts as not there. The largest number of bytes is kept to: those used longest ago
go first.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, cast

from tutelage.core.nouns import Response

SCHEMA = 1
_TABLE = (
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL, sum INTEGER NOT NULL, used INTEGER NOT NULL) "
    "STRICT, WITHOUT ROWID"
)
_WAIT = 30.0  # seconds for another process that writes
_FILLED = 0.8  # of the allowed size that stays when room is made


class Answers:
    """The file, open.

    Args:
        path: made when it is not there.
        most: the bytes that it may have.

    Raises:
        sqlite3.Error: it is no such file, is damaged, or may not be written.
    """

    def __init__(self, path: Path, *, most: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._most = most
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=_WAIT)
        try:
            self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_TABLE)
            self._connection.execute("CREATE INDEX IF NOT EXISTS by_use ON answers (used)")
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def get(self, keys: Sequence[str]) -> dict[str, Response]:
        """The answers that are there, by key; their `id` is empty, as it is no part of what was asked."""
        found: dict[str, Response] = {}
        for key in keys:
            row = self._connection.execute("SELECT answer, sum FROM answers WHERE key = ?", (key,)).fetchone()
            if row is not None and (response := _read(*row)) is not None:
                found[key] = response
        self._use(list(found))
        return found

    def put(self, answers: Mapping[str, Response]) -> None:
        """Keep answers; when it returns they outlive this process."""
        now = time.time_ns()
        rows = [
            (key, text := _text(answer), zlib.crc32(text.encode()), now) for key, answer in answers.items()
        ]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        if self._size() > self._most:
            self._make_room()

    def _use(self, keys: Sequence[str]) -> None:
        now = time.time_ns()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "UPDATE answers SET used = ? WHERE key = ?", [(now, key) for key in keys]
        )
        self._connection.execute("COMMIT")

    def _size(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _make_room(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        while self._size() > _FILLED * self._most:
            gone = self._connection.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY used, key LIMIT 200)"
            )
            if not gone.rowcount:
                break
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA incremental_vacuum").fetchall()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _text(answer: Response) -> str:
    told = [
        answer.text,
        answer.finish,
        answer.tokens,
        answer.choice,
        list(answer.logprobs),
        list(answer.lengths),
    ]
    return json.dumps(told, ensure_ascii=True, allow_nan=False)


def _read(text: str, total: int) -> Response | None:
    if zlib.crc32(text.encode()) != total:
        return None
    said, finish, tokens, choice, logprobs, lengths = json.loads(text)
    return Response(
        id="",
        text=said,
        finish=cast("Literal['stop', 'length', 'choice']", finish),
        tokens=tokens,
        choice=choice,
        logprobs=tuple(logprobs),
        lengths=tuple(lengths),
    )
