"""The SQLite file under the store: opening, its schema's version, durable transactions, errors in words.

The file is in write-ahead mode with `synchronous=FULL`: a transaction that returned is on the disk, a process may be
killed at any instruction, and other processes read while one writes. What this does not cover: a disk that lies about
fsync, and network file systems, on which SQLite's shared memory does not work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError, MachineError, TutelageError
from tutelage.core.files import disk_error

BUSY_SECONDS = 60.0
DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_IOERR_SHORT_READ", "SQLITE_ERROR")
"""Codes that a damaged file leads to; SQLITE_ERROR is also a table or column that is not there."""
FIX = "bring back a copy, or remove the file and run again: what it held is then answered again"


@cache
def schema() -> dict[str, Any]:
    """The schema's version, the statements that make it, and those that make it of the versions before."""
    loaded: dict[str, Any] = yamltext.table("tutelage.results", "schema.yaml")
    return loaded


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a results file; unless `read_only`, a new one gets its tables, and one of a version before what it lacks.

    Raises:
        InputError: it is not a results file, has a schema version that is not known, or is not there (`read_only`).
        MachineError: the disk does not let it be read or written.
    """
    if read_only and not path.is_file():
        raise InputError(
            "there are no results here",
            where=str(path),
            found="a folder" if path.is_dir() else "no such file",
            expected="the results.sqlite that a run or an evaluation leaves",
        )
    with words(path):
        connection = _connection(path, read_only=read_only)
        try:
            _ensure_tables(connection, path, read_only=read_only)
            _require_whole(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def damaged(path: Path, *, found: str, where: str = "") -> InputError:
    """The error for a results file that does not hold what it has to; `where` names the place inside it."""
    return InputError(
        "the results cannot be read: the file is damaged or is not a results file",
        where=f"{path}: {where}" if where else str(path),
        found=found[:300],
        expected="a results.sqlite as Tutelage wrote it",
        fix=FIX,
    )


def _require_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Check pages, indexes and types of values, and that the tables are those of the schema.

    Raises:
        InputError: the first fault.
    """
    faults = [str(text) for (text,) in connection.execute("PRAGMA integrity_check(1)")]
    if faults != ["ok"]:
        raise damaged(path, found="; ".join(faults))
    expected = _columns()
    for table, columns in expected.items():
        found = _columns_of(connection, table)
        if found != columns:
            raise damaged(path, found=_difference(found, columns), where=f"table {table}")


@cache
def _columns() -> dict[str, dict[str, tuple[object, ...]]]:
    """The columns of every table of the schema."""
    with sqlite3.connect(":memory:") as connection:
        for statement in schema()["statements"]:
            connection.execute(statement)
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        found = {table: _columns_of(connection, table) for table in tables}
    connection.close()
    return found


def _columns_of(connection: sqlite3.Connection, table: str) -> dict[str, tuple[object, ...]]:
    """A table's columns: type, whether null is excluded, place in the primary key."""
    rows = connection.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_info(?, ?)', (table, "main")
    )
    columns: dict[str, tuple[object, ...]] = {
        str(name): (kind, bool(notnull), place) for name, kind, notnull, place in rows
    }
    if table == "responses":
        columns.pop("lengths", None)  # a file of version 1 that is only read gets it from a view
    return columns


def _difference(found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    if not found:
        return "no such table"
    names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    return f"column {names[0]}: {found.get(names[0], 'none')}, not {expected.get(names[0], 'there')}"


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All of the block's statements or none; durable when the block has ended."""
    with words(path), atomic(connection):
        yield


@contextmanager
def atomic(connection: sqlite3.Connection) -> Iterator[None]:
    """The same with SQLite's own errors."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours; our own pass."""
    try:
        yield
    except TutelageError:
        raise
    except sqlite3.Error as error:
        raise _in_words(path, error) from error
    except UnicodeDecodeError as error:
        # SQLite's own message quotes what a damaged file holds.
        raise damaged(path, found=error.object.decode("utf-8", "replace")) from error
    except UnicodeEncodeError as error:
        raise InputError(
            "a text holds half a character (a lone surrogate) and cannot be kept",
            where=str(path),
            found=ascii(error.object[max(0, error.start - 20) : error.end + 20]),
            fix="mend the row that it came from",
        ) from error
    except OSError as error:
        raise disk_error(path, error) from error


def _connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _plain(path, "rwc")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
    connection = _plain(path, "ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # In a folder that may not be written to, SQLite cannot make its shared memory; with no writer it needs none.
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        connection = _plain(path, "ro&immutable=1")
    return connection


def _plain(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )


def _version(connection: sqlite3.Connection, path: Path) -> int | None:
    """The version of the file's tables, None where there are none yet; one that is not known is refused."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    found = "no version"
    if "schema_version" in tables:
        versions = [version for (version,) in connection.execute("SELECT version FROM schema_version")]
        if len(versions) == 1 and versions[0] in _known():
            return int(versions[0])
        found = ("version " + ", ".join(str(version) for version in versions))[:200]
    raise InputError(
        "the results were written by another version of Tutelage, or by another program",
        where=str(path),
        found=found,
        expected="version " + " or ".join(str(version) for version in _known()),
        fix="open it with the version that wrote it, or start the run in another folder with --out",
    )


def _known() -> list[int]:
    """The versions that can be read, the oldest first."""
    return [*(version - 1 for version in sorted(schema()["migrations"])), schema()["version"]]


def _ensure_tables(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    version = _version(connection, path)
    if version == schema()["version"]:
        return
    if not read_only:
        with atomic(connection):
            # Another process may have made the tables while this one waited for the lock.
            _bring_up(connection, _version(connection, path))
        return
    if version is None:
        raise InputError(
            "there are no results in this file yet",
            where=str(path),
            fix="wait until the run has begun to answer, or start it again",
        )
    # The file stays as it is: what it lacks is shown by a view of this connection alone, which hides its table.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("CREATE TEMP VIEW responses AS SELECT *, NULL AS lengths FROM main.responses")


def _bring_up(connection: sqlite3.Connection, version: int | None) -> None:
    """Make the tables, or of those of a version before the present ones."""
    if version is None:
        for statement in schema()["statements"]:
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version VALUES (?)", (schema()["version"],))
        return
    for later in range(version + 1, schema()["version"] + 1):
        for statement in schema()["migrations"][later]:
            connection.execute(statement)


def _in_words(path: Path, error: sqlite3.Error) -> TutelageError:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(DAMAGED) or "decode to UTF-8" in str(error):
        return damaged(path, found=str(error))
    if code.startswith("SQLITE_FULL"):
        return MachineError(
            "the disk is full",
            where=str(path),
            fix="free some space and run the same command again: what was finished is kept",
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return MachineError(
            "another process is writing these results and did not finish",
            where=str(path),
            found=f"locked for {BUSY_SECONDS:.0f} s",
            fix="wait until it is done, or end it, then run the same command again",
        )
    return MachineError(
        "the results could not be read or written",
        where=str(path),
        found=str(error),
        fix="check that the disk works and the folder may be written to, then run the same command again",
    )
