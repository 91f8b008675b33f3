"""Training, validation and test rows: by count, fraction, group or column, as a pure function of seed and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tutelage.core import hashing
from tutelage.core.errors import InputError, nearest, raise_all
from tutelage.core.limits import MAX_ERRORS
from tutelage.core.nouns import Example, Json, Split
from tutelage.core.seeds import derive
from tutelage.core.strictjson import kind, shorten

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How rows are split.

    Attributes:
        train, validation, test: a fraction of all rows (float) or a count (int); `train` None takes what is left.
        by: a field; rows with the same value of it, case- and space-folded, stay together. Without it, rows with the same
            prompt-side values do.
        seed: another seed gives another split.
        column: a field that says train, validation or test for each row; the shares are then not read.
        leaks: whether a test row may also stand in training.
    """

    train: float | int | None = None
    validation: float | int = 0.1
    test: float | int = 0.1
    by: str | None = None
    seed: int = 0
    column: str | None = None
    leaks: Literal["refuse", "allow"] = "refuse"


@dataclass(frozen=True, slots=True)
class Splits:
    """The rows of each split, each in the file's order.

    Attributes:
        repeated: for each split how many of its rows say the same as an earlier one of it.
        leaks: the test rows that stand in training, as {"test": origin, "train": origin}.
        unused: rows in no split.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    repeated: Mapping[str, int] = field(default_factory=dict)
    leaks: tuple[dict[str, str], ...] = ()
    unused: int = 0

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
            space-folded, are those of a training row. Equal answers are no leak.
        completion_fields: the fields that the completion is made of; with the former they decide what is a repeated row.
        where: the settings' place in the recipe, for errors.

    Raises:
        InputError: counts that cannot be met, an empty split that is asked for, a bad column, or leaks.
    """
    parts = (
        _by_column(examples, settings.column, where)
        if settings.column is not None
        else _by_share(examples, settings, prompt_fields, where)
    )
    leaks = find_leaks(parts["train"], parts["test"], prompt_fields)
    if leaks and settings.leaks == "refuse":
        raise _leaked(leaks, parts["test"], settings, where)
    fields = [*prompt_fields, *completion_fields]
    return Splits(
        train=tuple(parts["train"]),
        validation=tuple(parts["validation"]),
        test=tuple(parts["test"]),
        repeated={
            name: len(rows) - len({content_key(row, fields) for row in rows}) for name, rows in parts.items()
        },
        leaks=tuple({"test": str(test.origin), "train": str(train.origin)} for test, train in leaks),
        unused=len(examples) - sum(len(rows) for rows in parts.values()),
    )


def content_key(example: Example, fields: Sequence[str]) -> str:
    """A hash of some fields' values, the same for rows that differ only in case and spaces."""
    return hashing.of_json([[name, fold(example.fields.get(name))] for name in sorted(set(fields))])


def fold(value: Json) -> Json:
    """A value with the case and the spaces of all its text folded."""
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, list):
        return [fold(item) for item in value]
    if isinstance(value, dict):
        return {key: fold(item) for key, item in value.items()}
    return value


def find_leaks(
    train: Sequence[Example], test: Sequence[Example], prompt_fields: Sequence[str]
) -> list[tuple[Example, Example]]:
    """The test rows that stand in training, each with the first such training row."""
    if not prompt_fields:
        return []
    known: dict[str, Example] = {}
    for row in train:
        known.setdefault(content_key(row, prompt_fields), row)
    pairs = [(row, known.get(content_key(row, prompt_fields))) for row in test]
    return [(row, same) for row, same in pairs if same is not None]


def _by_column(examples: Sequence[Example], column: str, where: str) -> dict[Split, list[Example]]:
    parts: dict[Split, list[Example]] = {name: [] for name in SPLITS}
    errors: list[InputError] = []
    for example in examples:
        value = example.fields.get(column)
        if value in SPLITS:
            parts[value].append(example)
        elif len(errors) < MAX_ERRORS:
            errors.append(_bad_split_value(example, column, where))
    raise_all(f"the column {column}", errors)
    for name in ("train", "test"):
        if not parts[name]:
            raise InputError(
                f"no row is for {name}",
                where=f"{where}.column",
                found=", ".join(f"{len(rows)} {which}" for which, rows in parts.items()),
                expected=f"at least one row whose {column} is {name}",
                fix=f"mark some rows, or split by train, validation and test instead of {column}",
            )
    return parts


def _bad_split_value(example: Example, column: str, where: str) -> InputError:
    allowed = ", ".join(SPLITS)
    if column not in example.fields:
        close = nearest(column, list(example.fields))
        return InputError(
            f"the row has no field {column}",
            where=str(example.origin),
            found="the fields " + ", ".join(example.fields),
            expected=f"a field that says {allowed}",
            fix=f"did you mean {where}.column: {close}?" if close else f"add it, or correct {where}.column",
        )
    value = example.fields[column]
    known = {
        "dev": "validation",
        "valid": "validation",
        "val": "validation",
        "training": "train",
        "eval": "validation",
    }
    text = value if isinstance(value, str) else ""
    close = known.get(text.strip().lower()) or nearest(text.strip().lower(), SPLITS)
    return InputError(
        f"the field {column} names no split",
        where=str(example.origin),
        found=shorten(value) if isinstance(value, str) else kind(value),
        expected=allowed,
        fix=f"did you mean {close}?" if close else "write one of the three",
    )


def _by_share(
    examples: Sequence[Example], settings: SplitSettings, prompt_fields: Sequence[str], where: str
) -> dict[Split, list[Example]]:
    targets = _targets(len(examples), settings, where)
    waiting = _groups(examples, settings, prompt_fields, where)
    chosen: dict[Split, list[int]] = {name: [] for name in SPLITS}
    # Test first: its rows then do not depend on how many are asked for in the other two.
    for name in ("test", "validation", "train"):
        target = targets[name]
        if target is None:
            chosen["train"] = [index for group in waiting for index in group]
            waiting = []
            continue
        left: list[list[int]] = []
        for group in waiting:
            have = len(chosen[name])
            if abs(have + len(group) - target) < abs(have - target):
                chosen[name] += group
            else:
                left.append(group)
        waiting = left
    for name in SPLITS:
        if not chosen[name] and targets[name] != 0:
            raise _empty_split(name, len(examples), settings, where)
    return {name: [examples[index] for index in sorted(chosen[name])] for name in SPLITS}


def _targets(total: int, settings: SplitSettings, where: str) -> dict[Split, int | None]:
    """How many rows each split shall have; None for all that is left."""
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
    fractions = sum(share for share in shares.values() if isinstance(share, float))
    counts = {
        name: share if not isinstance(share, float) else max(1, round(share * total)) if share else 0
        for name, share in shares.items()
    }
    if isinstance(shares["train"], float) and fractions > 1 - 1e-9 and fractions < 1 + 1e-9:
        counts["train"] = None  # the fractions are the whole: no row falls between them by rounding
    asked = sum(count or 0 for count in counts.values())
    if fractions > 1 + 1e-9 or asked > total:
        raise InputError(
            "the splits ask for more rows than there are",
            where=where,
            found=", ".join(f"{name}: {share}" for name, share in shares.items() if share is not None),
            expected=f"at most {total} rows in all",
            fix="lower one of them; train can be left out and takes what is left",
        )
    return counts


def _groups(
    examples: Sequence[Example], settings: SplitSettings, prompt_fields: Sequence[str], where: str
) -> list[list[int]]:
    """Indices of rows that stay together, in an order that depends on seed and content alone."""
    groups: dict[str, list[int]] = {}
    errors: list[InputError] = []
    for index, example in enumerate(examples):
        if settings.by is None:
            key = content_key(example, prompt_fields or list(example.fields))
        elif settings.by in example.fields:
            key = content_key(example, [settings.by])
        else:
            close = nearest(settings.by, list(example.fields))
            if len(errors) < MAX_ERRORS:
                errors.append(
                    InputError(
                        f"the row has no field {settings.by} to split by",
                        where=str(example.origin),
                        found="the fields " + ", ".join(example.fields),
                        fix=f"did you mean {where}.by: {close}?" if close else f"correct {where}.by",
                    )
                )
            continue
        groups.setdefault(key, []).append(index)
    raise_all(f"{where}.by", errors)
    return [groups[key] for key in sorted(groups, key=lambda key: (derive(settings.seed, "split", key), key))]


def _empty_split(name: Split, total: int, settings: SplitSettings, where: str) -> InputError:
    group = (
        f"rows with the same {settings.by} stay together" if settings.by else "equal prompts stay together"
    )
    return InputError(
        f"the split {name} would be empty",
        where=f"{where}.{name}",
        found=f"{total} rows, and {group}",
        expected="at least one row for every split that is asked for",
        fix=f"bring more rows, ask for other shares, or write {name}: 0"
        if name == "validation"
        else "bring more rows, or ask for other shares",
    )


def _leaked(
    leaks: Sequence[tuple[Example, Example]], test: Sequence[Example], settings: SplitSettings, where: str
) -> InputError:
    shown = "; ".join(f"{row.origin} as {same.origin}" for row, same in leaks[:3])
    how = (
        f"mark them in {settings.column} alike"
        if settings.column
        else "leave split.by out: equal prompts then stay together"
    )
    return InputError(
        f"{len(leaks)} of {len(test)} test rows also stand in training",
        where=where,
        found=shown + ("; ..." if len(leaks) > 3 else ""),
        expected="no test row with the prompt-side values of a training row",
        fix=f"{how}, drop one of each pair, or write leaks: allow when that is meant",
    )
