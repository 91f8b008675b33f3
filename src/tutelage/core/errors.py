"""The errors that Tutelage raises, one tree.

    TutelageError            exit  says where, what was found, what was expected, what to do
    ├── InputError              2  what the person gave is wrong: a file, a recipe, an argument
    │   └── InputErrors         2  several of them, reported at once
    ├── MachineError            3  disk, memory, network or another process stood in the way
    └── Stopped               130  Ctrl-C: a clean stop
        └── Terminated          143  SIGTERM: the same

Exit code 1 belongs to no error: it says that a stated budget or check was not met.
"""

from __future__ import annotations

from collections.abc import Sequence


class TutelageError(Exception):
    """An error that a person can act on.

    Args:
        problem: what is wrong, in one sentence.
        where: `file:line`, or the recipe's field path.
        found: what stood there.
        expected: what may stand there.
        fix: what to do.
    """

    exit_code = 3

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        found: str | None = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem = problem
        self.where = where
        self.found = found
        self.expected = expected
        self.fix = fix
        super().__init__(self.block())

    def block(self) -> str:
        """The error as the few lines that a person reads."""
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        rows = [("found", self.found), ("expected", self.expected), ("fix", self.fix)]
        return "\n".join([head, *(f"  {name + ':':<10}{value}" for name, value in rows if value)])

    def as_json(self) -> dict[str, str | None]:
        """The same for programs."""
        return {
            "problem": self.problem,
            "where": self.where,
            "found": self.found,
            "expected": self.expected,
            "fix": self.fix,
        }


class InputError(TutelageError):
    """What the person gave is wrong."""

    exit_code = 2


class InputErrors(InputError):
    """Several mistakes of one input, reported together.

    Args:
        title: what was read.
        errors: the mistakes, at least one.
    """

    def __init__(self, title: str, errors: Sequence[InputError]) -> None:
        self.title = title
        self.errors = tuple(errors)
        super().__init__(title)

    def block(self) -> str:
        """All mistakes, one block each."""
        count = len(self.errors)
        head = f"{self.title}: {count} mistake{'s' if count != 1 else ''}"
        return "\n\n".join([head, *(error.block() for error in self.errors)])

    def as_json(self) -> dict[str, object]:  # type: ignore[override]  # a list of the same shape
        """All mistakes for programs."""
        return {"problem": self.title, "errors": [error.as_json() for error in self.errors]}


class MachineError(TutelageError):
    """The machine stood in the way: disk, memory, network, another process."""

    exit_code = 3


class Stopped(TutelageError):
    """The person pressed Ctrl-C; everything finished is kept."""

    exit_code = 130


class Terminated(Stopped):
    """The system or another program asked this one to end (SIGTERM); everything finished is kept."""

    exit_code = 143


def raise_all(title: str, errors: Sequence[InputError]) -> None:
    """Raise what was collected: nothing, the one mistake, or all of them together."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise InputErrors(title, errors)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name closest to a mistyped one, or None when nothing is close."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return close[0] if close else None
