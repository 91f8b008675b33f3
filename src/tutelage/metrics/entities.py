"""Entity F1 over tag sequences: precision, recall and F1 of (type, first token, last token). Equal to seqeval's.

Prediction and reference are tags with spaces between, one a token. `conlleval` reads tags as the CoNLL-2000 script does
(an I- after O, or of another type, opens an entity); `iob2` and `iobes` are strict (only B- or S- opens one, and IOBES
needs E- at the end): on tags that break the scheme they differ, so they are metrics of different names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics import mentions
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import code
from tutelage.metrics.implementation import (
    Estimator,
    Floats,
    Ints,
    ItemStatistics,
    MetricImplementation,
    PseudoItems,
    ScoringBatch,
)
from tutelage.metrics.labels import averaged
from tutelage.metrics.score import Row
from tutelage.metrics.stats.bootstrap import SumEstimator

Entity = tuple[str, int, int]


def conlleval_entities(tags: Sequence[str]) -> list[Entity]:
    """The entities that conlleval reads: (type, first token, last token)."""
    found: list[Entity] = []
    start, before = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        closes, opens = _turns(before, tag)
        if closes:
            found.append((_split(before)[1] if before else "", start, place - 1))
        start = place if opens else start
        before = tag
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


_PREFIXES = {"iob2": "IOB", "iobes": "IOBES"}


@dataclass(frozen=True, slots=True)
class _Found:
    """The entities of many rows, each int64 of shape (entities,): row, type, first token, last token."""

    row: Ints
    kind: Ints
    first: Ints
    last: Ints

    def keys(self, kinds: int, tokens: int) -> Ints:
        """A number for each entity: equal for equal ones. Tokens are numbered through all rows."""
        return (self.first * (tokens + 1) + self.last) * kinds + self.kind


def _count(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """A line has, for each type met in the rows, its number, then entities true, guessed and guessed rightly."""
    pairs = [_tags(row, index, spec) for index, row in enumerate(shared.rows)]
    names: dict[str, int] = {}
    true, guessed = (
        _read([pair[side] for pair in pairs], names, str(spec.options["scheme"]), spec) for side in (0, 1)
    )
    tokens, rows = sum(len(own) for own, _ in pairs), len(pairs)
    kinds = sorted({*true.kind.tolist(), *guessed.kind.tolist()}, key=list(names).__getitem__)
    place = np.zeros(len(names), np.int64)
    place[kinds] = np.arange(len(kinds))
    right = np.isin(true.keys(len(names), tokens), guessed.keys(len(names), tokens))
    lines = np.zeros((rows, len(kinds), 4))
    lines[:, :, 0] = [code(list(names)[kind]) for kind in kinds]
    cells = rows * len(kinds)
    counted = (true.row, true.kind), (guessed.row, guessed.kind), (true.row[right], true.kind[right])
    for column, (row, kind) in enumerate(counted, start=1):
        at = row * len(kinds) + place[kind]
        lines[:, :, column] = np.bincount(at, minlength=cells).reshape(rows, len(kinds))
    sums = lines[:, :, 1:].sum(1)
    items = averaged(sums[:, :1], sums[:, 1:2], sums[:, 2:], str(spec.options["measure"]), "micro")
    # A row with no entity on either side is neither right nor wrong about one.
    return ItemStatistics(np.arange(rows), np.where(sums.any(1), items, np.nan), lines.reshape(rows, -1))


def _tags(row: Row, index: int, spec: MetricSpec) -> tuple[list[str], list[str]]:
    """A row's true and predicted tags."""
    if len(row.references) != 1:
        raise InputError(
            f"{spec.text} needs one true tag sequence a row",
            where=f"row {index + 1}",
            found=f"{len(row.references)} references",
        )
    if spec.options["form"] == "text":
        return _tags_of_text(row, index, spec)
    true, guessed = row.references[0].split(), row.prediction.split()
    if len(true) != len(guessed):
        raise InputError(
            "prediction and reference have different numbers of tags",
            where=f"row {index + 1}",
            found=f"{len(guessed)} tags",
            expected=f"{len(true)}",
            fix="answers that name entities in words are scored by " + spec.entry.name + ":form=text",
        )
    return true, guessed


def _tags_of_text(row: Row, index: int, spec: MetricSpec) -> tuple[list[str], list[str]]:
    """A row's true and predicted tags, when both are said in words; what has no place in the sentence gets one behind it."""
    tokens = row.fields.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise InputError(
            f"{spec.text} needs the sentence's tokens",
            where=f"row {index + 1}, field tokens",
            found="no such field" if "tokens" not in row.fields else "no list of texts",
            expected="a list of texts, as rows of CoNLL files have it",
        )
    said = row.references[0]
    lines = sum(bool(line.strip()) for line in said.split("\n"))
    if said.strip().lower() != mentions.NONE and len(mentions.from_text(said)) != lines:
        raise InputError(
            f"{spec.text} cannot read the reference",
            where=f"row {index + 1}",
            found=said[:60],
            expected=f"one entity a line as type: words, or {mentions.NONE}",
        )
    words = [str(token) for token in tokens]
    closed = spec.options.get("scheme") == "iobes"
    sides = [mentions.to_tags(mentions.from_text(t), words, closed=closed) for t in (said, row.prediction)]
    (true, missing), (guessed, invented) = sides
    wanted, named = Counter(missing), Counter(invented)
    for mention in wanted | named:
        tag = f"{'S' if closed else 'B'}-{mention[0]}"
        for place in range(max(wanted[mention], named[mention])):
            true.append(tag if place < wanted[mention] else "O")
            guessed.append(tag if place < named[mention] else "O")
    return true, guessed


def _read(rows: Sequence[list[str]], names: dict[str, int], scheme: str, spec: MetricSpec) -> _Found:
    """The entities of all rows; `names` numbers the types and is added to."""
    if scheme != "conlleval":
        return _read_strictly(rows, names, _PREFIXES[scheme], spec)
    return _read_as_conlleval(rows, names)


def _read_strictly(
    rows: Sequence[list[str]], names: dict[str, int], allowed: str, spec: MetricSpec
) -> _Found:
    found: list[tuple[int, int, int, int]] = []
    base = 0
    for index, tags in enumerate(rows):
        try:
            own = strict(tags, allowed)
        except ValueError as error:
            raise InputError(
                f"a tag is not of the scheme {spec.options['scheme']}",
                where=f"row {index + 1}",
                found=str(error),
            ) from None
        found += [(index, names.setdefault(kind, len(names)), base + a, base + b) for kind, a, b in own]
        base += len(tags)
    table = np.array(found, np.int64).reshape(-1, 4)
    return _Found(*(table[:, column] for column in range(4)))


def _read_as_conlleval(rows: Sequence[list[str]], names: dict[str, int]) -> _Found:
    """`conlleval` on all rows at once: what one tag does depends on it and the tag before, so each pair is asked once."""
    vocabulary: defaultdict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    vocabulary[""], vocabulary["O"] = 0, 1  # what stands before a row, and after it
    lengths = np.fromiter(map(len, rows), np.int64, len(rows)) + 1
    flat = chain.from_iterable(chain.from_iterable(zip(rows, repeat(("O",)), strict=False)))
    ids = np.fromiter(map(vocabulary.__getitem__, flat), np.int64, int(lengths.sum()))
    tags = list(vocabulary)
    starts = np.cumsum(lengths) - lengths
    turn = np.empty_like(ids)
    turn[1:] = ids[:-1]
    turn[starts] = 0
    turn *= len(tags)
    turn += ids
    closing, opening = (np.zeros(len(tags) ** 2, bool) for _ in range(2))
    for pair in _distinct(turn, len(tags) ** 2):
        before, tag = divmod(pair, len(tags))
        closing[pair], opening[pair] = _turns(tags[before], tags[tag])
    ends, opens = np.flatnonzero(closing[turn]), np.flatnonzero(opening[turn])
    row = np.searchsorted(starts, ends, side="right") - 1
    opened = np.concatenate(([-1], opens))[np.searchsorted(opens, ends)]
    first = np.maximum(opened, starts[row])
    kinds = np.array([names.setdefault(_split(tag)[1], len(names)) if tag else -1 for tag in tags])
    # One more O a row stands in `flat` than in the row: places are those of the rows' own tokens.
    return _Found(row, kinds[ids[ends - 1]], first - row, ends - 1 - row)


def _distinct(numbers: Ints, below: int) -> list[int]:
    """The different ones of numbers from 0 to `below`, by counting where a count for each fits."""
    few = below <= max(4 * len(numbers), 10_000)
    found: list[int] = (np.flatnonzero(np.bincount(numbers)) if few else np.unique(numbers)).tolist()
    return found


def _turns(before: str, tag: str) -> tuple[bool, bool]:
    """Whether an entity closes before a tag, and whether one opens with it. `before` is "" at the beginning."""
    last, last_kind = _split(before) if before else ("O", "")
    prefix, kind = _split(tag)
    changed = last_kind != kind
    closes = last in "ES" or (last in "BI" and (prefix in "BSO" or changed)) or _other(last, changed)
    opens = prefix in "BS" or (last in "ESO" and prefix in "EI") or _other(prefix, changed)
    return closes, opens


def _weigh(spec: MetricSpec, lines: Floats) -> Estimator:
    slots = lines.reshape(len(lines), -1, 4)
    kinds = np.unique(slots[:, :, 0])
    kinds = kinds[kinds != 0]
    tables = np.zeros((len(lines), max(len(kinds), 1), 3))
    for place, kind in enumerate(kinds):
        tables[:, place] = (slots[:, :, 1:] * (slots[:, :, :1] == kind)).sum(1)
    measure, average = str(spec.options["measure"]), str(spec.options["average"])

    def value(sums: Floats) -> Floats:
        true, guessed, right = np.moveaxis(sums.reshape(len(sums), -1, 3), 2, 0)
        return averaged(true, guessed, right, measure, average)

    return SumEstimator(value, tables.reshape(len(lines), -1))


def _unseen(_asked: MetricSpec, lines: Floats) -> PseudoItems | None:
    """A row whose entities of a type are all found, and one with none found and as many made up, for each type."""
    slots = lines.reshape(len(lines), -1, 4)
    kinds = np.unique(slots[:, :, 0])
    kinds = kinds[kinds != 0]
    wrong = np.zeros((len(kinds), *slots.shape[1:]))
    right = wrong.copy()
    for place, kind in enumerate(kinds):
        counts = (slots[:, :, 1:3] * (slots[:, :, :1] == kind)).sum(1)
        usual = counts[counts.any(1)].mean() if counts.any() else 1.0
        wrong[place, 0] = kind, usual, usual, 0.0
        right[place, 0] = kind, usual, usual, usual
    return PseudoItems(wrong.reshape(len(kinds), -1), right.reshape(len(kinds), -1)) if len(kinds) else None


entity_f = MetricImplementation(_count, _weigh, unseen=_unseen)
