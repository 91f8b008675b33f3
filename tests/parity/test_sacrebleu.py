"""BLEU, chrF, chrF++ and TER against sacrebleu, and against WMT17 English-German with its published BLEU."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sacrebleu import metrics as sacre

from tutelage.metrics import Row, score_rows

WORDS = ("the", "cat", "sat", "on", "a", "mat", ".", "it's", "Hat", "1,000", "well-known", "ä")


def corpus(seed: int, n: int, references: int) -> list[Row]:
    dice = np.random.default_rng(seed)

    def text(least: int) -> str:
        return " ".join(WORDS[own] for own in dice.integers(len(WORDS), size=dice.integers(least, 15)))

    return [Row(text(0), tuple(text(1) for _ in range(references))) for _ in range(n)]


def streams(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    return [row.prediction for row in rows], [
        list(own) for own in zip(*(row.references for row in rows), strict=True)
    ]


@pytest.mark.parametrize("references", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 60])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_corpora(seed: int, n: int, references: int) -> None:
    rows = corpus(seed, n, references)
    theirs = {
        "bleu": sacre.BLEU(),
        "bleu:smooth=floor": sacre.BLEU(smooth_method="floor"),
        "bleu:smooth=add-k": sacre.BLEU(smooth_method="add-k"),
        "bleu:smooth=none": sacre.BLEU(smooth_method="none"),
        "bleu:tokenize=none:lowercase=true": sacre.BLEU(tokenize="none", lowercase=True, force=True),
        "bleu:tokenize=intl": sacre.BLEU(tokenize="intl"),
        "chrf": sacre.CHRF(),
        "chrf++": sacre.CHRF(word_order=2),
        "ter": sacre.TER(),
    }
    found = score_rows(list(theirs), rows)
    for name, metric in theirs.items():
        wanted = metric.corpus_score(*streams(rows)).score
        assert found[name].score.value == pytest.approx(wanted, rel=1e-12, abs=1e-12), name
        assert str(metric.get_signature()) in found[name].score.signature


@pytest.mark.parametrize("references", [1, 2])
def test_sentences(references: int) -> None:
    rows = corpus(9, 50, references)
    metric = sacre.BLEU(effective_order=True)
    wanted = [metric.sentence_score(row.prediction, list(row.references)).score for row in rows]
    found = score_rows(["sentence_bleu", "bleu"], rows)
    np.testing.assert_allclose(found["sentence_bleu"].items, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found["bleu"].items, wanted, rtol=1e-12, atol=1e-12)
    assert found["sentence_bleu"].score.value == pytest.approx(np.mean(wanted))


def test_different_numbers_of_references() -> None:
    rows = [
        Row("the cat sat on a mat", ("the cat sat on the mat", "a cat on a mat")),
        Row("it's a hat", ("it's a Hat",)),
    ]
    wanted = sacre.BLEU().corpus_score(
        [row.prediction for row in rows],
        [["the cat sat on the mat", "it's a Hat"], ["a cat on a mat", None]],
    )
    assert score_rows(["bleu"], rows)["bleu"].score.value == pytest.approx(wanted.score, rel=1e-12)


@pytest.fixture(scope="module")
def wmt17() -> Path:
    folder = Path(os.environ.get("TUTELAGE_DATA", "")) / "wmt17_en_de"
    if not os.environ.get("TUTELAGE_DATA") or not folder.is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with wmt17_en_de")
    return folder


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode("utf-8").rstrip("\n").split("\n")


def systems(folder: Path) -> list[Path]:
    found = sorted(folder.glob("newstest2017.*.txt.gz"))
    assert len(found) == 8
    return found


def test_the_eight_systems_of_wmt17(wmt17: Path) -> None:
    expected = json.loads((wmt17 / "sacrebleu_expected.json").read_text("utf-8"))
    reference = lines(wmt17 / "ref.de.gz")
    for path in systems(wmt17):
        wanted = expected[path.name.removesuffix(".txt.gz")]
        rows = [Row(own, (true,)) for own, true in zip(lines(path), reference, strict=True)]
        found = score_rows(["bleu", "bleu:tokenize=none"], rows)
        assert found["bleu"].score.value == pytest.approx(wanted["bleu_13a"], abs=1e-9)
        assert found["bleu:tokenize=none"].score.value == pytest.approx(wanted["bleu_none"], abs=1e-9)
        sums = found["bleu"].statistics.sum(0).astype(int).tolist()
        assert sums == [wanted["sys_len"], wanted["ref_len"], *wanted["counts_13a"], *wanted["totals_13a"]]
        assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in found["bleu"].score.signature


def test_chrf_of_one_system_of_wmt17(wmt17: Path) -> None:
    expected = json.loads((wmt17 / "sacrebleu_expected.json").read_text("utf-8"))
    reference, path = lines(wmt17 / "ref.de.gz"), systems(wmt17)[0]
    rows = [Row(own, (true,)) for own, true in zip(lines(path), reference, strict=True)]
    wanted = expected[path.name.removesuffix(".txt.gz")]["chrF2"]
    assert score_rows(["chrf"], rows)["chrf"].score.value == pytest.approx(wanted, abs=1e-9)


@pytest.mark.long
def test_chrf_of_the_other_systems_of_wmt17(wmt17: Path) -> None:
    expected = json.loads((wmt17 / "sacrebleu_expected.json").read_text("utf-8"))
    reference = lines(wmt17 / "ref.de.gz")
    for path in systems(wmt17)[1:]:
        rows = [Row(own, (true,)) for own, true in zip(lines(path), reference, strict=True)]
        wanted = expected[path.name.removesuffix(".txt.gz")]["chrF2"]
        assert score_rows(["chrf"], rows)["chrf"].score.value == pytest.approx(wanted, abs=1e-9)
