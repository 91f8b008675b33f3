"""Entity F1 over tag sequences: precision, recall and F1 of (type, first token, last token). Equal to seqeval's.

Prediction and reference are tags with spaces between, one a token. `conlleval` reads tags as the CoNLL-2000 script does
(an I- after O, or of another type, opens an entity); `iob2` and `iobes` are strict (only B- or S- opens one, and IOBES
needs E- at the end): on tags that break the scheme they differ, so they are metrics of different names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics import mentions
from tutelage.metrics.catalogue import MetricSpec, parse
from tutelage.metrics.group_sums import name_code
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, PseudoItems, ScoringBatch
from tutelage.metrics.labels import averaged
from tutelage.metrics.mentions import Mention
from tutelage.metrics.row_fields import single_reference
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats, Ints
from tutelage.metrics.stats.estimators import Estimator, SumEstimator
from tutelage.metrics.tag_schemes import is_entity_tag, split_tag, strict_entities, transition

_PREFIXES = {"iob2": "IOB", "iobes": "IOBES"}


@dataclass(frozen=True, slots=True)
class _Entities:
    """The entities of many rows, each int64 of shape (entities,): row, type, first token, last token."""

    row: Ints
    type: Ints
    first: Ints
    last: Ints

    def keys(self, types: int, tokens: int) -> Ints:
        """A number for each entity: equal for equal ones. Tokens are numbered through all rows."""
        return (self.first * (tokens + 1) + self.last) * types + self.type


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item: for each type in the rows its code, then entities true, predicted, predicted rightly."""
    pairs = [_tags(spec, row, index)[:2] for index, row in enumerate(batch.rows)]
    numbers: dict[str, int] = {}  # of the types
    true, predicted = (_read(spec, [pair[side] for pair in pairs], numbers) for side in (0, 1))
    tokens, rows = sum(len(tags) for tags, _ in pairs), len(pairs)
    names = list(numbers)
    types = sorted({*true.type.tolist(), *predicted.type.tolist()}, key=names.__getitem__)
    columns = np.zeros(len(names), np.int64)
    columns[types] = np.arange(len(types))
    right = np.isin(true.keys(len(names), tokens), predicted.keys(len(names), tokens))
    statistics = np.zeros((rows, len(types), 4))
    statistics[:, :, 0] = [name_code(names[number]) for number in types]
    counted = (true.row, true.type), (predicted.row, predicted.type), (true.row[right], true.type[right])
    for slot, (row, entity_type) in enumerate(counted, start=1):
        cells = np.bincount(row * len(types) + columns[entity_type], minlength=rows * len(types))
        statistics[:, :, slot] = cells.reshape(rows, len(types))
    sums = statistics[:, :, 1:].sum(1)
    items = averaged(sums[:, :1], sums[:, 1:2], sums[:, 2:], str(spec.options["measure"]), "micro")
    # A row with no entity on either side is neither right nor wrong about one.
    items = np.where(sums.any(1), items, np.nan)
    return ItemStatistics(np.arange(rows), items, statistics.reshape(rows, -1))


def missed_and_invented(metric: str, row: Row) -> tuple[list[Mention], list[Mention], list[Mention]]:
    """Compare a row's entities with the true ones, as the metric does.

    Args:
        metric: an entity metric's name with its options.
        row: prediction and reference.

    Returns:
        The entities that are right, those that were missed, and those that were invented: each (type, words). One with a wrong
        border or type is missed and invented. Words are token numbers where the row has no field `tokens`.

    Raises:
        InputError: the metric cannot read the row.
    """
    spec = parse(metric)
    *sides, words = _tags(spec, row, 0)
    numbers: dict[str, int] = {}
    read = [_read(spec, [tags], numbers) for tags in sides]
    names = list(numbers)
    true, predicted = (
        {
            (names[kind], first, last)
            for kind, first, last in zip(
                each.type.tolist(), each.first.tolist(), each.last.tolist(), strict=True
            )
        }
        for each in read
    )
    groups = true & predicted, true - predicted, predicted - true
    right, missed, invented = (
        [
            (kind, mentions.join_tokens(words[first : last + 1]))
            for kind, first, last in sorted(group, key=lambda it: it[1:])
        ]
        for group in groups
    )
    return right, missed, invented


def _tags(spec: MetricSpec, row: Row, index: int) -> tuple[list[str], list[str], list[str]]:
    """A row's true and predicted tags, and the words that they stand on."""
    reference = single_reference(spec, row, index, expected="true tag sequence")
    if spec.options["form"] == "text":
        return _tags_of_text(spec, row, index)
    true, predicted = reference.split(), row.prediction.split()
    if len(true) != len(predicted):
        raise InputError(
            "prediction and reference have different numbers of tags",
            where=f"row {index + 1}",
            found=f"{len(predicted)} tags",
            expected=f"{len(true)}",
            fix="answers that name entities in words are scored by " + spec.entry.name + ":form=text",
        )
    if foreign := next((tag for tag in (*true, *predicted) if not is_entity_tag(tag)), None):
        raise InputError(
            "a tag marks no entity",
            where=f"row {index + 1}",
            found=foreign,
            expected="O, or B-, I-, E- or S- and a type, such as B-PER",
            fix="write BILOU's L- as E- and U- as S-"
            if foreign[:2] in ("L-", "U-")
            else "tags of single tokens, such as parts of speech, are scored place by place by sequence_f1",
        )
    tokens = row.fields.get("tokens")
    if isinstance(tokens, list) and len(tokens) == len(true):
        return true, predicted, [str(token) for token in tokens]
    return true, predicted, [f"token {number + 1}" for number in range(len(true))]


def _tags_of_text(spec: MetricSpec, row: Row, index: int) -> tuple[list[str], list[str], list[str]]:
    """As `_tags` when both sides are texts; mentions without a place get tags behind the sentence."""
    tokens = row.fields.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise InputError(
            f"{spec.text} needs the sentence's tokens",
            where=f"row {index + 1}, field tokens",
            found="no such field" if "tokens" not in row.fields else "no list of texts",
            expected="a list of texts, as rows of CoNLL files have it",
        )
    reference = row.references[0]
    lines = sum(bool(line.strip()) for line in reference.split("\n"))
    if reference.strip().lower() != mentions.NONE and len(mentions.from_text(reference)) != lines:
        raise InputError(
            f"{spec.text} cannot read the reference",
            where=f"row {index + 1}",
            found=reference[:60],
            expected=f"one entity a line as type: words, or {mentions.NONE}",
        )
    words = [str(token) for token in tokens]
    iobes = spec.options.get("scheme") == "iobes"
    (true, missing), (predicted, invented) = (
        mentions.to_tags(mentions.from_text(text), words, iobes=iobes) for text in (reference, row.prediction)
    )
    true_counts, predicted_counts = Counter(missing), Counter(invented)
    for mention, count in (true_counts | predicted_counts).items():
        tag = f"{'S' if iobes else 'B'}-{mention[0]}"
        for number in range(count):
            true.append(tag if number < true_counts[mention] else "O")
            predicted.append(tag if number < predicted_counts[mention] else "O")
            words.append(mention[1])
    return true, predicted, words


def _read(spec: MetricSpec, rows: Sequence[list[str]], numbers: dict[str, int]) -> _Entities:
    """The entities of all rows; `numbers` numbers the types and is added to."""
    scheme = str(spec.options["scheme"])
    if scheme == "conlleval":
        return _read_as_conlleval(rows, numbers)
    entities: list[tuple[int, int, int, int]] = []
    offset = 0
    for index, tags in enumerate(rows):
        try:
            in_row = strict_entities(tags, _PREFIXES[scheme])
        except ValueError as error:
            raise InputError(
                f"a tag is not of the scheme {scheme}", where=f"row {index + 1}", found=str(error)
            ) from None
        entities += [
            (index, numbers.setdefault(name, len(numbers)), offset + first, offset + last)
            for name, first, last in in_row
        ]
        offset += len(tags)
    return _Entities(*np.array(entities, np.int64).reshape(-1, 4).T)


def _read_as_conlleval(rows: Sequence[list[str]], numbers: dict[str, int]) -> _Entities:
    """`conlleval_entities` on all rows at once.

    What a tag does depends on it and the tag before it, so each distinct pair of tags is looked at once.
    """
    vocabulary: defaultdict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    vocabulary[""], vocabulary["O"] = 0, 1  # what stands before a row, and after it
    lengths = np.fromiter(map(len, rows), np.int64, len(rows)) + 1
    flat = chain.from_iterable(chain.from_iterable(zip(rows, repeat(("O",)), strict=False)))
    ids = np.fromiter(map(vocabulary.__getitem__, flat), np.int64, int(lengths.sum()))
    tags = list(vocabulary)
    starts = np.cumsum(lengths) - lengths
    previous = np.roll(ids, 1)
    previous[starts] = 0
    pairs = previous * len(tags) + ids
    distinct = _distinct(pairs, len(tags) ** 2)
    closes, opens = np.zeros((2, len(tags) ** 2), bool)
    closes[distinct], opens[distinct] = zip(
        *(transition(tags[pair // len(tags)], tags[pair % len(tags)]) for pair in distinct), strict=True
    )
    ends, openings = np.flatnonzero(closes[pairs]), np.flatnonzero(opens[pairs])
    row = np.searchsorted(starts, ends, side="right") - 1
    opened = np.concatenate(([-1], openings))[np.searchsorted(openings, ends)]
    first = np.maximum(opened, starts[row])
    types = np.array([numbers.setdefault(split_tag(tag)[1], len(numbers)) if tag else -1 for tag in tags])
    # `flat` has one more O a row than the rows: entities count the rows' own tokens.
    return _Entities(row, types[ids[ends - 1]], first - row, ends - 1 - row)


def _distinct(values: Ints, limit: int) -> list[int]:
    """The distinct values from 0 to `limit`, by counting where a count for each fits."""
    countable = limit <= max(4 * len(values), 10_000)
    distinct: list[int] = (np.flatnonzero(np.bincount(values)) if countable else np.unique(values)).tolist()
    return distinct


def _types_and_slots(statistics: Floats) -> tuple[Floats, Floats]:
    """The codes of the types, and the statistics as (rows, slots, 4): a type's code and its three counts a slot."""
    slots = statistics.reshape(len(statistics), -1, 4)
    codes = np.unique(slots[:, :, 0])
    return codes[codes != 0], slots


def _precision_recall_f(spec: MetricSpec, statistics: Floats) -> Estimator:
    codes, slots = _types_and_slots(statistics)
    counts = np.zeros((len(statistics), max(len(codes), 1), 3))
    for column, code in enumerate(codes):
        counts[:, column] = (slots[:, :, 1:] * (slots[:, :, :1] == code)).sum(1)
    measure, average = str(spec.options["measure"]), str(spec.options["average"])

    def combine(sums: Floats) -> Floats:
        true, predicted, right = np.moveaxis(sums.reshape(len(sums), -1, 3), 2, 0)
        return averaged(true, predicted, right, measure, average)

    return SumEstimator(combine, counts.reshape(len(statistics), -1))


def _pseudo_items(_spec: MetricSpec, statistics: Floats) -> PseudoItems | None:
    """For each type a row with all of a usual number of entities right, and one with as many made up and none right."""
    codes, slots = _types_and_slots(statistics)
    wrong = np.zeros((len(codes), *slots.shape[1:]))
    right = wrong.copy()
    for index, code in enumerate(codes):
        counts = (slots[:, :, 1:3] * (slots[:, :, :1] == code)).sum(1)
        usual = counts[counts.any(1)].mean() if counts.any() else 1.0
        wrong[index, 0] = code, usual, usual, 0.0
        right[index, 0] = code, usual, usual, usual
    return PseudoItems(wrong.reshape(len(codes), -1), right.reshape(len(codes), -1)) if len(codes) else None


entity_f = MetricImplementation(_count, _precision_recall_f, pseudo_items=_pseudo_items)
