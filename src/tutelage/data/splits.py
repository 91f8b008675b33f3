"""Training, validation and test rows, as a pure function of seed and content; rows that repeat, and test rows that leak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.spill import picked
from tutelage.core.types import Example, Json, Split
from tutelage.data import duplicates, partition
from tutelage.data.partition import SPLITS, SplitSettings, fold


@dataclass(frozen=True, slots=True)
class Splits:
    """The rows of each split, each in the file's order.

    Attributes:
        repeated: for each split how many of its rows say the same as an earlier one of it.
        near: for each split how many more of its rows are nearly the same as an earlier one of it.
        leaks: the test rows that stand in training, as {"test": origin, "train": origin}.
        near_leaks: those that stand there nearly, with their similarity.
        unused: rows in no split.
        places: for each split the positions of its rows among all rows that were split.
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    repeated: Mapping[str, int] = field(default_factory=dict)
    near: Mapping[str, int] = field(default_factory=dict)
    leaks: tuple[dict[str, str], ...] = ()
    near_leaks: tuple[dict[str, Any], ...] = ()
    unused: int = 0
    places: Mapping[Split, Sequence[int]] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """How many rows each split has."""
        return {name: len(getattr(self, name)) for name in SPLITS}


def split(
    examples: Sequence[Example],
    settings: SplitSettings,
    *,
    prompt_fields: Sequence[str],
    completion_fields: Sequence[str] = (),
    where: str = "split",
) -> Splits:
    """Split rows and look for leaks.

    Args:
        examples: all rows of a task.
        settings: how.
        prompt_fields: the fields that the prompt is made of: a leak is a test row whose values of these, case- and
            space-folded, are those of a training row or nearly so. Equal answers are no leak.
        completion_fields: the fields that the completion is made of; with the former they decide what is a repeated row.
        where: the settings' place in the recipe, for errors.

    Raises:
        InputError: counts that cannot be met, an empty split that is asked for, a bad column or date, or leaks.
    """
    keys = [content_key(row, prompt_fields or list(row.fields)) for row in examples]
    families = _families(examples, keys, settings, prompt_fields)
    parted = keys if settings.leaks == "allow" else families
    places = partition.part(examples, settings, parted, where)
    parts = {name: picked(examples, own) for name, own in places.items()}
    leaks = find_leaks(parts["train"], parts["test"], prompt_fields)
    near = _near_leaks(examples, places, families, prompt_fields, settings.near)
    exact = {test.origin for test, _ in leaks}
    near = [pair for pair in near if pair[0].origin not in exact]
    if (leaks or near) and settings.leaks == "refuse":
        raise _leaked(leaks, near, parts["test"], settings, where)
    fields = [*prompt_fields, *completion_fields]
    repeated: dict[str, int] = {
        name: len(rows) - len({content_key(row, fields) for row in rows}) for name, rows in parts.items()
    }
    return Splits(
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        repeated=repeated,
        near={
            name: len({keys[place] for place in own}) - len({families[place] for place in own})
            for name, own in places.items()
        },
        leaks=tuple({"test": str(test.origin), "train": str(train.origin)} for test, train in leaks),
        near_leaks=tuple(
            {"test": str(test.origin), "train": str(train.origin), "similarity": round(shared, 4)}
            for test, train, shared in near
        ),
        unused=len(examples) - sum(len(rows) for rows in parts.values()),
        places=places,
    )


def _families(
    examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, fields: Sequence[str]
) -> list[str]:
    """For each row the name of the rows that it is equal or nearly equal to; whatever order they came in."""
    if settings.near >= 1 or not fields:
        return list(keys)
    first: dict[str, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    texts = (said(examples[place], fields) for place in first.values())
    heads = duplicates.clusters(texts, settings.near)
    members: dict[int, list[str]] = {}
    for key, head in zip(first, heads, strict=True):
        members.setdefault(head, []).append(key)
    names = {key: min(own) for own in members.values() for key in own}
    return [names[key] for key in keys]


def _near_leaks(
    examples: Sequence[Example],
    places: Mapping[Split, Sequence[int]],
    families: Sequence[str],
    fields: Sequence[str],
    threshold: float,
) -> list[tuple[Example, Example, float]]:
    """The test rows that are near a training row; only a family that has both can hold some."""
    shared = {families[place] for place in places["train"]} & {families[place] for place in places["test"]}
    train = [examples[place] for place in places["train"] if families[place] in shared]
    test = [examples[place] for place in places["test"] if families[place] in shared]
    texts = [said(row, fields) for row in train], [said(row, fields) for row in test]
    return [
        (test[match.place], train[match.other], match.similarity)
        for match in duplicates.matches(*texts, threshold)
    ]


def said(example: Example, fields: Sequence[str]) -> str:
    """All text in some fields of a row."""
    values = (example.fields.get(name) for name in sorted(set(fields)))
    return "\n".join(text for value in values for text in _texts(value))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def content_key(example: Example, fields: Sequence[str]) -> str:
    """A hash of some fields' values, the same for rows that differ only in case and spaces."""
    return hashing.of_json([[name, fold(example.fields.get(name))] for name in sorted(set(fields))])


def find_leaks(
    train: Sequence[Example], test: Sequence[Example], prompt_fields: Sequence[str]
) -> list[tuple[Example, Example]]:
    """The test rows that stand in training, each with the first such training row."""
    if not prompt_fields:
        return []
    known: dict[str, int] = {}
    for place, row in enumerate(train):
        known.setdefault(content_key(row, prompt_fields), place)
    pairs = ((row, known.get(content_key(row, prompt_fields))) for row in test)
    return [(row, train[place]) for row, place in pairs if place is not None]


def _leaked(
    leaks: Sequence[tuple[Example, Example]],
    near: Sequence[tuple[Example, Example, float]],
    test: Sequence[Example],
    settings: SplitSettings,
    where: str,
) -> InputError:
    pairs = [f"{row.origin} as {same.origin}" for row, same in leaks]
    pairs += [f"{row.origin} nearly as {same.origin} ({shared:.2f})" for row, same, shared in near]
    kinds = f", {len(near)} of them nearly" if near and leaks else ""
    nearly = " nearly" if near and not leaks else ""
    how = (
        f"mark them in {settings.column} alike"
        if settings.column
        else f"leave split.{'by' if settings.by else 'date'} out: rows that are alike then stay together"
    )
    raised = ", raise split.near (1.0 looks for equal rows only)" if near else ""
    return InputError(
        f"{len(pairs)} of {len(test)} test rows also stand{nearly} in training{kinds}",
        where=where,
        found="; ".join(pairs[:3]) + ("; ..." if len(pairs) > 3 else ""),
        expected="no test row with the prompt-side values of a training row",
        fix=f"{how}, drop one of each pair{raised}, or write leaks: allow when that is meant",
    )
