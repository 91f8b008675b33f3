"""Tasks in sequence: the figures by hand, their intervals against a plain bootstrap, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tutelage.comparison.task_sequence import SequenceTask, task_sequence
from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows

LABELS = ("yes", "no", "maybe")


def scored(right, *, metric="accuracy", clusters=None):
    """Scores of answers that are right (1) or wrong (0)."""
    rows = [
        Row(
            LABELS[n % 3] if correct else LABELS[(n + 1) % 3],
            (LABELS[n % 3],),
            cluster=None if clusters is None else str(clusters[n]),
        )
        for n, correct in enumerate(right)
    ]
    return score_rows([metric], rows)[metric]


def shares(*percents, n=20):
    """Scores by stage, from 0, with these percentages of n right answers; None where it was not asked."""
    return {
        stage: scored([item < round(percent * n / 100) for item in range(n)])
        for stage, percent in enumerate(percents)
        if percent is not None
    }


def test_the_figures_of_three_stages_by_hand():
    sequence = task_sequence(
        [
            SequenceTask("a", 1, shares(10, 90, 70, 50)),
            SequenceTask("b", 2, shares(20, 30, 80, 85)),
            SequenceTask("c", 3, shares(40, None, 35, 95)),
        ]
    )
    assert sequence.stages == 3
    assert sequence.accuracy.value == pytest.approx((50 + 85 + 95) / 3)
    assert sequence.backward_transfer.value == pytest.approx(((50 - 90) + (85 - 80)) / 2)
    assert sequence.forward_transfer.value == pytest.approx(((30 - 20) + (35 - 40)) / 2)
    # The best of a before stage 3 is 90; of b it is 80, less than what it has now.
    assert sequence.average_forgetting.value == pytest.approx(((90 - 50) + (80 - 85)) / 2)
    assert [
        figure.tasks for figure in (sequence.accuracy, sequence.backward_transfer, sequence.forward_transfer)
    ] == [
        3,
        2,
        2,
    ]
    assert sequence.changes["a"].value == pytest.approx(-40)
    assert set(sequence.changes) == {"a", "b"}
    assert sequence.sentence().startswith(
        "After teaching c, a fell from 90.0 to 50.0, b rose from 80.0 to 85.0; average forgetting 17.5 points (95 % interval "
    )
    cells = sequence.as_json()["tasks"]["c"]["scores"]
    assert {stage: round(cell["value"]) for stage, cell in cells.items()} == {"0": 40, "2": 35, "3": 95}


def test_forgetting_counts_from_the_best_stage_backward_transfer_from_the_own_one():
    sequence = task_sequence(
        [
            SequenceTask("a", 1, shares(0, 60, 80, 70)),
            SequenceTask("b", 2, shares(0, 0, 50, 50)),
            SequenceTask("c", 3, shares(0, None, 0, 50)),
        ]
    )
    assert sequence.backward_transfer.value == pytest.approx((10 + 0) / 2)
    assert sequence.average_forgetting.value == pytest.approx((10 + 0) / 2)


def test_several_tasks_of_a_stage_count_alike():
    sequence = task_sequence(
        [
            SequenceTask("a", 1, shares(0, 100, 50)),
            SequenceTask("b", 1, shares(0, 50, 50)),
            SequenceTask("c", 2, shares(10, 20, 80)),
        ]
    )
    assert sequence.backward_transfer.value == pytest.approx(-25)
    assert sequence.average_forgetting.value == pytest.approx(25)
    assert sequence.forward_transfer.value == pytest.approx(10)
    assert "a fell from 100.0 to 50.0, b stayed at 50.0" in sequence.sentence()


def draws_of(name, n, resamples):
    rng = seeds.generator(0, "sequence", name)
    return [rng.integers(0, n, n) for _ in range(resamples)]


def test_intervals_are_those_of_a_plain_paired_bootstrap():
    rng = np.random.default_rng(7)
    right = {
        ("a", 0): rng.random(30) < 0.2,
        ("a", 1): rng.random(30) < 0.9,
        ("a", 2): rng.random(30) < 0.8,
        ("a", 3): rng.random(30) < 0.6,
        ("b", 0): rng.random(40) < 0.3,
        ("b", 1): rng.random(40) < 0.4,
        ("b", 2): rng.random(40) < 0.9,
        ("b", 3): rng.random(40) < 0.8,
        ("c", 0): rng.random(25) < 0.3,
        ("c", 2): rng.random(25) < 0.2,
        ("c", 3): rng.random(25) < 0.9,
    }
    stages = {"a": 1, "b": 2, "c": 3}
    sequence = task_sequence(
        [
            SequenceTask(
                name, stage, {at: scored(value) for (task, at), value in right.items() if task == name}
            )
            for name, stage in stages.items()
        ],
        resamples=400,
    )
    sizes = {"a": 30, "b": 40, "c": 25}
    drawn = {name: draws_of(name, n, 400) for name, n in sizes.items()}

    def points(name, stage, b):
        return 100 * right[name, stage][drawn[name][b]].mean()

    plain = {name: [] for name in ("accuracy", "backward_transfer", "forward_transfer", "average_forgetting")}
    for b in range(400):
        r = {(name, stage): points(name, stage, b) for name, stage in right}
        plain["accuracy"].append(np.mean([r["a", 3], r["b", 3], r["c", 3]]))
        plain["backward_transfer"].append(np.mean([r["a", 3] - r["a", 1], r["b", 3] - r["b", 2]]))
        plain["forward_transfer"].append(np.mean([r["b", 1] - r["b", 0], r["c", 2] - r["c", 0]]))
        plain["average_forgetting"].append(
            np.mean([max(r["a", 1], r["a", 2]) - r["a", 3], max(r["b", 1], r["b", 2]) - r["b", 3]])
        )
    for name, values in plain.items():
        figure = getattr(sequence, name)
        assert (figure.low, figure.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
        assert figure.low < figure.value < figure.high


def test_a_corpus_metric_is_computed_anew_on_each_resample():
    rng = np.random.default_rng(3)
    right = {0: rng.random(30) < 0.3, 1: rng.random(30) < 0.9, 2: rng.random(30) < 0.5}
    sequence = task_sequence(
        [
            SequenceTask(
                "a", 1, {stage: scored(value, metric="f1:average=macro") for stage, value in right.items()}
            ),
            SequenceTask("b", 2, shares(10, 20, 80)),
        ],
        resamples=200,
    )
    gold = np.arange(30) % 3

    def macro_f1(at, drawn):
        predicted, truth = np.where(right[at], gold, (gold + 1) % 3)[drawn], gold[drawn]
        values = []
        for label in range(3):
            hits = ((predicted == label) & (truth == label)).sum()
            total = (predicted == label).sum() + (truth == label).sum()
            if total:
                values.append(2 * hits / total)
        return 100 * np.mean(values)

    whole = np.arange(30)
    assert sequence.backward_transfer.value == pytest.approx(macro_f1(2, whole) - macro_f1(1, whole))
    plain = [macro_f1(2, drawn) - macro_f1(1, drawn) for drawn in draws_of("a", 30, 200)]
    ends = tuple(np.quantile(plain, [0.025, 0.975]))
    assert (sequence.backward_transfer.low, sequence.backward_transfer.high) == pytest.approx(ends)


def test_whole_clusters_are_drawn():
    clusters = np.repeat(np.arange(6), 5)
    before = np.repeat([1, 1, 1, 1, 1, 0], 5)
    after = np.repeat([1, 0, 1, 0, 1, 0], 5)
    scores = {
        0: scored(before * 0, clusters=clusters),
        1: scored(before, clusters=clusters),
        2: scored(after, clusters=clusters),
    }
    sequence = task_sequence(
        [SequenceTask("a", 1, scores), SequenceTask("b", 2, shares(0, 0, 50))], resamples=300
    )
    changes = (after - before)[::5]
    plain = [100 * changes[drawn].mean() for drawn in draws_of("a", 6, 300)]
    ends = tuple(np.quantile(plain, [0.025, 0.975]))
    assert (sequence.backward_transfer.low, sequence.backward_transfer.high) == pytest.approx(ends)


def test_the_interval_of_the_change_holds_the_true_one():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        before, after = rng.random(100) < 0.8, rng.random(100) < 0.6
        sequence = task_sequence(
            [
                SequenceTask("a", 1, {0: scored(before), 1: scored(before), 2: scored(after)}),
                SequenceTask("b", 2, shares(0, 0, 50)),
            ],
            seed=seed,
            resamples=300,
        )
        held += sequence.average_forgetting.low <= 20 <= sequence.average_forgetting.high
    assert 176 <= held <= 199  # 190 of 200; to about four standard errors below


def test_a_task_without_points_is_left_out():
    sequence = task_sequence(
        [
            SequenceTask("a", 1, shares(10, 90, 70)),
            SequenceTask("b", 1, {at: scored([1, 0, 1], metric="ter") for at in (0, 1, 2)}),
            SequenceTask("c", 2, shares(10, 10, 70)),
        ]
    )
    assert sequence.without == (("b", "ter"),)
    assert sequence.accuracy.tasks == 2
    alone = task_sequence(
        [
            SequenceTask("b", 1, {at: scored([1, 0, 1], metric="ter") for at in (0, 1, 2)}),
            SequenceTask("c", 2, shares(10, 10, 70)),
        ]
    )
    assert alone.average_forgetting is None
    assert set(alone.as_json()["figures"]) == {"accuracy", "forward_transfer"}
    assert alone.sentence().startswith("No earlier task has a score in points")


def test_missing_cells_and_other_items_are_errors():
    with pytest.raises(InputError, match="not scored after every stage") as caught:
        task_sequence([SequenceTask("a", 1, shares(10, 90, None)), SequenceTask("b", 2, shares(10, 20, 80))])
    assert "stage 2" in str(caught.value)
    with pytest.raises(InputError, match="other items after stage 2"):
        task_sequence(
            [
                SequenceTask("a", 1, {**shares(10, 90), 2: shares(50, n=10)[0]}),
                SequenceTask("b", 2, shares(10, 20, 80)),
            ]
        )
