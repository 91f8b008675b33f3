"""Entity F1 against seqeval 1.2.2: its default mode (conlleval's reading) and its strict mode, on good and bad tags."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from seqeval import metrics as seqeval
from seqeval import scheme as schemes

from tutelage.metrics import Row, entities, score_rows
from tutelage.metrics.tag_schemes import conlleval_entities


def sentences(prefixes: str, count: int, seed: int, *, bad: float) -> list[list[str]]:
    """Tag sequences; `bad` is the share of tags drawn without regard to the one before."""
    dice = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        tags: list[str] = []
        for _ in range(dice.integers(0, 12)):
            prefix, kind = prefixes[dice.integers(len(prefixes))], ("PER", "LOC", "A-B", "")[dice.integers(4)]
            if tags and tags[-1] != "O" and dice.random() > bad:
                prefix, kind = "I", tags[-1][2:]
            tags.append("O" if prefix == "O" else f"{prefix}-{kind}" if kind else prefix)
        found.append(tags)
    return found


def rows(true: list[list[str]], guessed: list[list[str]]) -> list[Row]:
    return [Row(" ".join(own), (" ".join(reference),)) for reference, own in zip(true, guessed, strict=True)]


def pairs(prefixes: str, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    true = sentences(prefixes, 60, seed, bad=0.3)
    dice = np.random.default_rng(seed)
    other = sentences(prefixes, 60, seed, bad=0.3)
    for tags in other:
        for place in range(len(tags)):
            if dice.random() < 0.2:
                tags[place] = dice.choice(["O", f"{prefixes[1]}-PER", f"{prefixes[0]}-LOC"])
    return true, other


def expected(
    true: list[list[str]], guessed: list[list[str]], average: str, **how: object
) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p, r, f, _ = (
            seqeval.precision_recall_fscore_support(true, guessed, average=average, **how)
            if how
            else (
                seqeval.precision_score(true, guessed, average=average),
                seqeval.recall_score(true, guessed, average=average),
                seqeval.f1_score(true, guessed, average=average),
                None,
            )
        )
    return {"precision": float(p), "recall": float(r), "f1": float(f)}


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("prefixes", ["BIO", "BIOES"])
@pytest.mark.parametrize("seed", range(5))
def test_default_mode(prefixes: str, seed: int, average: str) -> None:
    true, guessed = pairs(prefixes, seed)
    for measure, wanted in expected(true, guessed, average).items():
        name = f"entity_{measure}:average={average}"
        assert score_rows([name], rows(true, guessed))[name].score.value == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize(("prefixes", "scheme"), [("BIO", "IOB2"), ("BIOES", "IOBES")])
@pytest.mark.parametrize("seed", range(5))
def test_strict_mode(prefixes: str, scheme: str, seed: int, average: str) -> None:
    true, guessed = pairs(prefixes, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p, r, f, _ = seqeval_strict(true, guessed, average, getattr(schemes, scheme))
    for measure, wanted in (("precision", p), ("recall", r), ("f1", f)):
        name = f"entity_{measure}_strict:scheme={scheme.lower()}:average={average}"
        assert score_rows([name], rows(true, guessed))[name].score.value == pytest.approx(wanted, abs=1e-12)


def seqeval_strict(true: list[list[str]], guessed: list[list[str]], average: str, scheme: type) -> tuple:
    from seqeval.metrics.v1 import precision_recall_fscore_support

    return precision_recall_fscore_support(true, guessed, average=average, scheme=scheme)


def test_they_differ_where_the_scheme_is_broken() -> None:
    broken = [Row("I-NP I-NP O", ("B-NP I-NP O",))]
    found = score_rows(["entity_f1", "entity_f1_strict"], broken)
    assert found["entity_f1"].score.value == 1.0
    assert found["entity_f1_strict"].score.value == 0.0


@pytest.mark.parametrize(
    ("true", "guessed"), [([["O", "O"]], [["O", "O"]]), ([[]], [[]]), ([["B-A"]], [["O"]])]
)
def test_nothing_to_find(true: list[list[str]], guessed: list[list[str]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = seqeval.f1_score(true, guessed)
    assert score_rows(["entity_f1"], rows(true, guessed))["entity_f1"].score.value == wanted


def test_a_real_corpus_with_noise() -> None:
    folder = Path(os.environ.get("TUTELAGE_DATA", "")) / "ner"
    files = sorted(folder.rglob("*.conll")) + sorted(folder.rglob("*.txt"))
    if not files:
        pytest.skip("TUTELAGE_DATA names no folder with ner files")
    true: list[list[str]] = [[]]
    for line in files[0].read_text("utf-8", errors="replace").splitlines():
        if not line.strip():
            true.append([])
        elif line.split()[-1][:2] in ("B-", "I-") or line.split()[-1] == "O":
            true[-1].append(line.split()[-1])
    true = [own for own in true if own][:1500]
    assert len(true) > 300
    dice = np.random.default_rng(0)
    guessed = [[tag if dice.random() < 0.9 else "O" for tag in own] for own in true]
    for measure, wanted in expected(true, guessed, "micro").items():
        name = f"entity_{measure}"
        assert score_rows([name], rows(true, guessed))[name].score.value == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_all_rows_at_once_are_read_as_each_alone(seed: int) -> None:
    """Tags of any kind, untyped and misspelt ones too, with empty rows between."""
    dice = np.random.default_rng(seed)
    kinds = ["O", "B", "I", "E-A", "S-A", "B-A", "I-A", "I-B", "X-A", "B-A-B", "-", ".", "I-", "o"]
    found = [[str(tag) for tag in dice.choice(kinds, dice.integers(0, 9))] for _ in range(40)]
    names: dict[str, int] = {}
    together = entities._read_as_conlleval(found, names)
    starts = np.cumsum([0, *map(len, found)])
    kinds_of = list(names)
    read = list(
        zip(
            together.row.tolist(),
            together.type.tolist(),
            together.first.tolist(),
            together.last.tolist(),
            strict=True,
        )
    )
    alone = [
        (row, kind, int(starts[row]) + a, int(starts[row]) + b)
        for row, tags in enumerate(found)
        for kind, a, b in conlleval_entities(tags)
    ]
    assert [(row, kinds_of[kind], a, b) for row, kind, a, b in read] == alone
