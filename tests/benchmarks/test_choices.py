"""Benchmarks whose rows have choices of their own: right ones as a column, contexts that are compared, ties."""

from __future__ import annotations

import json

import pytest
import yaml

from tutelage.benchmarks import load, ties
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows

ROWS = [
    {"question": f"question {n}", "answers": ["true", "also true", "false"], "right": ["true", "also true"]}
    for n in range(3)
]
SPEC = {
    "version": 1,
    "name": "truths",
    "title": "Questions with true and false answers",
    "form": "text",
    "join": " ",
    "data": {"path": "rows.jsonl"},
    "prompt": "Q: {{ question }}\nA:",
    "choices": "answers",
    "references": "right",
    "metrics": ["choice_accuracy", "reference_probability"],
}
GAPS = [
    {"start": "Ann met Bea because ", "names": ["Ann", "Bea"], "end": "was lost.", "right": "Bea"},
    {"start": "", "names": ["He", "She"], "end": "came late.", "right": "He"},
]


@pytest.fixture
def bench(tmp_path):
    def make(rows=ROWS, **changes):
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump({**SPEC, **changes}, sort_keys=False), "utf-8")
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return str(tmp_path)

    return make


def answered(benchmark, values):
    return {
        item.id: Response(item.id, "", "choice", 0, logprobs=logprobs, lengths=(1,) * len(logprobs))
        for item, logprobs in zip(benchmark.items, values, strict=True)
    }


def test_any_of_the_right_choices_is_right(bench):
    benchmark = load(bench())
    assert benchmark.items[0].references == ("true", "also true")
    scores = benchmark.score(
        answered(benchmark, [(-3.0, -1.0, -2.0), (-1.0, -3.0, -2.0), (-3.0, -2.0, -1.0)])
    )
    assert scores.scores["choice_accuracy"].items.tolist() == [1.0, 1.0, 0.0]


def test_a_right_answer_that_is_no_choice_is_refused(bench):
    wrong = [{**ROWS[0], "right": ["true", "truth"]}]
    with pytest.raises(InputError, match="the answer is none of the choices"):
        load(bench(wrong))


def test_the_references_share_of_the_probability(bench):
    benchmark = load(bench())
    values = [(0.0, 0.0, 0.0), (-1000.0, -1000.0, -1000.0), (-2.0, -900.0, -1.0)]
    scored = benchmark.score(answered(benchmark, values)).scores["reference_probability"]
    assert scored.items == pytest.approx([2 / 3, 2 / 3, 0.2689414213699951])
    assert scored.score.value == pytest.approx(scored.items.mean())


def test_a_row_without_a_reference_among_its_choices_has_no_share():
    row = Row("", ("c",), {"choices": ["a", "b"], "logprobs": [-1.0, -2.0]})
    with pytest.raises(InputError, match="a reference among them"):
        score_rows(["reference_probability"], [row])


def test_items_that_the_order_of_choices_decided_are_counted(bench):
    benchmark = load(bench())
    level, lower = (-1.0, -1.0, -1.0), (-2.0, -1.0, -1.0)
    assert ties.decided_by_order(benchmark, answered(benchmark, [level, level, lower])) == {
        "ties": {"items": 3, "right": 3}
    }
    lead = (-1.0, -2.0, -2.0)
    assert ties.decided_by_order(benchmark, answered(benchmark, [lead, lead, lead])) == {}
    reversed_rows = [{**row, "answers": row["answers"][::-1]} for row in ROWS]
    benchmark = load(bench(reversed_rows))
    assert ties.decided_by_order(benchmark, answered(benchmark, [level, lead, lower])) == {
        "ties": {"items": 2, "right": 1}
    }


def test_ties_are_of_the_values_that_are_compared(bench):
    benchmark = load(bench(normalise="characters"))
    per_character = tuple(-0.5 * len(choice) for choice in ROWS[0]["answers"])
    values = [per_character, (-1.0, -1.0, -1.0), (-1.0, -1.0, -1.0)]
    assert ties.decided_by_order(benchmark, answered(benchmark, values)) == {"ties": {"items": 1, "right": 1}}


GAP = {
    "prompt": "{{ start }}",
    "choices": "names",
    "continuation": "{{ end }}",
    "metrics": ["choice_accuracy"],
}


def test_choices_that_stand_in_the_question_are_compared_by_what_follows_them(bench):
    benchmark = load(bench(GAPS, **GAP))
    request = benchmark.requests()[0]
    assert (request.prompt, request.choices, request.continuation) == (
        "Ann met Bea because ",
        ("Ann", "Bea"),
        " was lost.",
    )
    scores = benchmark.score(answered(benchmark, [(-5.0, -4.0), (-5.0, -4.0)]))
    assert scores.scores["choice_accuracy"].items.tolist() == [1.0, 0.0]


def test_their_exemplars_are_whole_sentences(bench, tmp_path):
    place = bench(GAPS, **GAP, shots={"path": "rows.jsonl", "count": 2})
    assert load(place).items[0].full_prompt == (
        "Ann met Bea because Bea was lost.\n\nHe came late.\n\nAnn met Bea because "
    )


def test_another_continuation_is_another_benchmark(bench):
    first = load(bench(GAPS, **GAP)).fingerprint
    assert load(bench([{**row, "end": "was found."} for row in GAPS], **GAP)).fingerprint != first


def test_a_continuation_belongs_to_choices(bench):
    changes = {"kind": "generate", "max_new_tokens": 3, "metrics": ["accuracy"], "choices": []}
    with pytest.raises((InputError, InputErrors), match="continuation has no meaning for kind: generate"):
        load(bench(GAPS, **{**GAP, **changes}))
