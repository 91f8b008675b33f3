"""Prints where a tuned model still fails: groups of items with both answers, classes, entities."""

from __future__ import annotations

from collections.abc import Mapping

from tutelage.cli import console
from tutelage.comparison import wording
from tutelage.comparison.class_report import ClassCounts, ClassReport
from tutelage.comparison.entity_report import EntityReport
from tutelage.comparison.failures import Failures
from tutelage.comparison.one_run import ItemGroups
from tutelage.core.strictjson import shorten
from tutelage.metrics.mentions import Mention

_MATRIX_CLASSES = 10  # a wider matrix does not fit a terminal: the most frequent mistakes are listed instead
_MISTAKES = 10
_PROMPT_CHARACTERS = 300  # of a prompt's end, where the question stands


def show(failures: Failures, groups: ItemGroups) -> None:
    """Print the failures of one task or benchmark."""
    console.show(f"\n{failures.name}: {_counts(failures, groups)}")
    for title, (_, items) in groups.items():
        for item in items:
            console.show(f"\n  {title}: {item.id}")
            console.show(f"    asked     {shorten(item.prompt[-_PROMPT_CHARACTERS:], _PROMPT_CHARACTERS)}")
            console.show(f"    expected  {' | '.join(shorten(text, 80) for text in item.references)}")
            console.show(f"    base      {shorten(item.base, 200)}")
            console.show(f"    tuned     {shorten(item.tuned, 200)}")
    if failures.classes is not None:
        _show_classes(failures.name, failures.classes)
    if failures.entities is not None:
        _show_entities(failures.name, failures.entities)


def _counts(failures: Failures, groups: ItemGroups) -> str:
    counts = [f"{count or 'none'} {title}" for title, (count, _) in groups.items()]
    by = ", else ".join(wording.metric_wording(metric).label for metric in failures.judges)
    judged = f" (right or wrong by {by})" if by else " (no metric says right or wrong of an answer)"
    return f"of {failures.items} items {', '.join(counts)}{judged}"


def _show_classes(name: str, report: ClassReport) -> None:
    before = {each.name: each for each in report.base.classes}
    rows = [
        [
            each.name,
            str(each.true),
            str(each.predicted),
            *_shares(each),
            wording.format_number(100 * before[each.name].f1),
        ]
        for each in report.tuned.classes
    ]
    console.show(f"\n{name}, class by class (tuned model):")
    columns = ["class", "items", "predicted", "precision", "recall", "F1", "F1 of the base"]
    console.show_table(columns, rows, right=tuple(range(1, len(columns))))
    confusion = report.tuned
    if len(report.names) <= _MATRIX_CLASSES:
        head = ["true class", *report.names, "no class"]
        matrix = [[name, *map(str, row)] for name, row in zip(report.names, confusion.matrix, strict=True)]
        console.show("Which class (rows) was answered with which (columns):")
        console.show_table(head, matrix, right=tuple(range(1, len(head))))
    elif mistakes := confusion.most_confused(_MISTAKES):
        console.show("The most frequent mistakes:")
        lines = [[true, predicted, str(count)] for true, predicted, count in mistakes]
        console.show_table(["true class", "answered", "times"], lines, right=(2,))
    if confusion.no_class:
        named = ", ".join(f"{shorten(text, 60) or 'nothing'} ({count})" for text, count in confusion.others)
        console.show(f"{confusion.no_class} answers are no class: {named}")


def _show_entities(name: str, report: EntityReport) -> None:
    rows = [
        [
            each.name,
            str(each.true),
            str(each.right),
            str(each.true - each.right),
            str(each.predicted - each.right),
            *_shares(each),
        ]
        for each in report.tuned.types
    ]
    console.show(f"\n{name}, entities by type (tuned model):")
    columns = ["type", "there", "found", "missed", "invented", "precision", "recall", "F1"]
    console.show_table(columns, rows, right=tuple(range(1, len(columns))))
    for title, mentions in (("missed", report.tuned.missed), ("invented", report.tuned.invented)):
        if mentions:
            console.show(f"{title} most often: {_mentions(dict(mentions))}")


def _mentions(mentions: Mapping[Mention, int]) -> str:
    return ", ".join(
        f"{kind} {shorten(words, 40)}{f' ({count} times)' if count > 1 else ''}"
        for (kind, words), count in mentions.items()
    )


def _shares(counts: ClassCounts) -> list[str]:
    return [wording.format_number(100 * share) for share in (counts.precision, counts.recall, counts.f1)]
