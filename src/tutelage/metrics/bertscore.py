"""BERTScore: each token's similarity to the nearest token of the other text, in an encoder's vectors. Equal to the package bert-score.

T. Zhang et al., "BERTScore: Evaluating Text Generation with BERT", 2020. Tokens are weighted equally, or by how rare they are in the
references (`idf`). The markers around a text have no weight, but a token may be nearest to one, as in bert-score.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.core.errors import InputError, InputErrors
from tutelage.metrics.catalogue import MetricSpec, require_model
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import require_reference
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.text_encoder import TextEncoder, Vectors, text_encoder

_MEASURES = {"bertscore_precision": 0, "bertscore_recall": 1, "bertscore_f1": 2}
_CHUNK_TOKENS = 16_384
"""Tokens whose vectors are in memory at once: 64 MB where a vector has 1024 numbers."""
_DECIMALS = 6
"""A vector's last digits depend on the texts that were encoded with it. Rounding gives equal answers equal scores."""

_Ids = tuple[int, ...]
_Pair = tuple[_Ids, _Ids]


@dataclass(frozen=True, slots=True)
class _Weights:
    """The weight of each token by its id; `otherwise` is that of ids in no reference."""

    by_id: Mapping[int, float]
    otherwise: float

    def of(self, ids: _Ids) -> Floats:
        """The weights of a text's tokens, float64 of shape (tokens,)."""
        return np.array([self.by_id.get(token, self.otherwise) for token in ids], np.float64)

    @property
    def digest(self) -> str:
        """A short hash of all weights."""
        text = repr(sorted(self.by_id.items())) + repr(self.otherwise)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    model, layer, idf = (spec.options[key] for key in ("model", "layer", "idf"))
    key = ("bertscore", model, layer, idf)
    if key not in batch.cache:
        batch.cache[key] = _score_rows(batch, spec)
    scores, note = batch.cache[key]
    return of_means(scores[:, _MEASURES[spec.entry.name]], note=note)


def _score_rows(batch: ScoringBatch, spec: MetricSpec) -> tuple[Floats, str]:
    """Precision, recall and F1 of each row, float64 of shape (n, 3), and the note of encoder and weights."""
    require_model(spec)
    for index, row in enumerate(batch.rows):
        require_reference(spec, row, index)
    encoder = _encoder(spec)
    texts = [text for row in batch.rows for text in (row.prediction, *row.references)]
    ids = dict(zip(texts, encoder.token_ids(texts), strict=True))
    note = f"encoder:{encoder.fingerprint[:16]}|layer:{encoder.layer}"
    weights = _Weights(dict.fromkeys(encoder.markers, 0.0), 1.0)
    if spec.options["idf"]:
        weights = _rarity([ids[reference] for row in batch.rows for reference in row.references])
        note += f"|weights:{weights.digest}"
    pairs = [
        (ids[row.prediction], ids[reference], index)
        for index, row in enumerate(batch.rows)
        for reference in row.references
    ]
    best = np.full((len(batch.rows), 3), -np.inf)
    by_pair = _match_pairs(encoder, {(prediction, reference) for prediction, reference, _ in pairs}, weights)
    for prediction, reference, index in pairs:  # of several references each measure takes its best one
        best[index] = np.maximum(best[index], by_pair[prediction, reference])
    return np.round(best, _DECIMALS), note


def _encoder(spec: MetricSpec) -> TextEncoder:
    """The encoder that a metric names; errors without a place name the metric."""
    try:
        return text_encoder(str(spec.options["model"]), int(spec.options["layer"]))
    except InputError as error:
        if error.where is not None or isinstance(error, InputErrors):
            raise
        raise InputError(
            error.problem,
            where=f"metric {spec.text!r}",
            found=error.found,
            expected="an encoder: a folder, or a hub id as owner/name",
            fix=error.fix,
        ) from error


def _rarity(references: Sequence[_Ids]) -> _Weights:
    """The inverse document frequency of tokens over the references: log((N + 1) / (number of references with it + 1))."""
    counts = Counter(token for ids in references for token in set(ids))
    documents = len(references) + 1
    by_id = {token: math.log(documents / (count + 1)) for token, count in counts.items()}
    return _Weights(by_id, math.log(documents))


def _match_pairs(
    encoder: TextEncoder, pairs: set[_Pair], weights: _Weights
) -> dict[_Pair, tuple[float, float, float]]:
    """Precision, recall and F1 of each pair of prediction and reference."""
    scores: dict[_Pair, tuple[float, float, float]] = {}
    (empty,) = encoder.token_ids([""])
    for chunk in _chunks(sorted(pairs, key=lambda pair: (len(pair[0]), len(pair[1]), pair))):
        distinct = list(dict.fromkeys(ids for pair in chunk for ids in pair))
        vectors = dict(zip(distinct, encoder.vectors(distinct), strict=True))
        for prediction, reference in chunk:
            texts = (prediction, reference)
            if empty in texts:
                scores[texts] = (0.0, 0.0, 0.0)
            else:
                scores[texts] = _match(
                    vectors[prediction], vectors[reference], weights.of(prediction), weights.of(reference)
                )
    return scores


def _chunks(pairs: Sequence[_Pair]) -> Iterator[list[_Pair]]:
    """Consecutive pairs with at most `_CHUNK_TOKENS` tokens together, or one longer pair."""
    chunk: list[_Pair] = []
    tokens = 0
    for pair in pairs:
        size = len(pair[0]) + len(pair[1])
        if chunk and tokens + size > _CHUNK_TOKENS:
            yield chunk
            chunk, tokens = [], 0
        chunk.append(pair)
        tokens += size
    if chunk:
        yield chunk


def _match(
    prediction: Vectors, reference: Vectors, weights: Floats, reference_weights: Floats
) -> tuple[float, float, float]:
    """Precision, recall and F1 of one text against another; 0 where no token has weight."""
    similarity = (prediction @ reference.T).astype(np.float64)
    precision = _weighted_mean(similarity.max(axis=1), weights)
    recall = _weighted_mean(similarity.max(axis=0), reference_weights)
    total = precision + recall
    f1 = 2 * precision * recall / total if total > 0 else 0.0
    return precision, recall, f1


def _weighted_mean(values: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else 0.0


bertscore = MetricImplementation(_count)
