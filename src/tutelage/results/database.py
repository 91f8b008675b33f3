"""The SQLite file under the store: opening it, the version of its schema, durable transactions, readable errors.

The file is in write-ahead mode with `synchronous=FULL`: a transaction is on the disk when it has returned, a process may
be killed at any time, and other processes can read while one writes. Not covered: disks that lie about fsync, and network
file systems, on which SQLite's shared memory does not work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError, MachineError, TutelageError
from tutelage.core.files import disk_error

BUSY_SECONDS = 60.0
DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_IOERR_SHORT_READ", "SQLITE_ERROR")
"""Errors that mean a damaged file; SQLITE_ERROR also stands for a missing table or column."""
FIX = "bring back a copy, or remove the file and run again: its items are then asked again"


def schema() -> dict[str, Any]:
    """The version of the schema, the statements that create it, and those that migrate older versions to it."""
    return yamltext.table("tutelage.results", "schema.yaml")


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a results file. Unless `read_only`, a new file gets its tables and an older version is migrated.

    Raises:
        InputError: the file is damaged, is no results file, has an unknown schema version, or does not exist (`read_only`).
        MachineError: the disk cannot be read or written.
    """
    if read_only and not path.is_file():
        raise InputError(
            "there are no results here",
            where=str(path),
            found="a folder" if path.is_dir() else "no such file",
            expected="the results.sqlite that a run or an evaluation leaves",
        )
    with translated_errors(path):
        connection = _connection(path, read_only=read_only)
        try:
            _ensure_tables(connection, path, read_only=read_only)
            _require_whole(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def damaged(path: Path, *, found: str, where: str = "") -> InputError:
    """Make the error for a damaged results file; `where` names the place inside it."""
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
    for table, columns in _schema_columns().items():
        actual = _columns_of(connection, table)
        if actual != columns:
            raise damaged(path, found=_difference(actual, columns), where=f"table {table}")


@cache
def _schema_columns() -> dict[str, dict[str, tuple[object, ...]]]:
    """The columns of every table of the schema."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in schema()["statements"]:
            connection.execute(statement)
        return {table: _columns_of(connection, table) for table in _tables(connection)}


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [name for (name,) in rows]


def _columns_of(connection: sqlite3.Connection, table: str) -> dict[str, tuple[object, ...]]:
    """A table's columns by name: type, whether null is excluded, position in the primary key."""
    rows = connection.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_info(?, ?)', (table, "main")
    )
    columns: dict[str, tuple[object, ...]] = {
        str(name): (kind, bool(notnull), position) for name, kind, notnull, position in rows
    }
    if table == "responses":
        columns.pop("lengths", None)  # version 1 lacks it; a read-only connection adds it by a view
    return columns


def _difference(actual: Mapping[str, object], expected: Mapping[str, object]) -> str:
    if not actual:
        return "no such table"
    name = next(name for name in {**expected, **actual} if actual.get(name) != expected.get(name))
    return f"column {name}: {actual.get(name, 'none')}, not {expected.get(name, 'there')}"


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Run all statements of the block or none; they are on the disk when the block has ended."""
    with translated_errors(path), atomic(connection):
        yield


@contextmanager
def atomic(connection: sqlite3.Connection) -> Iterator[None]:
    """Like `transaction`, but SQLite's errors pass unchanged."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into TutelageErrors; a TutelageError passes."""
    try:
        yield
    except TutelageError:
        raise
    except sqlite3.Error as error:
        raise _translated(path, error) from error
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


def select(
    connection: sqlite3.Connection, path: Path, query: str, values: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Read the rows of a query. Raises TutelageErrors, as `translated_errors` does."""
    with translated_errors(path):
        return connection.execute(query, values).fetchall()


def _connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _open_uri(path, "rwc")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
    connection = _open_uri(path, "ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # In a read-only folder SQLite cannot create its shared memory. Without a write-ahead log it does not need any.
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        connection = _open_uri(path, "ro&immutable=1")
    return connection


def _open_uri(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )


def _version(connection: sqlite3.Connection, path: Path) -> int | None:
    """The schema version of the file, None if it has no tables yet. Raises InputError for an unknown version."""
    tables = _tables(connection)
    if not tables:
        return None
    version_text = "no version"
    if "schema_version" in tables:
        versions = [version for (version,) in connection.execute("SELECT version FROM schema_version")]
        if len(versions) == 1 and versions[0] in _readable_versions():
            return int(versions[0])
        version_text = ("version " + ", ".join(str(version) for version in versions))[:200]
    raise InputError(
        "the results were written by another version of Tutelage, or by another program",
        where=str(path),
        found=version_text,
        expected="version " + " or ".join(str(version) for version in _readable_versions()),
        fix="open it with the version that wrote it, or start the run in another folder with --out",
    )


def _readable_versions() -> list[int]:
    """The schema versions that can be read, the oldest first."""
    return [*(version - 1 for version in sorted(schema()["migrations"])), schema()["version"]]


def _ensure_tables(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    version = _version(connection, path)
    if version == schema()["version"]:
        return
    if not read_only:
        with atomic(connection):
            # Another process may have created the tables while this one waited for the lock.
            _create_or_migrate(connection, _version(connection, path))
        return
    if version is None:
        raise InputError(
            "there are no results in this file yet",
            where=str(path),
            fix="wait until the run has begun to answer, or start it again",
        )
    # A read-only file is not migrated. A temporary view with the table's name adds the missing column for this connection.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("CREATE TEMP VIEW responses AS SELECT *, NULL AS lengths FROM main.responses")


def _create_or_migrate(connection: sqlite3.Connection, version: int | None) -> None:
    """Create the tables, or migrate those of an older version."""
    if version is None:
        for statement in schema()["statements"]:
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version VALUES (?)", (schema()["version"],))
        return
    for target in range(version + 1, schema()["version"] + 1):
        for statement in schema()["migrations"][target]:
            connection.execute(statement)


def _translated(path: Path, error: sqlite3.Error) -> TutelageError:
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
            fix="wait until it is done, or stop it, then run the same command again",
        )
    return MachineError(
        "the results could not be read or written",
        where=str(path),
        found=str(error),
        fix="check that the disk works and the folder may be written to, then run the same command again",
    )
