"""Assigns rows to train, validation and test: at random (stratified, by group), by a stable hash, by date, or by a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, get_args

from tutelage.core import hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.seeds import derive
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import did_you_mean, nearest
from tutelage.core.types import Example, Json, Split
from tutelage.data.split_names import split_name

SPLITS: tuple[Split, ...] = get_args(Split)
SplitIndices = dict[Split, list[int]]


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How rows are split.

    Attributes:
        train, validation, test: a fraction of all rows (float) or a count (int); if `train` is None it takes all other rows.
        group_by: a field; rows with the same value (case and spaces folded) go into the same split.
        stratify: a field whose values are spread over the splits in equal proportions, as far as the counts allow.
        stable: a row's split depends on its own content only, so rows added later move no other row; takes fractions only,
            which are met on average.
        date: a field with ISO 8601 dates or numbers; the newest rows are test, the next ones validation.
        column: a field that says train, validation or test for each row; the shares are then ignored.
        seed: another seed gives another split.
        near_duplicate_threshold: the similarity from which two rows are near duplicates (`duplicates`); with 1.0 only equal
            rows count.
        leaks: whether a test row may also occur in training; with "count" rows are split as with "refuse".
    """

    train: float | int | None = None
    validation: float | int = 0.1
    test: float | int = 0.1
    group_by: str | None = None
    stratify: str | None = None
    stable: bool = False
    date: str | None = None
    column: str | None = None
    seed: int = 0
    near_duplicate_threshold: float = 0.8
    leaks: Literal["refuse", "count", "allow"] = "refuse"


def partition_rows(
    examples: Sequence[Example], settings: SplitSettings, stay_together: Sequence[str], where: str
) -> SplitIndices:
    """The indices of each split's rows, ascending.

    Args:
        examples: all rows.
        settings: how to split.
        stay_together: a group key for each row, used unless the settings name a `group_by` field.
        where: the settings' place in the recipe, for errors.

    Raises:
        InputError: counts that cannot be met, a requested split that would be empty, a bad column or date.
    """
    if settings.column is not None:
        return _split_by_column(examples, settings.column, where)
    keys = list(stay_together)
    if settings.group_by is not None:
        values = _required_values(examples, settings.group_by, f"{where}.group_by")
        keys = [hashing.of_json([[settings.group_by, normalize(value)]]) for value in values]
    if settings.stable:
        indices = _split_by_hash(keys, settings, where)
    elif settings.date is not None:
        indices = _split_by_date(examples, keys, settings, where)
    else:
        indices = _split_by_share(examples, keys, settings, where)
    for name in SPLITS:
        if not indices[name] and getattr(settings, name) != 0:
            raise _empty_split_error(name, examples, keys, settings, where)
    return {name: sorted(split_indices) for name, split_indices in indices.items()}


def normalize(value: Json) -> Json:
    """A value with case and whitespace folded in all of its texts."""
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, list):
        return [normalize(item) for item in value]
    if isinstance(value, dict):
        return {key: normalize(item) for key, item in value.items()}
    return value


def _split_by_share(
    examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, where: str
) -> SplitIndices:
    targets = _target_counts(len(examples), settings, where)
    groups = _shuffled_groups(keys, settings.seed)
    if settings.stratify is None:
        return _fill_splits(groups, targets)
    values = [
        hashing.of_json(normalize(v))
        for v in _required_values(examples, settings.stratify, f"{where}.stratify")
    ]
    strata: dict[str, list[list[int]]] = {}
    for group in groups:  # a group with several values is counted under its first row's
        strata.setdefault(values[group[0]], []).append(group)
    sizes = {value: sum(map(len, members)) for value, members in sorted(strata.items())}
    shared = {name: _apportion(n, sizes) for name, n in targets.items() if n is not None}
    indices: SplitIndices = {name: [] for name in SPLITS}
    for value in sizes:
        stratum_targets = {name: shared[name][value] if name in shared else None for name in SPLITS}
        for name, filled in _fill_splits(strata[value], stratum_targets).items():
            indices[name] += filled
    return indices


def _fill_splits(groups: Sequence[list[int]], targets: Mapping[Split, int | None]) -> SplitIndices:
    """Assign whole groups, in order, so that each split comes as near to its target as possible."""
    indices: SplitIndices = {name: [] for name in SPLITS}
    remaining_groups = groups
    # Test is filled first, so that its rows do not depend on the sizes of the other two.
    for name in ("test", "validation", "train"):
        target, unassigned = targets[name], []
        for group in remaining_groups:
            count = len(indices[name])
            if target is None or abs(count + len(group) - target) < abs(count - target):
                indices[name] += group
            else:
                unassigned.append(group)
        remaining_groups = unassigned
    return indices


def _apportion(total: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Divide a count among strata in proportion to their sizes, by the largest remainder method."""
    total_size = sum(sizes.values())
    exact_counts = {value: total * size / total_size for value, size in sizes.items()}
    counts = {value: int(share) for value, share in exact_counts.items()}
    by_remainder = sorted(exact_counts, key=lambda value: (counts[value] - exact_counts[value], value))
    for value in by_remainder[: total - sum(counts.values())]:
        counts[value] += 1
    return counts


def _split_by_hash(keys: Sequence[str], settings: SplitSettings, where: str) -> SplitIndices:
    shares = _checked_shares(settings, where)
    if (
        any(isinstance(share, int) and share > 0 for share in shares.values())
        or sum(map(float, filter(None, shares.values()))) > 1 + 1e-9
    ):
        raise InputError(
            "a stable split takes fractions of the rows, together at most 1",
            where=where,
            found=", ".join(f"{name}: {share}" for name, share in shares.items() if share is not None),
            expected="such as validation: 0.1 and test: 0.1",
            fix="write fractions, or leave stable out",
        )
    indices: SplitIndices = {name: [] for name in SPLITS}
    split_ends = settings.test, settings.test + settings.validation
    end = 1.0 if settings.train is None else split_ends[1] + settings.train + 1e-9
    for index, key in enumerate(keys):
        position = derive(settings.seed, "split", key) / 2**63
        if position < end:
            indices[
                "test" if position < split_ends[0] else "validation" if position < split_ends[1] else "train"
            ].append(index)
    return indices


def _split_by_date(
    examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, where: str
) -> SplitIndices:
    """The newest rows are test. Rows of one date, and rows of one group, move together, by the newest of them."""
    assert settings.date is not None
    targets = _target_counts(len(examples), settings, where)
    moments = _timestamps(examples, settings.date, f"{where}.date")
    # Sorted by moment, so that the newest of a key is the one that stays.
    newest = dict(sorted(zip(keys, moments, strict=True), key=lambda pair: pair[1]))
    by_moment: dict[float, list[int]] = {}
    for index, key in enumerate(keys):
        by_moment.setdefault(newest[key], []).append(index)
    return _fill_in_order([by_moment[moment] for moment in sorted(by_moment, reverse=True)], targets)


def _fill_in_order(groups: Sequence[list[int]], targets: Mapping[Split, int | None]) -> SplitIndices:
    """Assign groups in order: a split takes groups until the next would bring it further from its target; none is skipped."""
    indices: SplitIndices = {name: [] for name in SPLITS}
    names: list[Split] = ["test", "validation", "train"]
    for group in groups:
        while names:
            target, count = targets[names[0]], len(indices[names[0]])
            if target is None or abs(count + len(group) - target) <= abs(count - target):
                indices[names[0]] += group
                break
            names.pop(0)
    return indices


def _timestamps(examples: Sequence[Example], name: str, where: str) -> list[float]:
    timestamps = [_timestamp(value) for value in _required_values(examples, name, where)]
    bad = [index for index, timestamp in enumerate(timestamps) if timestamp is None][:MAX_MISTAKES]
    raise_all(where, [_date_error(examples[index], name) for index in bad])
    return [timestamp for timestamp in timestamps if timestamp is not None]


def _date_error(example: Example, name: str) -> InputError:
    return InputError(
        f"the field {name} is not a date",
        where=str(example.origin),
        found=_shown_value(example.fields[name]),
        expected="a date such as 2026-03-04 or 2026-03-04T10:00:00+01:00, or a number",
        fix="write it so, or split in another way",
    )


def _shown_value(value: Json) -> str:
    return shorten(value) if isinstance(value, str) else json_kind(value)


def _timestamp(value: Json) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _required_values(examples: Sequence[Example], name: str, where: str) -> list[Json]:
    """A field's value in every row. Raises InputErrors for rows without it."""
    errors = (
        InputError(
            f"the row has no field {name} to split by",
            where=str(example.origin),
            found="the fields " + ", ".join(example.fields),
            fix=did_you_mean(name, list(example.fields), form=f"{where}: {{}}") or f"correct {where}",
        )
        for example in examples
        if name not in example.fields
    )
    raise_all(where, list(islice(errors, MAX_MISTAKES)))
    return [example.fields[name] for example in examples]


def _shuffled_groups(keys: Sequence[str], seed: int) -> list[list[int]]:
    """The rows' indices by group, in an order that depends on the seed and the keys alone."""
    groups: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return [groups[key] for key in sorted(groups, key=lambda key: (derive(seed, "split", key), key))]


def _checked_shares(settings: SplitSettings, where: str) -> dict[Split, Any]:
    shares: dict[Split, Any] = {name: getattr(settings, name) for name in SPLITS}
    for name, share in shares.items():
        if share is not None and (share < 0 or (isinstance(share, float) and share > 1)):
            raise InputError(
                "not a share of the rows",
                where=f"{where}.{name}",
                found=str(share),
                expected="a fraction from 0.0 to 1.0, or a count of rows",
                fix="write 0.1 for a tenth, or 100 for a hundred rows",
            )
    return shares


def _target_counts(total: int, settings: SplitSettings, where: str) -> dict[Split, int | None]:
    """The number of rows for each split; None for all other rows."""
    shares = _checked_shares(settings, where)
    fractions = sum(share for share in shares.values() if isinstance(share, float))
    counts = {
        name: share if not isinstance(share, float) else max(1, round(share * total)) if share else 0
        for name, share in shares.items()
    }
    if isinstance(shares["train"], float) and fractions > 1 - 1e-9 and fractions < 1 + 1e-9:
        counts["train"] = None  # the fractions add up to 1, so rounding must leave no row out
    requested = sum(count or 0 for count in counts.values())
    fractions_fit = fractions < 1 + 1e-9
    if (
        requested > total
        and fractions_fit
        and not any(isinstance(share, int) and share for share in shares.values())
    ):
        raise InputError(
            "there are too few rows to split",
            where=where,
            found=f"{total} row{'s' if total != 1 else ''}",
            expected=f"at least {requested + (counts['train'] is None)}",
            fix="bring more rows",
        )
    if not fractions_fit or requested > total:
        raise InputError(
            "the splits ask for more rows than there are",
            where=where,
            found=", ".join(f"{name}: {share}" for name, share in shares.items() if share is not None),
            expected=f"at most {total} rows in all",
            fix="lower one of them; without train, training takes all other rows",
        )
    return counts


def _split_by_column(examples: Sequence[Example], column: str, where: str) -> SplitIndices:
    values = [example.fields.get(column) for example in examples]
    names = [split_name(value) for value in values]
    bad = [index for index, name in enumerate(names) if name is None][:MAX_MISTAKES]
    raise_all(f"the column {column}", [_split_value_error(examples[index], column, where) for index in bad])
    parts = {split: [index for index, name in enumerate(names) if name == split] for split in SPLITS}
    for name in ("train", "test"):
        if not parts[name]:
            raise InputError(
                f"no row is for {name}",
                where=f"{where}.column",
                found=", ".join(f"{len(rows)} {split_name}" for split_name, rows in parts.items()),
                expected=f"at least one row whose {column} is {name}",
                fix=f"mark some rows, or leave {column} out of data.columns, so that rows are split anew",
            )
    return parts


def _split_value_error(example: Example, column: str, where: str) -> InputError:
    allowed = ", ".join(SPLITS)
    if column not in example.fields:
        return InputError(
            f"the row has no field {column}",
            where=str(example.origin),
            found="the fields " + ", ".join(example.fields),
            expected=f"a field that says {allowed}",
            fix=did_you_mean(column, list(example.fields), form=f"{where}.column: {{}}")
            or f"add it, or correct {where}.column",
        )
    value = example.fields[column]
    text = value.strip().lower() if isinstance(value, str) else ""
    suggestion = nearest(text, SPLITS)
    return InputError(
        f"the field {column} names no split",
        where=str(example.origin),
        found=_shown_value(value),
        expected=allowed,
        fix=f"did you mean {suggestion}?" if suggestion else "write one of the three",
    )


def _empty_split_error(
    name: Split, examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, where: str
) -> InputError:
    largest = max(Counter(keys).values(), default=0)
    group, fix = "", "bring more rows, or ask for other shares"
    if largest > 1 and settings.group_by:
        group = f", and rows with the same {settings.group_by} stay together (the most: {largest})"
    elif largest > 1:
        group = f", and rows with equal or nearly equal prompts stay together (the most: {largest})"
        fix += (
            "; rows that only look alike are parted by a higher split.near_duplicate_threshold, such as 0.95"
        )
    return InputError(
        f"the split {name} would be empty",
        where=f"{where}.{name}",
        found=f"{len(examples)} rows{group}",
        expected="at least one row for every split that is asked for",
        fix=f"{fix}, or write {name}: 0" if name == "validation" else fix,
    )
