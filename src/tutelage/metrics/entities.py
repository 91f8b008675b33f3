"""Entity F1 over tag sequences: precision, recall and F1 of (type, first token, last token). Equal to seqeval's.

Prediction and reference are tags with spaces between, one a token. `conlleval` reads tags as the CoNLL-2000 script does
(an I- after O, or of another type, opens an entity); `iob2` and `iobes` are strict (only B- or S- opens one, and IOBES
needs E- at the end): on tags that break the scheme they differ, so they are metrics of different names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.grouping import code
from tutelage.metrics.labels import averaged
from tutelage.metrics.measures import Counted, Family, Floats, Shared, Weigh
from tutelage.metrics.names import Asked

Entity = tuple[str, int, int]


def conlleval(tags: Sequence[str]) -> list[Entity]:
    """The entities that conlleval reads: (type, first token, last token)."""
    found: list[Entity] = []
    start, before, before_type = 0, "O", ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, kind = _split(tag)
        changed = before_type != kind
        if before in "ES" or (before in "BI" and (prefix in "BSO" or changed)) or _other(before, changed):
            found.append((before_type, start, place - 1))
        opens = prefix in "BS" or (before in "ESO" and prefix in "EI") or _other(prefix, changed)
        start = place if opens else start
        before, before_type = prefix, kind
    return found


def strict(tags: Sequence[str], allowed: str) -> list[Entity]:
    """The entities that keep to a scheme: `allowed` is the prefixes it has, with E and S for IOBES."""
    found: list[Entity] = []
    closed = "E" in allowed
    start: int | None = None
    last, kind = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, own = tag[0], tag[1:].strip("-") or "_"
        if prefix not in allowed:
            raise ValueError(tag)
        inside = start is not None and last in "BI" and prefix in "IE" and own == kind
        if start is not None and not inside:
            if not closed or last in "ES":
                found.append((kind, start, place - 1))
            start = None
        if prefix in "BS" and not inside:
            start = place
        last, kind = prefix, own
    return found


@lru_cache(maxsize=4096)
def _split(tag: str) -> tuple[str, str]:
    """Prefix and type; what stands before the first dash of the rest is no part of the type."""
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


def _other(prefix: str, changed: bool) -> bool:  # noqa: FBT001 - two facts about one tag
    """The script's last rule: a change of type, at a tag that is neither O nor a full stop."""
    return changed and prefix not in "O."


_SCHEMES: dict[str, Callable[[Sequence[str]], list[Entity]]] = {
    "conlleval": conlleval,
    "iob2": lambda tags: strict(tags, "IOB"),
    "iobes": lambda tags: strict(tags, "IOBES"),
}


def _count(shared: Shared, asked: Asked) -> Counted:
    """A line has, for each type met in the rows, its number, then entities true, guessed and guessed rightly."""
    read = _SCHEMES[str(asked.options["scheme"])]
    each = [_entities(shared, index, read, asked) for index in range(len(shared.rows))]
    kinds = sorted({kind for sides in each for side in sides for kind, _, _ in side})
    lines = np.zeros((len(each), len(kinds), 4))
    column = {kind: place for place, kind in enumerate(kinds)}
    lines[:, :, 0] = [code(kind) for kind in kinds]
    for line, (true, guessed) in zip(lines, each, strict=True):
        for place, side in enumerate((true, guessed, set(true) & set(guessed)), start=1):
            for kind, count in Counter(kind for kind, _, _ in side).items():
                line[column[kind], place] = count
    table = lines.reshape(len(each), -1)
    sums = lines[:, :, 1:].sum(1)
    items = averaged(sums[:, :1], sums[:, 1:2], sums[:, 2:], str(asked.options["measure"]), "micro")
    # A row with no entity on either side is neither right nor wrong about one.
    return Counted(np.arange(len(each)), np.where(sums.any(1), items, np.nan), table)


def _entities(
    shared: Shared, index: int, read: Callable[[Sequence[str]], list[Entity]], asked: Asked
) -> tuple[list[Entity], list[Entity]]:
    row = shared.rows[index]
    if len(row.references) != 1:
        raise InputError(
            f"{asked.text} needs one true tag sequence a row",
            where=f"row {index + 1}",
            found=f"{len(row.references)} references",
        )
    true, guessed = row.references[0].split(), row.prediction.split()
    if len(true) != len(guessed):
        raise InputError(
            "prediction and reference have different numbers of tags",
            where=f"row {index + 1}",
            found=f"{len(guessed)} tags",
            expected=f"{len(true)}",
        )
    try:
        return read(true), read(guessed)
    except ValueError as error:
        raise InputError(
            f"a tag is not of the scheme {asked.options['scheme']}",
            where=f"row {index + 1}",
            found=str(error),
        ) from None


def _weigh(asked: Asked, lines: Floats) -> Weigh:
    slots = lines.reshape(len(lines), -1, 4)
    kinds = np.unique(slots[:, :, 0])
    kinds = kinds[kinds != 0]
    tables = (
        np.stack([(slots[:, :, 1:] * (slots[:, :, :1] == kind)).sum(1) for kind in kinds], axis=1)
        if len(kinds)
        else np.zeros((len(lines), 1, 3))
    )

    def value(weights: Floats) -> Floats:
        true, guessed, right = (weights @ tables[:, :, place] for place in range(3))
        return averaged(true, guessed, right, str(asked.options["measure"]), str(asked.options["average"]))

    return value


entity_f = Family(_count, _weigh)
