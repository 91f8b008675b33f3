"""The table of newly wrong items, and its place on the page."""

from __future__ import annotations

from tutelage.comparison.lost_items import KINDS
from tutelage.report import lost_items, scores
from tutelage.report.environment import environment


def lost(**kinds):
    return {
        "metric": "accuracy",
        "kinds": {kind: kinds.get(kind.replace(" ", "_"), []) for kind in KINDS},
        "newly_right": ["n1"],
        "latin_languages": False,
    }


def test_the_table_has_the_kinds_that_occur_in_their_order():
    table = lost_items.lost_table(lost(wrong=[f"w{n}" for n in range(7)], refused=["r1"]))
    assert table is not None
    assert [(row.kind, row.count, row.ids) for row in table.rows] == [
        ("refused", 1, "r1"),
        ("wrong", 7, "w0, w1, w2, w3, w4, and 2 more"),
    ]
    assert (table.newly_wrong, table.newly_right) == (8, 1)


def test_results_without_kinds_and_without_changes_have_no_table():
    assert lost_items.lost_table(None) is None
    assert lost_items.lost_table({**lost(), "newly_right": []}) is None


def test_the_page_shows_the_kinds_beside_the_benchmark_and_escapes_ids():
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "signature": "accuracy"}
    sides = {side: {"accuracy": score} for side in ("base", "tuned")}
    difference = {"accuracy": {**score, "p": 0.5, "p_adjusted": 0.5}}
    outcome = {"primary": "accuracy", **sides, "difference": difference, "lost_items": lost(refused=["<b>"])}
    (chart,) = scores.charts({"probe": outcome}, watched=True, budgets={})
    macro = environment(plain=str).get_template("scores.html.j2").module.score_chart  # type: ignore[attr-defined]
    page = macro(chart)
    assert "1 items are newly wrong, 1 newly right" in page
    assert "&lt;b&gt;" in page
    assert "langdetect is not installed" in page
