"""Splits rows into train, validation and test by seed and content, and finds repeated rows and test rows that leak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.spill import select_rows
from tutelage.core.types import Example, Json, Split
from tutelage.data import duplicates, partition
from tutelage.data.partition import SPLITS, SplitSettings, normalize


@dataclass(frozen=True, slots=True)
class Splits:
    """The rows of each split, each in the file's order.

    Attributes:
        repeated: for each split how many of its rows equal an earlier row of it (case and spaces folded).
        near: for each split how many further rows are near duplicates of an earlier row of it.
        leaks: the test rows that also occur in training, as {"test": origin, "train": origin}.
        near_leaks: the test rows with a near duplicate in training, with the similarity.
        unused: the number of rows in no split.
        places: for each split the indices of its rows among all rows.
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
    together: str | None = None,
    where: str = "split",
) -> Splits:
    """Split rows and look for leaks.

    Args:
        examples: all rows of a task.
        settings: how to split.
        prompt_fields: the fields that the prompt reads. A leak is a test row whose values of these fields equal a training
            row's (case and spaces folded) or are near duplicates of them. Equal answers are not a leak.
        completion_fields: the fields that the completion reads; prompt and completion fields decide what is a repeated row.
        together: a field whose equal values keep rows together beside duplicates, unless the settings name a `group_by` field.
        where: the settings' place in the recipe, for errors.

    Raises:
        InputError: counts that cannot be met, a requested split that would be empty, a bad column or date, or leaks.
    """
    keys = [content_key(row, prompt_fields or list(row.fields)) for row in examples]
    groups = _near_duplicate_groups(examples, keys, settings, prompt_fields)
    stay_together = keys if settings.leaks == "allow" else groups
    if together is not None:
        stay_together = _connected(stay_together, [str(row.fields.get(together)) for row in examples])
    split_indices = partition.partition_rows(examples, settings, stay_together, where)
    split_rows = {name: select_rows(examples, indices) for name, indices in split_indices.items()}
    leaks = _find_leaks(examples, split_indices, keys) if prompt_fields else []
    near_leaks = _near_leaks(
        examples, split_indices, groups, prompt_fields, settings.near_duplicate_threshold
    )
    exact_origins = {test.origin for test, _ in leaks}
    near_leaks = [pair for pair in near_leaks if pair[0].origin not in exact_origins]
    if (leaks or near_leaks) and settings.leaks == "refuse":
        raise _leak_error(leaks, near_leaks, split_rows["test"], settings, where)
    fields = [*prompt_fields, *completion_fields]
    repeated: dict[str, int] = {
        name: len(rows) - len({content_key(row, fields) for row in rows}) for name, rows in split_rows.items()
    }
    return Splits(
        train=split_rows["train"],
        validation=split_rows["validation"],
        test=split_rows["test"],
        repeated=repeated,
        near={
            name: len({keys[index] for index in indices}) - len({groups[index] for index in indices})
            for name, indices in split_indices.items()
        },
        leaks=tuple({"test": str(test.origin), "train": str(train.origin)} for test, train in leaks),
        near_leaks=tuple(
            {"test": str(test.origin), "train": str(train.origin), "similarity": round(shared, 4)}
            for test, train, shared in near_leaks
        ),
        unused=len(examples) - sum(len(rows) for rows in split_rows.values()),
        places=split_indices,
    )


def _near_duplicate_groups(
    examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, fields: Sequence[str]
) -> list[str]:
    """For each row the key of its group of near duplicates, which does not depend on the rows' order."""
    if settings.near_duplicate_threshold >= 1 or not fields:
        return list(keys)
    index_by_key: dict[str, int] = {}
    for index, key in enumerate(keys):
        index_by_key.setdefault(key, index)
    texts = (field_text(examples[index], fields) for index in index_by_key.values())
    group_heads = duplicates.near_duplicate_groups(texts, settings.near_duplicate_threshold)
    keys_by_head: dict[int, list[str]] = {}
    for key, head in zip(index_by_key, group_heads, strict=True):
        keys_by_head.setdefault(head, []).append(key)
    names = {key: min(keys_of_group) for keys_of_group in keys_by_head.values() for key in keys_of_group}
    return [names[key] for key in keys]


def _connected(keys: Sequence[str], others: Sequence[str]) -> list[str]:
    """For each row the key of all rows that equal keys of either kind connect with it, directly or over other rows."""
    parents: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        while (parent := parents.setdefault(node, node)) != node:
            parents[node] = parents[parent]
            node = parent
        return node

    for key, other in zip(keys, others, strict=True):
        low, high = sorted((root((0, key)), root((1, other))))
        parents[high] = low  # the smallest key is the root, whatever the rows' order
    return [root((0, key))[1] for key in keys]


def _near_leaks(
    examples: Sequence[Example],
    split_indices: Mapping[Split, Sequence[int]],
    groups: Sequence[str],
    fields: Sequence[str],
    threshold: float,
) -> list[tuple[Example, Example, float]]:
    """The test rows with a near duplicate in training. Only groups with rows of both splits are searched."""
    shared = {groups[index] for index in split_indices["train"]} & {
        groups[index] for index in split_indices["test"]
    }
    train = [examples[index] for index in split_indices["train"] if groups[index] in shared]
    test = [examples[index] for index in split_indices["test"] if groups[index] in shared]
    matches = duplicates.near_matches(
        [field_text(row, fields) for row in train], [field_text(row, fields) for row in test], threshold
    )
    return [(test[match.index], train[match.match_index], match.similarity) for match in matches]


def field_text(example: Example, fields: Sequence[str]) -> str:
    """The text of some fields of a row, sorted by field name, without system prompts: many rows share a long one."""
    values = (example.fields.get(name) for name in sorted(set(fields)))
    return "\n".join(text for value in values for text in _texts(value))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict) and value.get("role") == "system" and "content" in value:
        return
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def content_key(example: Example, fields: Sequence[str]) -> str:
    """A hash of some fields' values that ignores case and whitespace."""
    return hashing.of_json([[name, normalize(example.fields.get(name))] for name in sorted(set(fields))])


def _find_leaks(
    examples: Sequence[Example], split_indices: Mapping[Split, Sequence[int]], keys: Sequence[str]
) -> list[tuple[Example, Example]]:
    """The test rows that also occur in training, each with the first such training row."""
    first_index = {keys[index]: index for index in reversed(split_indices["train"])}
    return [
        (examples[index], examples[first_index[keys[index]]])
        for index in split_indices["test"]
        if keys[index] in first_index
    ]


def _leak_error(
    leaks: Sequence[tuple[Example, Example]],
    near_leaks: Sequence[tuple[Example, Example, float]],
    test: Sequence[Example],
    settings: SplitSettings,
    where: str,
) -> InputError:
    pairs = [f"{row.origin} as {train_row.origin}" for row, train_row in leaks]
    pairs += [
        f"{row.origin} nearly as {train_row.origin} ({similarity:.2f})"
        for row, train_row, similarity in near_leaks
    ]
    near_count = f", {len(near_leaks)} of them nearly" if near_leaks and leaks else ""
    nearly = " nearly" if near_leaks and not leaks else ""
    advice = (
        f"give them the same {settings.column}"
        if settings.column
        else f"leave split.{'group_by' if settings.group_by else 'date'} out: near duplicates then stay together"
    )
    threshold_advice = (
        ", raise split.near_duplicate_threshold (1.0 looks for equal rows only)" if near_leaks else ""
    )
    return InputError(
        f"{len(pairs)} of {len(test)} test rows also stand{nearly} in training{near_count}",
        where=where,
        found="; ".join(pairs[:3]) + ("; ..." if len(pairs) > 3 else ""),
        expected="no test row with the prompt-side values of a training row",
        fix=f"{advice}, drop one of each pair{threshold_advice}, or write leaks: allow when that is meant",
    )
