from __future__ import annotations

import numpy as np
import pytest

from tutelage.core.types import Response
from tutelage.metrics.score import ItemScores, Score
from tutelage.results.store import Item, Store

RUN = {"started": "2026-01-02T03:04:05+00:00", "versions": {"torch": "2.13.0"}}


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "results.sqlite") as opened:
        yield opened


@pytest.fixture
def begin():
    """Begin an evaluation in a store; any of its names may be given."""

    def make(store, **names):
        given = {
            "model": "base",
            "suite": "task",
            "name": "bot",
            "fingerprint": "f1",
            "provenance": RUN,
            **names,
        }
        return store.evaluation(**given)

    return make


@pytest.fixture
def make_items():
    def make(count, *, parts=("",)):
        return [
            Item(
                id=f"q{n}",
                part=parts[n % len(parts)],
                prompt=f"Question {n}? ü\x00\n",
                references=(f"answer {n}", "other"),
                fields={"must_contain": [str(n)], "answerable": True, "depth": {"a": [1, None]}},
            )
            for n in range(count)
        ]

    return make


@pytest.fixture
def make_responses():
    def make(items):
        return [
            Response(
                id=item.id,
                text=f"text of {item.id} 🙂",
                finish="choice",
                tokens=n,
                choice=1,
                logprobs=(-0.1 / 3, -7e-300),
                lengths=(n + 1, 2),
            )
            for n, item in enumerate(items)
        ]

    return make


@pytest.fixture
def make_scored():
    def make(values, *, rows=None, metric="rouge1", higher_is_better=True):
        items = np.array(values, dtype=np.float64)
        value = float(np.nanmean(items))
        return ItemScores(
            metric=metric,
            score=Score(
                value=value, low=value - 0.1, high=value + 0.1, n=len(items), signature=f"{metric}|v1"
            ),
            rows=tuple(range(len(items)) if rows is None else rows),
            items=items,
            statistics=np.stack([items, np.ones_like(items) / 3], axis=1),
            higher_is_better=higher_is_better,
        )

    return make
