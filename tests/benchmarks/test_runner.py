from __future__ import annotations

import math
import random

import pytest

from tutelage.benchmarks import PartSpec, Spec, load
from tutelage.core.errors import InputError


@pytest.fixture
def benchmark(write, spec):
    return load(str(write(spec)))


@pytest.fixture
def answers(chose, said):
    """Right answers to all five items."""
    return {
        "c1": chose("c1", -2.0, -1.0),
        "c2": chose("c2", -1.0, -2.0),
        "n1": said("n1", "2 + 2 = 4"),
        "n2": said("n2", "8"),
        "n3": said("n3", "1,000."),
    }


def right(benchmark, responses, metric="accuracy"):
    """Which items count as right, by id."""
    values = benchmark.score(responses).scores[metric].items.tolist()
    return {item.id: value for item, value in zip(benchmark.items, values, strict=True)}


def test_right_answers_score_one_in_the_whole_and_in_every_part(benchmark, answers):
    found = benchmark.score(answers)
    assert found.primary == "accuracy"
    assert (found.scores["accuracy"].score.value, found.scores["accuracy"].score.n) == (1.0, 5)
    assert list(found.parts) == ["colours", "numbers"]
    assert {part: scored["accuracy"].score.n for part, scored in found.parts.items()} == {
        "colours": 2,
        "numbers": 3,
    }
    assert all(scored["accuracy"].score.value == 1.0 for scored in found.parts.values())


def test_every_item_weighs_the_same_and_parts_stand_for_themselves(benchmark, answers, said):
    found = benchmark.score({**answers, "n1": said("n1", "5")})
    assert found.scores["accuracy"].score.value == 4 / 5
    assert found.scores["accuracy"].items.tolist() == [1, 0, 1, 1, 1]
    assert found.parts["numbers"]["accuracy"].score.value == pytest.approx(2 / 3)
    assert found.parts["colours"]["accuracy"].score.value == 1.0


def test_neither_the_order_of_responses_nor_those_of_other_items_matter(benchmark, answers, said):
    turned = {**dict(reversed(answers.items())), "other": said("other", "4")}
    assert right(benchmark, turned) == right(benchmark, answers)


@pytest.mark.parametrize("missing", [["c1"], ["n3"], ["n2", "c2"], ["c1", "c2", "n1", "n2", "n3"]])
def test_an_item_without_a_response_is_an_error_and_never_wrong(benchmark, answers, missing):
    for id_ in missing:
        del answers[id_]
    with pytest.raises(InputError) as caught:
        benchmark.score(answers)
    assert caught.value.problem == f"{len(missing)} of 5 items of shop have no response"
    assert all(id_ in caught.value.found for id_ in missing)
    assert "evaluate again" in caught.value.fix


def test_of_many_missing_responses_the_first_five_are_named():
    probe = load("general-probe")
    with pytest.raises(InputError, match="900 of 900 items of general-probe have no response") as caught:
        probe.score({})
    assert (
        caught.value.found
        == "none for knowledge-01, knowledge-02, knowledge-03, knowledge-04, knowledge-05, ..."
    )


@pytest.mark.parametrize("logprobs", [(), (-1.0,), (-1.0, -2.0, -3.0), (math.nan, -1.0), (-1.0, math.nan)])
def test_log_probabilities_that_do_not_fit_the_choices_are_an_error(benchmark, answers, chose, logprobs):
    with pytest.raises(InputError, match="the response to c1 does not fit its choices") as caught:
        benchmark.score({**answers, "c1": chose("c1", *logprobs)})
    assert caught.value.expected == "2 numbers, one a choice"


def test_a_text_is_no_answer_to_a_choice(benchmark, answers, said):
    with pytest.raises(InputError, match="does not fit its choices"):
        benchmark.score({**answers, "c1": said("c1", "It is green.")})


def test_the_likeliest_choice_is_taken_and_of_equals_the_first(benchmark, answers, chose):
    for logprobs, value in [
        ((-3.0, -2.999), 1),
        ((-2.999, -3.0), 0),
        ((-3.0, -3.0), 0),  # the first is red, which is wrong
        ((-math.inf, -1e300), 1),
        ((0.0, -0.0), 0),
    ]:
        assert right(benchmark, {**answers, "c1": chose("c1", *logprobs)})["c1"] == value
    assert (
        right(benchmark, {**answers, "c2": chose("c2", -3.0, -3.0)})["c2"] == 1
    )  # the first is white, which is right


def test_what_the_response_says_of_itself_is_not_trusted(benchmark, answers, chose):
    boast = chose("c1", -1.0, -2.0)
    boast = type(boast)("c1", "It is green.", "choice", 0, choice=1, logprobs=boast.logprobs)
    assert right(benchmark, {**answers, "c1": boast})["c1"] == 0


def test_log_probabilities_can_be_weighed_by_the_characters_of_what_is_said(write, spec, answers, chose):
    rows = [
        {
            "id": "c1",
            "part": "colours",
            "input": "Sky?",
            "choices": ["red", "a very bright blue"],
            "answer": "a very bright blue",
        },
        {"id": "n1", "part": "numbers", "input": "2 + 2?", "references": ["4"]},
    ]
    plain = load(str(write(spec, rows)))
    spec["parts"]["colours"]["normalise"] = "characters"
    weighed = load(str(write(spec, rows, folder="weighed")))
    short, long = map(len, plain.items[0].choices)
    assert (short, long) == (len("It is red."), len("It is a very bright blue."))
    # A little above and a little below the same log-probability a character.
    for factor, value in [(0.99, 1), (1.01, 0)]:
        both = {**answers, "c1": chose("c1", -float(short), -float(long) * factor)}
        assert right(weighed, both)["c1"] == value
        assert right(plain, both)["c1"] == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 1),
        ("4.0", 1),
        (" It is 5, no: 4! ", 1),
        ("four", 0),
        ("", 0),
        ("4 or 5", 0),
        ("44", 0),
        ("4.00", 0),
    ],
)
def test_the_rule_takes_the_answer_and_any_reference_makes_it_right(benchmark, answers, said, text, value):
    assert right(benchmark, {**answers, "n1": said("n1", text)})["n1"] == value


def test_references_are_read_by_the_same_rule(write, spec, said):
    spec["parts"] = {"words": {**spec["parts"]["numbers"], "extraction": "first-word"}}
    rows = [{"id": "w", "part": "words", "input": "Capital of France?", "references": ["Paris, of course"]}]
    one = load(str(write(spec, rows)))
    assert [right(one, {"w": said("w", text)})["w"] for text in ("PARIS!", "paris", "It is Paris", "")] == [
        1,
        1,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("text", "value"), [("0", 1), ("I take 8", 1), ("2", 1), ("3", 0), ("28", 0), ("-2", 0), ("", 0)]
)
def test_what_a_pattern_accepts_whole_is_right(benchmark, answers, said, text, value):
    assert right(benchmark, {**answers, "n2": said("n2", text)})["n2"] == value


@pytest.mark.parametrize("pattern", ["[0-9]*", ".*", "(?:3)?"])
def test_no_answer_is_wrong_even_where_the_pattern_would_take_it(write, spec, said, pattern):
    rows = [{"id": "n", "part": "numbers", "input": "A digit?", "references": ["3"], "pattern": pattern}]
    del spec["parts"]["colours"]
    one = load(str(write(spec, rows)))
    assert [right(one, {"n": said("n", text)})["n"] for text in ("3", "none", "")] == [1, 0, 0]


def test_a_pattern_decides_alone_whatever_the_metric_forgives(write, spec, said):
    spec["metrics"] = ["exact_match", "squad_em", "token_f1"]
    spec["parts"] = {"t": {"title": "T", "kind": "generate", "max_new_tokens": 9}}
    rows = [{"id": "t", "part": "t", "input": "Loud?", "references": ["NO", "YES"], "pattern": "YES|NO"}]
    one = load(str(write(spec, rows)))
    for text, exact in [("YES", 1), ("NO", 1), ("MAYBE", 0)]:
        scores = one.score({"t": said("t", text)}).scores
        assert [scores[metric].score.value for metric in spec["metrics"]] == [exact] * 3


def test_a_long_answer_that_was_cut_counts_as_what_it_says(benchmark, answers, said):
    assert right(benchmark, {**answers, "n1": said("n1", "it is 4", finish="length")})["n1"] == 1


def test_several_metrics_are_scored_and_the_first_is_primary(write, spec, answers):
    spec["metrics"] = ["rouge", "accuracy"]
    found = load(str(write(spec))).score(answers)
    assert found.primary == "rouge1"
    assert list(found.scores) == ["rouge1", "rouge2", "rougeL", "rougeLsum", "accuracy"]
    assert list(found.parts["numbers"]) == list(found.scores)


def test_requests_come_in_the_items_order_with_their_ids(benchmark):
    assert [request.id for request in benchmark.requests()] == [item.id for item in benchmark.items]
    assert [request.kind for request in benchmark.requests()] == [
        "choose",
        "generate",
        "choose",
        "generate",
        "generate",
    ]


def test_a_blind_guess_scores_what_chance_gives(chose, said):
    draw = random.Random(0)
    probe = load("general-probe")
    values = {part: [] for part in probe.parts}
    for _ in range(20):
        guesses = {}
        for item in probe.items:
            guesses[item.id] = (
                chose(item.id, *(-draw.random() for _ in item.choices)) if item.choices else said(item.id, "")
            )
        for part, scored in probe.score(guesses).parts.items():
            values[part].append(scored["accuracy"].score.value)
    means = {part: sum(found) / len(found) for part, found in values.items()}
    chances = {
        "knowledge": 0.25,
        "arithmetic": 0.25,
        "spelling": 0.25,
        "sentiment": 0.5,
        "entailment": 0.5,
        "format": 0.0,
    }
    # 20 times 145 items or more: four standard errors are below 0.038.
    assert means == pytest.approx(chances, abs=0.038)


# Where in {"spec": ..., "rows": ...} something is changed, and to what; `...` takes it away.
CHANGES = {
    "the prompt": ("spec.parts.numbers.prompt", "Q: {input}"),
    "the prefix": ("spec.parts.numbers.prefix", "1 + 1? 2\n"),
    "how a choice is said": ("spec.parts.colours.answer", "{choice}"),
    "how choices are weighed": ("spec.parts.colours.normalise", "characters"),
    "the most tokens": ("spec.parts.numbers.max_new_tokens", 9),
    "the stop texts": ("spec.parts.numbers.stop", ["\n", "."]),
    "no stop text": ("spec.parts.numbers.stop", ...),
    "the rule": ("spec.parts.numbers.extraction", "first-number"),
    "the version": ("spec.version", 2),
    "the name": ("spec.name", "store"),
    "the metrics": ("spec.metrics", ["exact_match"]),
    "one more metric": ("spec.metrics", ["accuracy", "rouge1"]),
    "a metric's option": ("spec.metrics", ["accuracy", "rouge1:stemmer=false"]),
    "an item's id": ("rows.0.id", "c9"),
    "an item's input": ("rows.0.input", "Trees?"),
    "an item's choices": ("rows.0.choices", ["blue", "green"]),
    "the order of choices": ("rows.0.choices", ["green", "red"]),
    "the right choice": ("rows.0.answer", "red"),
    "the right answers": ("rows.1.references", ["4"]),
    "the order of right answers": ("rows.1.references", ["4.0", "4"]),
    "a pattern": ("rows.3.pattern", "[0-9]"),
    "no pattern": ("rows.3.pattern", ...),
    "one item less": ("rows.4", ...),
    "the group of a part": ("spec.parts.numbers.group", "hard"),
    "what a part is a variant of": ("spec.parts.numbers.fold", "sums"),
}
FOR_PEOPLE = {
    "the title": ("spec.title", "Other words"),
    "the description": ("spec.description", "More words"),
    "the licence": ("spec.licence", "MIT"),
    "the language": ("spec.language", "de"),
    "the citation": ("spec.citation", "A paper"),
    "the source": ("spec.source", "a place"),
    "the average that is usual": ("spec.aggregate", "macro"),
    "the name of the development items": ("spec.development", "more.jsonl"),
    "a part's title": ("spec.parts.numbers.title", "Other"),
    "a default written out": ("spec.parts.numbers.prompt", "{input}"),
    "an item's topic": ("rows.0.topic", "plants"),
    "an item's difficulty": ("rows.0.difficulty", "hard"),
}


def change(document, path, value):
    *above, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in above:
        document = document[step]
    if value is ...:
        del document[last]
    else:
        document[last] = value


@pytest.mark.parametrize(("path", "value"), CHANGES.values(), ids=CHANGES.keys())
def test_the_fingerprint_changes_with_all_that_scores_depend_on(write, spec, rows, path, value):
    before = load(str(write(spec, rows))).fingerprint
    change({"spec": spec, "rows": rows}, path, value)
    assert load(str(write(spec, rows, folder="changed"))).fingerprint != before


@pytest.mark.parametrize(("path", "value"), FOR_PEOPLE.values(), ids=FOR_PEOPLE.keys())
def test_the_fingerprint_does_not_change_with_what_is_only_for_people(write, spec, rows, path, value):
    before = load(str(write(spec, rows))).fingerprint
    change({"spec": spec, "rows": rows}, path, value)
    assert load(str(write(spec, rows, folder="changed"))).fingerprint == before


def test_the_fingerprint_changes_with_the_order_of_items_and_not_with_that_of_fields(write, spec, rows):
    before = load(str(write(spec, rows))).fingerprint
    turned = [dict(reversed(row.items())) for row in rows]
    assert load(str(write(spec, turned, folder="fields"))).fingerprint == before
    assert load(str(write(spec, rows[::-1], folder="items"))).fingerprint != before


def test_the_fingerprint_changes_with_the_reading(write, spec, rows):
    del spec["parts"]["numbers"]["extraction"], rows[3]["pattern"]  # a part has an extraction or a reading
    before = load(str(write(spec, rows))).fingerprint
    spec["parts"]["numbers"]["reading"] = {"pattern": "[0-9]+"}
    assert load(str(write(spec, rows, folder="changed"))).fingerprint != before


CHANGES_OF_TASKS = {
    "what a part's task score is made of": ("scored", 2),
    "the value that counts as 0": ("low", 0.25),
    "the value that counts as 1": ("high", 2),
    "whether the part counts in the mean": ("averaged", False),
    "a part's metrics": ("metrics", ["exact_match", "accuracy"]),
}


@pytest.mark.parametrize(("field", "value"), CHANGES_OF_TASKS.values(), ids=CHANGES_OF_TASKS.keys())
def test_the_fingerprint_changes_with_how_tasks_are_scored(write, spec, rows, field, value):
    spec["aggregate"] = "tasks"
    spec["parts"]["numbers"]["metrics"] = ["accuracy", "exact_match"]
    before = load(str(write(spec, rows))).fingerprint
    spec["parts"]["numbers"][field] = value
    assert load(str(write(spec, rows, folder="changed"))).fingerprint != before


def test_every_field_of_spec_and_items_was_changed_above():
    touched = {path.rpartition(".")[2] for path, _ in (*CHANGES.values(), *FOR_PEOPLE.values())}
    touched |= {field for field, _ in CHANGES_OF_TASKS.values()}
    touched.add("reading")  # in a test of its own
    known = {
        *Spec.model_fields,
        *PartSpec.model_fields,
        "id",
        "input",
        "references",
        "pattern",
        "topic",
        "difficulty",
    }
    # What is left out says where items are or what they belong to: changed, they are other items. `predict` needs numeric
    # choices: tests/benchmarks/test_tasks.py.
    assert known - touched == {"items", "added_items", "subsets", "parts", "kind", "predict"}
