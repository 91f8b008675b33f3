"""Metrics beside the programs that they equal: the same values, and how many times faster.

    python perf/metrics_vs_reference.py --data DIR [--runs 5] [--only rouge entity bleu labels]

needs the extras `dev` and `perf-metrics`; `--peers rouge_score` does without the latter. One process, one thread; a corpus call of `score_rows` (intervals included)
against a loop over the reference program. Both sides take turns, processor time is counted, and the ratio is the median
over the turns. Values are compared in the same run, and a mismatch fails the script. Nothing is kept between calls: the
one cache that outlives a call, of stems and patterns, is emptied before each.
"""

from __future__ import annotations

import argparse
import csv
import gc
import gzip
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from measurement_note import measured_on
from simulations.bootstrap_test import bootstrap_p, weighted_differences
from tutelage.metrics import Row, paired_difference, score_rows
from tutelage.metrics.catalogue import parse
from tutelage.metrics.implementation import ScoringBatch, implementation
from tutelage.metrics.stats import bootstrap

ROUGE = ["rouge1", "rouge2", "rougeL"]
ROUGE_PEERS = ("rouge_score", "rapidrouge", "rouge_score_rs")
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    subject: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    goal: float
    differs: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the goal is reached with equal values."""
        return self.ratio >= self.goal and self.differs <= self.allowed


def emptied() -> None:
    """Forget what functions of the package remember between calls, but for tables read from files."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tutelage.metrics") and not name.endswith(".names"):
            for held in vars(module).values():
                if hasattr(held, "cache_clear"):
                    held.cache_clear()
    gc.collect()


def measured(
    ours: Callable[[], Any], theirs: Callable[[], Any], runs: int
) -> tuple[float, float, float, Any, Any]:
    """Processor seconds of both sides (medians), the median ratio, and what each gave."""
    found: list[tuple[float, float]] = []
    left = right = None
    for _ in range(runs):
        emptied()
        began = time.process_time()
        left = ours()
        middle = time.process_time()
        right = theirs()
        found.append((middle - began, time.process_time() - middle))
    a, b = (statistics.median(side) for side in zip(*found, strict=True))
    return a, b, statistics.median(t / o for o, t in found), left, right


def compared(
    subject: str,
    peer: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    *,
    runs: int,
    goal: float,
    allowed: float = 1e-12,
) -> Finding:
    mine, other, ratio, left, right = measured(ours, theirs, runs)
    differs = float(np.max(np.abs(np.asarray(left, float) - np.asarray(right, float)), initial=0.0))
    return Finding(subject, peer, mine, other, ratio, goal, differs, allowed)


def rouge(data: Path, runs: int, names: Sequence[str] = ROUGE_PEERS) -> Iterator[Finding]:
    """ROUGE-1, 2 and L of every pair, F."""
    peers = {name: import_module(f"{name}.rouge_scorer") for name in names}
    texts = {
        "1,500 pairs of about 20 words": (short_pairs(data), 12.0),
        "MTS-Dialog, both sides above 200 words": (long_pairs(data), 25.0),
        "40 pairs of 800 words": (pairs_of(data, 800, 40), 25.0),
    }
    for subject, (pairs, goal) in texts.items():
        rows = [Row(prediction, (target,)) for target, prediction in pairs]
        for stemmer in (False, True):
            metrics = [f"{name}:stemmer={str(stemmer).lower()}" for name in ROUGE]
            for peer, module in peers.items():
                scorer = module.RougeScorer(ROUGE, use_stemmer=stemmer)
                yield compared(
                    f"ROUGE, {subject}, {'with' if stemmer else 'without'} stemmer",
                    peer,
                    partial(ours_rouge, metrics, rows),
                    partial(theirs_rouge, scorer, pairs),
                    runs=runs,
                    goal=goal if peer == "rouge_score" else 1.0,
                )


def ours_rouge(names: Sequence[str], rows: Sequence[Row]) -> list[list[float]]:
    found = score_rows(names, rows)
    return [found[name].items.tolist() for name in names]


def theirs_rouge(scorer: Any, pairs: Sequence[Pair]) -> list[list[float]]:
    scores = [scorer.score(target, prediction) for target, prediction in pairs]
    return [[score[name].fmeasure for score in scores] for name in ROUGE]


def entity(data: Path, runs: int) -> Iterator[Finding]:
    """Entity F1 over WNUT-17's training sentences, every ninth tag of a prediction changed."""
    from seqeval.metrics import f1_score

    rng = np.random.default_rng(0)
    true = [[line.split("\t")[1] for line in block] for block in conll(data / "ner/wnut17/wnut17train.conll")]
    kinds = sorted({tag for tags in true for tag in tags})
    guessed = [[str(rng.choice(kinds)) if rng.random() < 1 / 9 else tag for tag in tags] for tags in true]
    rows = [Row(" ".join(g), (" ".join(t),)) for t, g in zip(true, guessed, strict=True)]
    spec = parse("entity_f1")

    def value_only() -> float:
        counted = implementation(spec).count(ScoringBatch(rows, [spec]), spec)
        return float(implementation(spec).estimator(spec, counted.statistics)(np.ones((1, len(rows))))[0])

    sides = {
        "entity F1, the value alone": (value_only, 5.0),
        "entity F1 with its interval": (
            lambda: score_rows(["entity_f1"], rows)["entity_f1"].score.value,
            1.0,
        ),
    }
    for subject, (ours, goal) in sides.items():
        yield compared(
            f"{subject}, {len(rows):,} sentences",
            "seqeval (no interval)",
            ours,
            lambda: f1_score(true, guessed),
            runs=runs,
            goal=goal,
        )


def bleu(data: Path, runs: int) -> Iterator[Finding]:
    """The paired bootstrap of BLEU, two systems of WMT17, 1,000 resamples; without sacrebleu's child processes."""
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    folder = data / "wmt17_en_de"
    reference = gzip.decompress((folder / "ref.de.gz").read_bytes()).decode().splitlines()
    systems = [
        gzip.decompress((folder / f"newstest2017.{name}.en-de.txt.gz").read_bytes()).decode().splitlines()
        for name in ("uedin-nmt.4722", "online-A.0")
    ]
    rows = [[Row(p, (r,)) for p, r in zip(one, reference, strict=True)] for one in systems]

    def theirs() -> list[float]:
        test = PairedTest(
            [("a", systems[0]), ("b", systems[1])],
            {"BLEU": BLEU(references=[reference])},
            references=None,
            test_type="bs",
            n_samples=1000,
        )
        return [float(result.score) for result in test()[1]["BLEU"]]

    def ours() -> list[float]:
        base, tuned = (score_rows(["bleu"], one)["bleu"] for one in rows)
        return [base.score.value, base.score.value + paired_difference(base, tuned).value]

    yield compared(
        f"BLEU of two systems, bootstrap and randomisation, {len(reference):,} segments",
        "sacrebleu paired-bs, which has no randomisation",
        ours,
        theirs,
        runs=min(runs, 3),
        goal=1.0,
        allowed=1e-9,
    )
    lines = [score_rows(["bleu"], one)["bleu"].statistics for one in rows]
    yield compared(
        f"paired bootstrap of BLEU from its statistics, 1,000 resamples, {len(reference):,} segments",
        "sacrebleu _paired_bs_test",
        partial(our_bootstrap, lines),
        partial(their_bootstrap, Counted(systems, reference), systems),
        runs=min(runs, 3),
        goal=5.0,
        allowed=1.0,
    )


def our_bootstrap(lines: Sequence[Any]) -> float:
    """Our p of the paired bootstrap."""
    spec, n = parse("bleu"), len(lines[0])
    estimator = implementation(spec).estimator(spec, np.vstack(lines))
    counts = np.ones(n, np.int64)
    drawn = bootstrap.resample(
        lambda weights: weighted_differences(estimator, weights), counts, rng=np.random.default_rng(0)
    )
    return bootstrap_p(drawn, float(weighted_differences(estimator, counts[None].astype(float))[0]), n)


class Counted:
    """sacrebleu's BLEU with the statistics counted beforehand, so that only resampling is timed."""

    def __init__(self, systems: Sequence[Sequence[str]], reference: Sequence[str]) -> None:
        from sacrebleu.metrics import BLEU

        self.metric = BLEU(references=[list(reference)])
        count = self.metric._extract_corpus_statistics  # noqa: SLF001 - what its own test calls
        self.held = {id(one): count(one, None) for one in systems}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.metric, name)

    def _extract_corpus_statistics(self, hypotheses: Sequence[str], _: Any) -> Any:
        return self.held[id(hypotheses)]


def their_bootstrap(metric: Counted, systems: Sequence[Sequence[str]]) -> float:
    """The p of sacrebleu's paired bootstrap."""
    from sacrebleu.significance import Result, _paired_bs_test

    lines = metric.held[id(systems[0])]
    base = (lines, Result(metric.metric._aggregate_and_compute(lines).score))  # noqa: SLF001 - as its own test does
    _, found = _paired_bs_test({"BLEU": base}, "b", systems[1], None, {"BLEU": metric}, 1000, seed=0)
    return float(found["BLEU"].p_value)


def score_value(name: str, rows: Sequence[Row]) -> float:
    """A metric's value, its interval computed with it."""
    return score_rows([name], rows)[name].score.value


def labels(_: Path, runs: int) -> Iterator[Finding]:
    """Values and intervals of macro F1 and MCC, 10,000 items: the jackknife against 1,000 resamples with scikit-learn."""
    from sklearn.metrics import f1_score, matthews_corrcoef

    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 10_000)
    guessed = np.where(rng.random(10_000) < 0.7, true, rng.integers(0, 3, 10_000))
    rows = [Row(str(g), (str(t),)) for t, g in zip(true.tolist(), guessed.tolist(), strict=True)]
    peers = {"f1": partial(f1_score, average="macro"), "mcc": matthews_corrcoef}
    for name, function in peers.items():

        def theirs(function: Callable[..., float] = function) -> float:
            draw = np.random.default_rng(1)
            for _ in range(1000):
                at = draw.integers(0, len(true), len(true))
                function(true[at], guessed[at])
            return float(function(true, guessed))

        yield compared(
            f"interval of {name} by the jackknife, 10,000 items",
            "scikit-learn, 1,000 resamples",
            partial(score_value, name, rows),
            theirs,
            runs=min(runs, 3),
            goal=100.0,
        )


def short_pairs(data: Path) -> list[Pair]:
    """DialogSum's summaries against one another: 1,500 pairs of about 20 words."""
    said = [row["summary"] for row in dialogsum(data)]
    return [(said[i], said[(i + step) % len(said)]) for step in (1, 2, 3) for i in range(len(said))]


def long_pairs(data: Path) -> list[Pair]:
    """MTS-Dialog's dialogues against their notes, where both have more than 200 words."""
    found = []
    for name in ("TrainingSet", "ValidationSet", "TestSet-1-MEDIQA-Chat-2023"):
        with (data / "mts_dialog" / f"MTS-Dialog-{name}.csv").open(encoding="utf-8", newline="") as file:
            found += [(row["section_text"], row["dialogue"]) for row in csv.DictReader(file)]
    return [pair for pair in found if all(len(side.split()) > 200 for side in pair)]


def pairs_of(data: Path, words: int, count: int) -> list[Pair]:
    """Texts of so many words, cut from DialogSum's dialogues put end to end."""
    run = " ".join(row["dialogue"] for row in dialogsum(data)).split()
    texts = [" ".join(run[i * words : (i + 1) * words]) for i in range(2 * count)]
    return list(zip(texts[:count], texts[count:], strict=True))


def dialogsum(data: Path) -> list[dict[str, str]]:
    text = (data / "dialogsum" / "dialogsum.dev.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def conll(path: Path) -> list[list[str]]:
    blocks = path.read_text("utf-8").replace("\r\n", "\n").split("\n\n")
    return [[line for line in block.split("\n") if line.strip()] for block in blocks if block.strip()]


SUITES: dict[str, Callable[[Path, int], Iterator[Finding]]] = {
    "rouge": rouge,
    "entity": entity,
    "bleu": bleu,
    "labels": labels,
}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("TUTELAGE_DATA", "../shared/data"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument("--peers", nargs="+", choices=ROUGE_PEERS, default=list(ROUGE_PEERS), help="of ROUGE")
    given = parser.parse_args(words)
    if missing := [name for name in given.peers if "rouge" in given.only and not find_spec(name)]:
        sys.exit(
            f"not installed: {', '.join(missing)}: pip install -e '.[perf-metrics]', or leave out with --peers"
        )
    suites = SUITES | {"rouge": partial(rouge, names=given.peers)}
    score_rows(
        ["rouge1", "bleu", "f1", "mcc", "entity_f1"], [Row("O", ("O",))] * 2
    )  # imports are not counted
    print(f"{measured_on()}\n")
    print("| what | peer | Tutelage s | peer s | times faster | goal | largest difference | |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    missed = 0
    for name in given.only:
        for one in suites[name](given.data, given.runs):
            missed += not one.holds
            print(
                f"| {one.subject} | {one.peer} | {one.ours:.4f} | {one.theirs:.3f} | {one.ratio:.1f} | {one.goal:g} | "
                f"{one.differs:.1e} | {'yes' if one.holds else 'NO'} |",
                flush=True,
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
