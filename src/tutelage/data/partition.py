"""The ways to part rows: by shares (at random, stratified, by group), by a hash that stays, by date, by a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from tutelage.core import hashing
from tutelage.core.errors import InputError, nearest, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.seeds import derive
from tutelage.core.strictjson import kind, shorten
from tutelage.core.types import Example, Json, Split

SPLITS: tuple[Split, ...] = get_args(Split)
Places = dict[Split, list[int]]


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How rows are split.

    Attributes:
        train, validation, test: a fraction of all rows (float) or a count (int); `train` None takes what is left.
        by: a field; rows with the same value of it, case- and space-folded, stay together.
        stratify: a field; every value of it has the same share in every split, as far as counts allow.
        stable: each row's split follows from its own content, so that rows added later move no other; fractions only,
            and met on average.
        date: a field; the newest rows test, those before them validate. ISO 8601, or a number.
        column: a field that says train, validation or test for each row; the shares are then not read.
        seed: another seed gives another split.
        near: from which similarity on two rows count as nearly the same (`duplicates`); 1.0 looks for equal ones only.
        leaks: whether a test row may also stand in training.
    """

    train: float | int | None = None
    validation: float | int = 0.1
    test: float | int = 0.1
    by: str | None = None
    stratify: str | None = None
    stable: bool = False
    date: str | None = None
    column: str | None = None
    seed: int = 0
    near: float = 0.8
    leaks: Literal["refuse", "allow"] = "refuse"


def part(examples: Sequence[Example], settings: SplitSettings, alike: Sequence[str], where: str) -> Places:
    """The places of each split's rows, in the rows' order.

    Args:
        examples: all rows.
        settings: how.
        alike: for each row the name of those that it stays with where the settings name no field for that.
        where: the settings' place in the recipe, for errors.

    Raises:
        InputError: counts that cannot be met, an empty split that is asked for, a bad column or date.
    """
    if settings.column is not None:
        return _by_column(examples, settings.column, where)
    keys = list(alike)
    if settings.by is not None:
        values = _values(examples, settings.by, f"{where}.by")
        keys = [hashing.of_json([[settings.by, fold(value)]]) for value in values]
    if settings.stable:
        places = _by_hash(keys, settings, where)
    elif settings.date is not None:
        places = _by_date(examples, keys, settings, where)
    else:
        places = _by_share(examples, keys, settings, where)
    shares: Mapping[Split, Any] = {
        "train": settings.train,
        "validation": settings.validation,
        "test": settings.test,
    }
    for name in SPLITS:
        if not places[name] and shares[name] != 0:
            raise _empty_split(name, examples, keys, settings, where)
    return {name: sorted(own) for name, own in places.items()}


def fold(value: Json) -> Json:
    """A value with the case and the spaces of all its text folded."""
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, list):
        return [fold(item) for item in value]
    if isinstance(value, dict):
        return {key: fold(item) for key, item in value.items()}
    return value


def _by_share(
    examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, where: str
) -> Places:
    targets = _targets(len(examples), settings, where)
    groups = _shuffled(keys, settings.seed)
    if settings.stratify is None:
        return _filled(groups, targets)
    values = [hashing.of_json(fold(v)) for v in _values(examples, settings.stratify, f"{where}.stratify")]
    strata: dict[str, list[list[int]]] = {}
    for group in groups:  # a group of rows with several values counts as its first row's
        strata.setdefault(values[group[0]], []).append(group)
    sizes = {value: sum(map(len, own)) for value, own in sorted(strata.items())}
    shared = {name: _apportioned(n, sizes) for name, n in targets.items() if n is not None}
    places: Places = {name: [] for name in SPLITS}
    for value in sizes:
        wanted = {name: shared[name][value] if name in shared else None for name in SPLITS}
        own = _filled(strata[value], wanted)
        for name in SPLITS:
            places[name] += own[name]
    return places


def _filled(groups: Sequence[list[int]], targets: Mapping[Split, int | None]) -> Places:
    """Whole groups, in their order, as near to each target as they come."""
    places: Places = {name: [] for name in SPLITS}
    waiting = list(groups)
    # Test first: its rows then do not depend on how many are asked for in the other two.
    for name in ("test", "validation", "train"):
        target = targets[name]
        if target is None:
            places["train"] = [place for group in waiting for place in group]
            waiting = []
            continue
        left: list[list[int]] = []
        for group in waiting:
            have = len(places[name])
            if abs(have + len(group) - target) < abs(have - target):
                places[name] += group
            else:
                left.append(group)
        waiting = left
    return places


def _apportioned(total: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """A count parted among strata by their sizes: the largest remainders get what rounding leaves."""
    whole = sum(sizes.values())
    exact = {value: total * size / whole for value, size in sizes.items()}
    found = {value: int(share) for value, share in exact.items()}
    by_remainder = sorted(exact, key=lambda value: (found[value] - exact[value], value))
    for value in by_remainder[: total - sum(found.values())]:
        found[value] += 1
    return found


def _by_hash(keys: Sequence[str], settings: SplitSettings, where: str) -> Places:
    shares = _shares(settings, where)
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
    places: Places = {name: [] for name in SPLITS}
    ends = settings.test, settings.test + settings.validation
    whole = 1.0 if settings.train is None else ends[1] + settings.train + 1e-9
    for place, key in enumerate(keys):
        at = derive(settings.seed, "split", key) / 2**63
        if at < whole:
            places["test" if at < ends[0] else "validation" if at < ends[1] else "train"].append(place)
    return places


def _by_date(examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, where: str) -> Places:
    """The newest rows test. Rows of one date, and rows that stay together, go with the newest of them."""
    assert settings.date is not None
    targets = _targets(len(examples), settings, where)
    moments = _moments(examples, settings.date, f"{where}.date")
    newest: dict[str, float] = {}
    for key, moment in zip(keys, moments, strict=True):
        newest[key] = max(moment, newest.get(key, moment))
    by_moment: dict[float, list[int]] = {}
    for place, key in enumerate(keys):
        by_moment.setdefault(newest[key], []).append(place)
    return _in_order([by_moment[moment] for moment in sorted(by_moment, reverse=True)], targets)


def _in_order(groups: Sequence[list[int]], targets: Mapping[Split, int | None]) -> Places:
    """Each split takes groups until the next one would bring it further from its target; none is passed over."""
    places: Places = {name: [] for name in SPLITS}
    names: list[Split] = ["test", "validation", "train"]
    for group in groups:
        while names:
            target, have = targets[names[0]], len(places[names[0]])
            if target is None or abs(have + len(group) - target) <= abs(have - target):
                places[names[0]] += group
                break
            names.pop(0)
    return places


def _moments(examples: Sequence[Example], name: str, where: str) -> list[float]:
    found: list[float] = []
    errors: list[InputError] = []
    for example, value in zip(examples, _values(examples, name, where), strict=True):
        moment = _moment(value)
        if moment is not None:
            found.append(moment)
        elif len(errors) < MAX_MISTAKES:
            errors.append(
                InputError(
                    f"the field {name} is no date",
                    where=str(example.origin),
                    found=shorten(value) if isinstance(value, str) else kind(value),
                    expected="a date such as 2026-03-04 or 2026-03-04T10:00:00+01:00, or a number",
                    fix="write it so, or split in another way",
                )
            )
    raise_all(where, errors)
    return found


def _moment(value: Json) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _values(examples: Sequence[Example], name: str, where: str) -> list[Json]:
    """A field of every row, which must be there."""
    errors: list[InputError] = []
    for example in examples:
        if name not in example.fields and len(errors) < MAX_MISTAKES:
            close = nearest(name, list(example.fields))
            errors.append(
                InputError(
                    f"the row has no field {name} to split by",
                    where=str(example.origin),
                    found="the fields " + ", ".join(example.fields),
                    fix=f"did you mean {where}: {close}?" if close else f"correct {where}",
                )
            )
    raise_all(where, errors)
    return [example.fields[name] for example in examples]


def _shuffled(keys: Sequence[str], seed: int) -> list[list[int]]:
    """Places of rows that stay together, in an order that depends on seed and content alone."""
    groups: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    return [groups[key] for key in sorted(groups, key=lambda key: (derive(seed, "split", key), key))]


def _shares(settings: SplitSettings, where: str) -> dict[Split, Any]:
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


def _targets(total: int, settings: SplitSettings, where: str) -> dict[Split, int | None]:
    """How many rows each split shall have; None for all that is left."""
    shares = _shares(settings, where)
    fractions = sum(share for share in shares.values() if isinstance(share, float))
    counts = {
        name: share if not isinstance(share, float) else max(1, round(share * total)) if share else 0
        for name, share in shares.items()
    }
    if isinstance(shares["train"], float) and fractions > 1 - 1e-9 and fractions < 1 + 1e-9:
        counts["train"] = None  # the fractions are the whole: no row falls between them by rounding
    asked = sum(count or 0 for count in counts.values())
    whole = fractions < 1 + 1e-9
    if asked > total and whole and not any(isinstance(share, int) and share for share in shares.values()):
        raise InputError(
            "there are too few rows to split",
            where=where,
            found=f"{total} row{'s' if total != 1 else ''}",
            expected=f"at least {asked + (counts['train'] is None)}",
            fix="bring more rows",
        )
    if not whole or asked > total:
        raise InputError(
            "the splits ask for more rows than there are",
            where=where,
            found=", ".join(f"{name}: {share}" for name, share in shares.items() if share is not None),
            expected=f"at most {total} rows in all",
            fix="lower one of them; train can be left out and takes what is left",
        )
    return counts


def _by_column(examples: Sequence[Example], column: str, where: str) -> Places:
    parts: Places = {name: [] for name in SPLITS}
    errors: list[InputError] = []
    for place, example in enumerate(examples):
        value = example.fields.get(column)
        if value in SPLITS:
            parts[value].append(place)
        elif len(errors) < MAX_MISTAKES:
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


def _empty_split(
    name: Split, examples: Sequence[Example], keys: Sequence[str], settings: SplitSettings, where: str
) -> InputError:
    largest = max(Counter(keys).values(), default=0)
    together = (
        f"rows with the same {settings.by}" if settings.by else "rows with equal or nearly equal prompts"
    )
    group = f", and {together} stay together (the most: {largest})" if largest > 1 else ""
    fix = "bring more rows, or ask for other shares"
    if largest > 1 and not settings.by:
        fix += "; rows that only look alike are parted by a higher split.near, such as 0.95"
    return InputError(
        f"the split {name} would be empty",
        where=f"{where}.{name}",
        found=f"{len(examples)} rows{group}",
        expected="at least one row for every split that is asked for",
        fix=f"{fix}, or write {name}: 0" if name == "validation" else fix,
    )
