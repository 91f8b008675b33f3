"""What came back: differences of stored scores, paired item by item, and the sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.comparison.task_comparison import Estimate
from tutelage.core.types import Response
from tutelage.diagnosis.recovery import Recovery, recovery
from tutelage.metrics import Row, score_rows
from tutelage.results.store import Item, Store


def scored(store: Store, model: str, right: list[int], metrics: tuple[str, ...] = ("accuracy",)):
    items = [Item(f"i{n}", "", "?", ("yes",)) for n in range(len(right))]
    evaluation = store.evaluation(
        model=model, suite="benchmark", name="probe", fingerprint=model, provenance={"by": "a test"}
    )
    evaluation.declare(items)
    texts = ["yes" if is_right else "no" for is_right in right]
    evaluation.add([Response(item.id, text, "stop", 1) for item, text in zip(items, texts, strict=True)])
    rows = [Row(text, ("yes",)) for text in texts]
    evaluation.write_scores("", score_rows(list(metrics), rows), primary=metrics[0])
    return evaluation


def test_differences_are_paired_item_by_item(tmp_path: Path):
    with Store.open(tmp_path / "results.sqlite") as store:
        sides = {
            "base": scored(store, "base", [1] * 80 + [0] * 20),
            "tuned": scored(store, "tuned", [1] * 50 + [0] * 40 + [1] * 10),
            "realigned": scored(store, "realigned", [1] * 70 + [0] * 20 + [1] * 10),
        }
        outcome = recovery(**sides, control=scored(store, "control", [1] * 81 + [0] * 19))
    assert outcome is not None
    assert outcome.loss.value == pytest.approx(20)
    assert outcome.recovered.value == pytest.approx(20)
    assert outcome.remaining.value == pytest.approx(0)
    assert outcome.items == 100
    assert outcome.control is not None
    assert outcome.control.value == pytest.approx(1)
    assert (
        10 < outcome.recovered.low < 20 < outcome.recovered.high < 30
    )  # 20 items changed, all to the better
    assert outcome.remaining.low < 0 < outcome.remaining.high


def test_a_metric_without_points_has_no_recovery(tmp_path: Path):
    with Store.open(tmp_path / "results.sqlite") as store:
        sides = {
            model: scored(store, model, [1, 0, 1], metrics=("answer_length", "accuracy"))
            for model in ("base", "tuned", "realigned")
        }
        assert recovery(**sides) is None


def outcome(loss: float, back: tuple[float, float, float], control: Estimate | None = None) -> Recovery:
    left = loss - back[0]
    return Recovery(
        Estimate(loss, loss - 2, loss + 2), Estimate(*back), Estimate(left, left - 2, left + 2), 900, control
    )


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (
            outcome(13.9, (9.1, 6.0, 12.2)),
            (
                "probe: of the loss of 13.9 points 9.1 came back after learning 10 of the base's own everyday answers "
                "(95 % interval +6.0 to +12.2)."
            ),
        ),
        (
            outcome(13.9, (0.6, -1.0, 2.2)),
            (
                "probe: of the loss of 13.9 points 0.6 came back after learning 10 of the base's own everyday answers "
                "(95 % interval \N{MINUS SIGN}1.0 to +2.2), which chance may explain."
            ),
        ),
        (
            outcome(13.9, (-3.0, -5.0, -1.0)),
            (
                "probe: of the loss of 13.9 points nothing came back after learning 10 of the base's own everyday answers "
                "(95 % interval \N{MINUS SIGN}5.0 to \N{MINUS SIGN}1.0)."
            ),
        ),
        (
            outcome(-1.2, (0.5, -1.0, 2.0), Estimate(0.3, -0.9, 1.5)),
            (
                "probe: nothing was lost (+1.2 points), and after learning 10 of the base's own everyday answers it changed by +0.5 points "
                "(95 % interval \N{MINUS SIGN}1.0 to +2.0); the same rows changed the base by +0.3 (\N{MINUS SIGN}0.9 to +1.5)."
            ),
        ),
    ],
)
def test_the_sentence_has_the_numbers_and_no_more(what: Recovery, sentence: str):
    assert what.sentence("probe", 10) == sentence
