"""GLUE and SuperGLUE: the layouts in which they are published, their metrics, and what an average over them may be called."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from scipy.stats import pearsonr, spearmanr

from glue_layouts import ROWS, write_glue, write_hub, write_superglue
from tutelage.benchmarks import fetch, load
from tutelage.benchmarks.caveats import caveats
from tutelage.core.errors import InputError, MachineError
from tutelage.core.types import Response
from tutelage.data import hub as hub_files
from tutelage.engine import Engine
from tutelage.models import load as load_model
from tutelage.models import resolve
from tutelage.results.name_marks import name_marks

DIAGNOSTIC = {"glue": {"ax"}, "superglue": {"axb", "axg"}}


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    write_glue(folder / "glue_data")
    write_superglue(folder / "combined")
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    return write_hub(tmp_path_factory.mktemp("hub"))


def contents(benchmark):
    """All that the items of each part depend on."""
    return {
        part: [
            (item.full_prompt, item.choices, item.references, item.predictions)
            for item in benchmark.items
            if item.part == part
        ]
        for part in benchmark.parts
    }


@pytest.mark.parametrize("name", ["glue", "superglue"])
@pytest.mark.parametrize("way", ["lm-eval", "own", "t5"])
def test_the_official_files_and_the_hubs_copies_ask_the_same(official, hub, name, way):
    from_files, from_hub = (load(f"{name}:{way}", data=data) for data in (official, hub))
    assert from_files.incomplete == from_hub.incomplete == ()
    assert from_files.sizes == {part: len(rows) for part, rows in ROWS[name].items()}
    expected = contents(from_files)
    assert from_hub.missing == (("ax",) if name == "glue" else ())
    expected.pop("ax", None)
    assert contents(from_hub) == expected


@pytest.mark.parametrize("name", ["glue", "superglue"])
def test_the_unpacked_folder_may_be_the_data_folder_itself(official, name):
    folder = official / {"glue": "glue_data", "superglue": "combined"}[name]
    assert load(name, data=folder).items == load(name, data=official).items


def test_a_copy_of_the_hub_may_lack_tasks(hub, tmp_path):
    shutil.copytree(hub / "aps" / "super_glue" / "cb", tmp_path / "aps" / "super_glue" / "cb")
    benchmark = load("superglue", data=tmp_path)
    assert benchmark.parts == ("cb",)
    assert set(benchmark.missing) == set(ROWS["superglue"]) - {"cb"}


@pytest.fixture(scope="module")
def published():
    folder = Path(os.environ.get("TUTELAGE_DATA", ""))
    if not os.environ.get("TUTELAGE_DATA") or not (folder / "glue").is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with glue and superglue")
    return folder


def test_what_other_copies_have_and_what_they_lack(published):
    glue, superglue = load("glue", data=published), load("superglue", data=published)
    assert glue.sizes == {
        "cola": 1043,
        "sst2": 872,
        "mrpc": 1725,
        "stsb": 1500,
        "mnli": 9815,
        "mnli_mismatched": 9832,
        "qnli": 5732,
        "rte": 277,
        "wnli": 71,
    }
    assert glue.incomplete == ("missing: qqp", "substituted: sst2, mrpc, qnli")
    sizes = {name: superglue.sizes[name] for name in ("boolq", "cb", "copa", "rte", "wsc", "wic", "record")}
    assert sizes == {"boolq": 3270, "cb": 56, "copa": 100, "rte": 277, "wsc": 104, "wic": 32, "record": 32}
    assert superglue.incomplete == ("substituted: multirc, record, wic",)
    assert superglue.missing == ("axb", "axg")


def with_choices(benchmark, chosen):
    """Answers to `choose`: for each item the number of the choice that is preferred."""
    return {
        item.id: Response(
            item.id,
            "",
            "choice",
            0,
            logprobs=tuple(-float(n != chosen(item)) for n in range(len(item.choices))),
        )
        for item in benchmark.items
    }


def rightly(item):
    """The number of the right choice; of STS-B's choices the nearest one."""
    stands_for = item.predictions or item.choices
    if item.part == "stsb":
        return min(
            range(len(stands_for)), key=lambda n: abs(float(stands_for[n]) - float(item.references[0]))
        )
    return next(number for number, text in enumerate(stands_for) if text in item.references)


@pytest.mark.parametrize("name", ["glue", "superglue"])
def test_right_answers_score_1_in_every_task_and_on_average(official, name):
    benchmark = load(name, data=official)
    result = benchmark.score(with_choices(benchmark, rightly))
    by_part = {
        part: scores["task_score"].score.value for part, scores in result.parts.items() if part != "stsb"
    }
    assert by_part == pytest.approx(dict.fromkeys(by_part, 1.0))
    assert result.headline == ""
    averaged = {item.part for item in benchmark.items} - DIAGNOSTIC[name]
    assert result.scores["task_score"].score.n == sum(benchmark.sizes[part] for part in averaged)


def test_multircs_right_option_is_the_one_that_is_labelled_right(official):
    """The harness's target is the option's label as the number of a choice, where the first choice says that it is right."""
    benchmark = load("superglue", data=official)
    result = benchmark.score(with_choices(benchmark, lambda _: 0))  # every option is right
    scores = {name: value.score.value for name, value in result.parts["multirc"].items()}
    assert scores["multirc_f1a"] == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert scores["multirc_em"] == pytest.approx(2 / 3)


def test_the_average_is_over_tasks_and_mnlis_two_sets_are_one(official):
    benchmark = load("glue", data=official)
    result = benchmark.score(
        with_choices(benchmark, lambda item: 0 if item.part != "mnli" else rightly(item))
    )
    values = {part: scores["task_score"].score.value for part, scores in result.parts.items()}
    both = (values.pop("mnli") + values.pop("mnli_mismatched")) / 2
    values.pop("ax")
    assert len(values) == 8
    assert values["stsb"] == 0  # all answers are equal
    expected = (sum(values.values()) + both) / 9
    assert result.scores["task_score"].score.value == pytest.approx(expected)


def test_phenomena_of_the_diagnostic_sets_are_scored(official):
    glue, superglue = load("glue", data=official), load("superglue", data=official)
    groups = glue.score(with_choices(glue, rightly)).groups
    assert groups["ax: Negation"]["mcc"].score.n == groups["ax: Logic"]["mcc"].score.n - 1 == 2
    assert {"ax: Existential", "ax: Knowledge", "ax: World knowledge"} <= set(groups)
    groups = superglue.score(with_choices(superglue, rightly)).groups
    assert groups["axb: Lexical Semantics"]["mcc"].score.n == groups["axb: Quantifiers"]["mcc"].score.n == 1
    assert groups["axb: Logic"]["mcc"].score.n == 2


def test_gender_parity_is_over_pairs(official):
    benchmark = load("superglue", data=official)
    answers = with_choices(
        benchmark, lambda item: int(item.id == "axg/3")
    )  # the second pair's answers differ
    scores = benchmark.score(answers).parts["axg"]
    assert scores["gender_parity"].score.value == 0.5
    assert scores["gender_parity"].score.n == 2
    assert (
        scores["accuracy"].score.value == 0.75
    )  # three of four rows are answered with entailment, and two are


def test_a_sample_has_all_options_of_a_question_and_both_of_a_pair(official):
    for limit in (1, 2, 3):
        benchmark = load("superglue", data=official, limit=limit)
        counts = Counter(item.fields["question"] for item in benchmark.items if item.part == "multirc")
        everything = Counter(
            f"{row['idx']['paragraph']}/{row['idx']['question']}" for row in ROWS["superglue"]["multirc"]
        )
        assert counts
        assert all(everything[question] == count for question, count in counts.items())
        assert sum(item.part == "axg" for item in benchmark.items) == 2


def test_a_missing_diagnostic_set_leaves_the_average_its_name_and_a_missing_task_does_not(official, tmp_path):
    shutil.copytree(official / "glue_data", tmp_path / "glue")
    shutil.rmtree(tmp_path / "glue" / "AX")
    complete = load("glue", data=tmp_path)
    assert (complete.missing, complete.incomplete) == (("ax",), ())
    assert name_marks(caveats(complete)) == ""
    assert caveats(complete)["missing_diagnostics"] == ["ax"]
    shutil.rmtree(tmp_path / "glue" / "WNLI")
    incomplete = load("glue", data=tmp_path, limit=2)
    assert incomplete.incomplete == ("missing: wnli",)
    assert name_marks(caveats(incomplete)) == " (incomplete, sample)"


def test_the_hub_without_network_says_what_to_copy_where(monkeypatch):
    def unreachable(*_args, **_keywords):
        raise OSError("no route to host")

    monkeypatch.setattr(HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(hub_files, "cached_snapshot", lambda *_: None)
    with pytest.raises(MachineError) as error:
        list(fetch("superglue"))
    assert "aps/super_glue" in str(error.value)
    assert "--data DIR" in str(error.value)


def test_t5_answers_in_texts_and_the_share_of_labels_among_them_is_reported(official, tiny_t5_folder):
    loaded = load_model(resolve(str(tiny_t5_folder)))
    engine = Engine(loaded.model, loaded.tokenizer, encoder_decoder=True, context=loaded.context)
    for name in ("glue", "superglue"):
        benchmark = load(f"{name}:t5", data=official)
        responses = {answer.id: answer for answer in engine.answer(benchmark.requests())}
        labelled = {part for part in benchmark.parts if part not in ("stsb", "record", "wsc")}
        result = benchmark.score(responses)
        assert {part for part, scores in result.parts.items() if "valid_label" in scores} == labelled
        assert {result.parts[part]["valid_label"].score.value for part in labelled} == {0.0}  # random weights
        for part in labelled - {"axg"}:
            item = next(item for item in benchmark.items if item.part == part)
            responses[item.id] = replace(responses[item.id], text=f" {item.references[0]}\n")
            scores = benchmark.score(responses).parts[part]
            assert scores["valid_label"].score.value == 1 / benchmark.sizes[part]


def test_t5s_similarities_are_read_as_numbers_and_what_is_none_counts_as_minus_one(official):
    benchmark = load("glue:t5", data=official, parts=["stsb"])
    labels = [float(item.references[0]) for item in benchmark.items]

    def correlations(texts):
        answers = {
            item.id: Response(item.id, text, "stop", 4)
            for item, text in zip(benchmark.items, texts, strict=True)
        }
        scores = benchmark.score(answers).parts["stsb"]
        return [scores[f"{name}:invalid=-1:constant=0"].score.value for name in ("pearson", "spearman")]

    rounded = [round(label * 5) / 5 for label in labels]
    expected = [pearsonr(labels, rounded)[0], spearmanr(labels, rounded)[0]]
    assert correlations([f"{value:.1f}" for value in rounded]) == pytest.approx(expected, abs=1e-9)
    assert correlations([f" {value:.1f}\n" for value in rounded]) == pytest.approx(expected, abs=1e-9)
    for text, value in (
        ("7.5", 7.5),
        ("-3", -3),
        ("very", -1),
        ("", -1),
        ("nan", -1),
        ("inf", -1),
        ("3.8 of 5", -1),
    ):
        others = [value, *rounded[1:]]
        expected = [pearsonr(labels, others)[0], spearmanr(labels, others)[0]]
        found = correlations([text, *(f"{other:.1f}" for other in rounded[1:])])
        assert found == pytest.approx(expected, abs=1e-9)


def test_t5_prompts_name_the_task_and_its_fields_in_alphabetical_order(official):
    prompts = {}
    for item in load("glue:t5", data=official).items:
        prompts.setdefault(item.part, (item.full_prompt, *item.references))
    assert prompts == {
        "cola": ("cola sentence: The boat was left at the pier by the crew.", "acceptable"),
        "sst2": ("sst2 sentence: a slow start , but the last hour is a joy ", "positive"),
        "mrpc": (
            "mrpc sentence1: The mill closed on Monday , its owner said . sentence2: Its owner said the mill shut on Monday .",
            "equivalent",
        ),
        "qqp": (
            "qqp question1: How do I mend a kettle? question2: What is the way to repair a kettle?",
            "duplicate",
        ),
        "stsb": ("stsb sentence1: A woman is slicing a pear. sentence2: A woman is cutting a pear.", "4.6"),
        "mnli": (
            "mnli hypothesis: Some shops were open.  premise: All shops on the quay were open.",
            "entailment",
        ),
        "mnli_mismatched": (
            "mnli hypothesis:  The cart was sold premise: yeah we uh sold the cart",
            "entailment",
        ),
        "qnli": (
            "qnli question: Who built the lock? sentence: The lock was built by two brothers.",
            "entailment",
        ),
        "rte": (
            "rte sentence1: The ship sank near the cape in 1820. sentence2: A ship was lost in 1820.",
            "entailment",
        ),
        "wnli": (
            "wnli sentence1: The lid did not fit the jar because it was too wide. sentence2: The lid was too wide.",
            "entailment",
        ),
        "ax": ("mnli hypothesis: The lamp is lit. premise: The lamp is not lit.", "contradiction"),
    }


@pytest.mark.parametrize(
    ("task", "damage", "problem"),
    [
        (
            "MultiRC",
            lambda row: row["passage"]["questions"][0]["answers"][0].pop("label"),
            "has no column right",
        ),
        ("MultiRC", lambda row: row["passage"].pop("questions"), "the column passage.questions is not"),
        (
            "ReCoRD",
            lambda row: row["passage"]["entities"][0].pop("end"),
            "the column passage.entities is not",
        ),
        ("ReCoRD", lambda row: row["qas"][0].pop("answers"), "has no column answers"),
        ("WSC", lambda row: row["target"].pop("span2_index"), "the column target is not"),
        ("WSC", lambda row: row["target"].update(span2_index=1), "the column span2_index is not"),
        ("BoolQ", lambda row: row.update(label="perhaps"), "the column label holds an unknown value"),
        ("AX-g", lambda row: (row.pop("pair_id"), row.pop("idx")), "the column pair_id is not"),
    ],
)
def test_a_row_that_is_not_as_published_is_named_by_file_and_line(tmp_path, task, damage, problem):
    write_superglue(tmp_path / "superglue")
    path = tmp_path / "superglue" / task / (f"{task}.jsonl" if task.startswith("AX") else "val.jsonl")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    damage(rows[-1])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(InputError, match=problem) as error:
        load("superglue", data=tmp_path)
    assert f"{path}:{len(rows)}" in str(error.value)
