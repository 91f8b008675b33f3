"""ROUGE against ROUGE-1.5.5's own figures, to the 1e-3 that its five decimals, its stemmer and its bootstrap allow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tutelage.metrics.rouge import rouge

PLACES = {"p": 0, "r": 1, "f": 2}


@pytest.fixture(scope="module")
def folder() -> Path:
    found = Path(os.environ.get("TUTELAGE_DATA", "")) / "rouge"
    if not os.environ.get("TUTELAGE_DATA") or not found.is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with rouge")
    return found


def scored(folder: Path, size: str, *, stemmer: bool) -> dict[str, np.ndarray]:
    targets = (folder / f"target{size}.txt").read_text("utf-8").splitlines()
    predictions = (folder / f"prediction{size}.txt").read_text("utf-8").splitlines()
    return rouge(predictions, [[own] for own in targets], stemmer=stemmer)


def expected(folder: Path, beginning: str) -> dict[str, Any]:
    told = json.loads((folder / "expected_rouge155.json").read_text("utf-8"))
    (found,) = (own for key, own in told.items() if key.startswith(beginning))
    return found


@pytest.mark.parametrize("way", ["nostem", "stem"])
def test_each_pair(folder: Path, way: str) -> None:
    found = scored(folder, "", stemmer=way == "stem")
    wanted = expected(folder, "per_pair")[way]
    assert set(wanted) >= {"rouge1", "rouge2"}
    for name, figures in wanted.items():
        np.testing.assert_allclose(found[name], figures, rtol=0, atol=1e-3, err_msg=name)


def test_each_mid_over_a_thousand_pairs(folder: Path) -> None:
    for title, figures in expected(folder, "bootstrap").items():
        way, name = title.split()
        means = scored(folder, "_large", stemmer=way == "stem")[name].mean(0)
        for measure, (low, mid, high) in figures.items():
            assert means[PLACES[measure]] == pytest.approx(mid, rel=0, abs=1e-3), (title, measure)
            assert low < means[PLACES[measure]] < high
