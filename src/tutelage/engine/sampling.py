"""The next token of each generation: the likeliest one, or one drawn at a temperature.

A draw at temperature T takes the token with the largest logit + T x noise, where each token has its own noise of the standard
Gumbel distribution. So a token is drawn with its probability under softmax(logits / T), and as T goes to 0 the draw becomes
greedy. The noise is a function of the seed, the request's id and the token's position in the answer: batch and order change a
draw only where rounding decides between the two largest sums. (One uniform number held against cumulative probabilities would
draw from the same distribution, but there rounding moves every bound between two of the vocabulary's many unlikely tokens.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from tutelage.core import seeds
from tutelage.core.types import Request
from tutelage.engine.generation import Generation


def draws(request: Request, n: int) -> list[Request]:
    """The request n times, as `ID#1` to `ID#n`, each of which draws an answer of its own; without sampling all get the same one."""
    return [replace(request, id=f"{request.id}#{number}") for number in range(1, n + 1)]


def next_tokens(logits: torch.Tensor, generations: Sequence[Generation]) -> list[int]:
    """Each generation's next token.

    Args:
        logits: (N, V), a row a generation.
        generations: N of them; the number of its tokens is the position of the next one.
    """
    tokens = logits.argmax(-1)
    for row, generation in enumerate(generations):
        if generation.request.sampling is not None:
            tokens[row] = scores(logits[row], generation).argmax()
    return [int(token) for token in tokens.tolist()]


def scores(logits: torch.Tensor, generation: Generation) -> torch.Tensor:
    """Logits (V,) with the noise of the next draw, in float64, and -inf for tokens outside top-p; as they are without sampling.

    The token with the largest score comes next.
    """
    sampling = generation.request.sampling
    if sampling is None:
        return logits
    position = len(generation.ids)
    uniform = seeds.generator(sampling.seed, "draw", generation.request.id, position).random(len(logits))
    uniform_of_tokens = torch.from_numpy(uniform).to(logits.device)
    logits = logits.double()
    if sampling.top_p == 1:
        return logits - sampling.temperature * uniform_of_tokens.log().neg_().log_()
    # Noise only where it can win: most of the vocabulary is outside.
    tokens = _likeliest(logits, sampling.temperature, sampling.top_p)
    noisy = torch.full_like(logits, -torch.inf)
    noisy[tokens] = logits[tokens] - sampling.temperature * uniform_of_tokens[tokens].log().neg_().log_()
    return noisy


def _likeliest(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The ids of the smallest set of likeliest tokens whose mass reaches top_p, ascending; of equal tokens the lower ids come first."""
    probabilities = ((logits - logits.max()) / temperature).softmax(-1)
    # V tokens below (1 - top_p) / V have less mass than 1 - top_p in all, so the set is among the others: few are sorted.
    likely = (probabilities >= (1 - top_p) / len(probabilities)).nonzero().squeeze(-1)
    probabilities = probabilities[likely]
    descending = probabilities.sort(descending=True).values
    count = min(int((descending.cumsum(0) < top_p).sum()) + 1, len(descending))
    last = descending[count - 1]
    above, equal = probabilities > last, probabilities == last
    return likely[above | (equal & (equal.cumsum(0) <= count - above.sum()))]
