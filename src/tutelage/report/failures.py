"""Classes and entities of a run as tables of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.comparison.class_report import ClassCounts, ClassReport
from tutelage.comparison.entity_report import EntityReport
from tutelage.comparison.failures import Failures
from tutelage.comparison.wording import format_number
from tutelage.metrics.mentions import Mention
from tutelage.report import formatting

_MATRIX_CLASSES = 20
"""A wider matrix is not read: the most frequent mistakes are listed instead."""
_MISTAKES = 15


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The classes of a task.

    Attributes:
        head: the columns.
        rows: a class each.
        matrix: true classes against predicted ones, each row (class, counts with whether they are right); empty where there are too many.
        matrix_head: the predicted classes.
        mistakes: the most frequent mistakes (true class, answered, times), where there is no matrix.
        no_class: what the answers that are no class say, in a sentence; "" without any.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    matrix_head: tuple[str, ...]
    matrix: tuple[tuple[str, tuple[tuple[int, bool], ...]], ...]
    mistakes: tuple[tuple[str, str, int], ...]
    no_class: str


@dataclass(frozen=True, slots=True)
class EntityTable:
    """The entities of a task by type; `named` are titles, and the entities that were missed and invented most often."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    named: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FailureTables:
    """Where one task or benchmark still fails; `counts` says in a sentence how many answers are still wrong and cut off."""

    name: str
    counts: str
    classes: ClassTable | None
    entities: EntityTable | None


def tables(all_failures: Sequence[Failures]) -> list[FailureTables]:
    """Make the tables of a run's tasks and benchmarks."""
    return [_tables(failures) for failures in all_failures]


def _tables(failures: Failures) -> FailureTables:
    return FailureTables(
        formatting.plain(failures.name),
        counts(failures),
        None if failures.classes is None else _classes(failures.classes),
        None if failures.entities is None else _entities(failures.entities),
    )


def counts(failures: Failures) -> str:
    """How many answers are wrong, still wrong and cut off, in a sentence."""
    cut = len(failures.cut_off)
    ended = f"{cut or 'none'} {'was' if cut == 1 else 'were'} cut off at the longest allowed answer"
    if not failures.judged:
        return f"Of {failures.items} answers {ended}."
    return (
        f"Of {failures.judged} answers {failures.wrong or 'none'} {'is' if failures.wrong == 1 else 'are'} wrong"
        f"{_of_them(len(failures.still_wrong), failures.wrong)}; {ended}."
    )


def _of_them(still: int, wrong: int) -> str:
    """How many of the wrong answers were wrong before; nothing where none is wrong."""
    if not wrong:
        return ""
    return f", {'all' if still == wrong else still or 'none'} of them before too"


def _classes(report: ClassReport) -> ClassTable:
    before = {each.name: each for each in report.base.classes}
    confusion, names = report.tuned, [formatting.plain(name) for name in report.names]
    rows = tuple(
        (name, str(each.true), str(each.predicted), *_shares(each), format_number(100 * before[each.name].f1))
        for name, each in zip(names, confusion.classes, strict=True)
    )
    matrix = tuple(
        (name, tuple((count, row == column) for column, count in enumerate(cells)))
        for row, (name, cells) in enumerate(zip(names, confusion.matrix, strict=True))
    )
    others = ", ".join(f"{formatting.plain(text) or 'nothing'} ({count})" for text, count in confusion.others)
    fits = len(names) <= _MATRIX_CLASSES
    return ClassTable(
        head=("Class", "Items", "Predicted", "Precision", "Recall", "F1", "F1 of the base"),
        rows=rows,
        matrix_head=(*names, "no class") if fits else (),
        matrix=matrix if fits else (),
        mistakes=() if fits else tuple(confusion.most_confused(_MISTAKES)),
        no_class=f"{confusion.no_class} answers are no class, most often: {others}."
        if confusion.no_class
        else "",
    )


def _entities(report: EntityReport) -> EntityTable:
    rows = tuple(
        (
            formatting.plain(each.name),
            *map(str, (each.true, each.right, each.true - each.right, each.predicted - each.right)),
            *_shares(each),
        )
        for each in report.tuned.types
    )
    head = ("Type", "There", "Found", "Missed", "Invented", "Precision", "Recall", "F1")
    return EntityTable(head, rows, tuple(_named(report)))


def _named(report: EntityReport) -> Iterator[tuple[str, str]]:
    groups: tuple[tuple[str, Sequence[tuple[Mention, int]]], ...] = (
        ("Missed most often", report.tuned.missed),
        ("Invented most often", report.tuned.invented),
    )
    for title, mentions in groups:
        if mentions:
            yield (
                title,
                ", ".join(
                    f"{formatting.plain(kind)} “{formatting.plain(words)}”{f' ({count} times)' if count > 1 else ''}"
                    for (kind, words), count in mentions
                ),
            )


def _shares(counts: ClassCounts) -> tuple[str, ...]:
    return tuple(format_number(100 * share) for share in (counts.precision, counts.recall, counts.f1))
