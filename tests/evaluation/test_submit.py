"""Predictions for the leaderboards of GLUE and SuperGLUE: their files, what is refused, and that a killed submission resumes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from byte_model import write_byte_model
from glue_layouts import ROWS, write_glue, write_hub, write_superglue
from tutelage.benchmarks.submission import load_submission
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Response
from tutelage.engine import Engine
from tutelage.evaluation.options import SubmissionOptions
from tutelage.evaluation.submit import submit

TSV = ["CoLA", "SST-2", "MRPC", "QQP", "STS-B", "MNLI-m", "MNLI-mm", "QNLI", "RTE", "WNLI", "AX"]
JSONL = ["BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC", "AX-b", "AX-g"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_glue(folder / "glue", test=True)
    write_superglue(folder / "superglue", test=True)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_byte_model(tmp_path_factory.mktemp("model") / "bytes"))


@pytest.fixture(scope="module")
def written(data, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    results = {}
    for name in ("glue", "superglue"):
        results[name] = submit(
            SubmissionOptions(
                model=model, benchmark=name, data_dir=data, to=folder / name, out=folder / f"{name}-answers"
            )
        )
    return folder, results


def first_choice(submission):
    """Answers that prefer each item's first choice."""
    return {
        item.id: Response(
            item.id, "", "choice", 0, logprobs=tuple(-float(n) for n in range(len(item.choices)))
        )
        for item in submission.benchmark.items
    }


def test_glues_files_have_an_index_and_a_prediction_a_row(written):
    folder, results = written
    assert set(results["glue"].predictions) == {f"{name}.tsv" for name in TSV}
    labels = {
        **dict.fromkeys(["CoLA", "SST-2", "MRPC", "QQP", "WNLI"], ("0", "1")),
        **dict.fromkeys(["MNLI-m", "MNLI-mm", "AX"], ("entailment", "neutral", "contradiction")),
        **dict.fromkeys(["QNLI", "RTE"], ("entailment", "not_entailment")),
    }
    for name in TSV:
        header, *lines = (folder / "glue" / f"{name}.tsv").read_text("utf-8").splitlines()
        assert header == "index\tprediction"
        numbers, predictions = zip(*(line.split("\t") for line in lines), strict=True)
        assert numbers == tuple(map(str, range(len(lines))))
        assert len(lines) == results["glue"].predictions[f"{name}.tsv"]
        if name == "STS-B":
            assert all(0 <= float(value) <= 5 and len(value) == 5 for value in predictions)
        else:
            assert set(predictions) <= set(labels[name])


def test_superglues_files_have_idx_and_label_and_multircs_are_nested(written):
    folder, results = written
    assert set(results["superglue"].predictions) == {f"{name}.jsonl" for name in JSONL}
    content = {
        name: [
            json.loads(line)
            for line in (folder / "superglue" / f"{name}.jsonl").read_text("utf-8").splitlines()
        ]
        for name in JSONL
    }
    assert [
        [answer["idx"] for question in row["passage"]["questions"] for answer in question["answers"]]
        for row in content["MultiRC"]
    ] == [[0, 1, 2], [3]]
    assert [question["idx"] for question in content["MultiRC"][0]["passage"]["questions"]] == [0, 1]
    assert [row["idx"] for row in content["ReCoRD"]] == [0, 1]
    assert all(
        row["label"] in set(query["entities"])
        for row, query in zip(content["ReCoRD"], ROWS["superglue"]["record"], strict=True)
    )
    for name in set(JSONL) - {"MultiRC"}:
        assert all(set(row) == {"idx", "label"} and isinstance(row["idx"], int) for row in content[name])
    assert {type(row["label"]) for row in content["COPA"]} == {int}


def test_labels_are_those_of_the_leaderboard(data):
    submission = load_submission("superglue", data=data)
    texts, invalid = submission.texts(first_choice(submission))
    labels = {
        name.removesuffix(".jsonl"): json.loads(text.splitlines()[0]).get("label")
        for name, text in texts.items()
    }
    assert labels == {
        "BoolQ": "false",
        "CB": "entailment",
        "COPA": 0,
        "MultiRC": None,
        "ReCoRD": "Ada Moss",
        "RTE": "entailment",
        "WiC": "false",
        "WSC": "False",
        "AX-b": "entailment",
        "AX-g": "entailment",
    }
    assert '{"idx": 0, "label": 1}' in texts["MultiRC.jsonl"]
    assert invalid == {}


def test_generated_answers_that_are_no_label_are_counted(data):
    submission = load_submission("glue:t5", data=data)
    answers = {"cola": "acceptable", "mnli": "contradiction", "stsb": "7.5", "rte": "maybe"}
    responses = {
        item.id: Response(item.id, answers.get(item.part, ""), "stop", 0)
        for item in submission.benchmark.items
    }
    texts, invalid = submission.texts(responses)
    assert texts["CoLA.tsv"].splitlines()[1] == "0\t1"
    assert texts["MNLI-m.tsv"].splitlines()[1] == "0\tcontradiction"
    assert texts["STS-B.tsv"].splitlines()[1] == "0\t5.000"
    assert texts["RTE.tsv"].splitlines()[1] == "0\tentailment"
    assert invalid["rte"] == 3
    assert not {"cola", "mnli", "stsb"} & set(invalid)


def test_generated_similarities_are_cut_to_the_scale_and_what_is_no_number_is_counted(data):
    submission = load_submission("glue:t5", data=data)
    for text, expected in {
        "3.8": "3.800",
        " 3.8\n": "3.800",
        "-2": "0.000",
        "inf": "0.000",
        "": "0.000",
    }.items():
        responses = {item.id: Response(item.id, text, "stop", 0) for item in submission.benchmark.items}
        texts, invalid = submission.texts(responses)
        assert {line.split("\t")[1] for line in texts["STS-B.tsv"].splitlines()[1:]} == {expected}
        assert ("stsb" in invalid) == (text in ("inf", ""))


def test_a_generated_noun_answers_wsc(data):
    submission = load_submission("superglue:t5", data=data)
    responses = {item.id: Response(item.id, "the shelf", "stop", 0) for item in submission.benchmark.items}
    lines = submission.texts(responses)[0]["WSC.jsonl"].splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["False", "False", "True"]


def test_the_hubs_test_rows_give_the_same_questions(data, tmp_path):
    write_hub(tmp_path, test=True)
    for name in ("glue", "superglue"):
        files, hub = load_submission(name, data=data), load_submission(name, data=tmp_path)
        assert [item.full_prompt for item in hub.benchmark.items] == [
            item.full_prompt for item in files.benchmark.items
        ]
        assert hub.texts(first_choice(hub)) == files.texts(first_choice(files))


def test_missing_test_rows_are_all_named_and_nothing_is_written(data, model, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    shutil.rmtree(copy / "glue" / "QQP")
    (copy / "glue" / "AX" / "AX.tsv").unlink()
    options = SubmissionOptions(
        model=model, benchmark="glue", data_dir=copy, to=tmp_path / "to", out=tmp_path / "out"
    )
    with pytest.raises(InputErrors) as error:
        submit(options)
    assert [mistake.problem for mistake in error.value.errors] == [
        "the test rows of qqp are not here",
        "the test rows of ax are not here",
    ]
    assert "QQP/test.tsv" in str(error.value.errors[0].expected)
    assert not (tmp_path / "to").exists()
    assert not (tmp_path / "out").exists()


def test_all_mistakes_are_reported_at_once(data, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "thesis.txt").write_text("not yours", "utf-8")
    options = SubmissionOptions(model="no/such/folder", benchmark="glu", data_dir=data, to=tmp_path / "to")
    with pytest.raises(InputErrors) as error:
        submit(options)
    problems = [mistake.problem for mistake in error.value.errors]
    assert problems[0] == "there is no such benchmark"
    assert len(problems) == 3
    assert str(tmp_path / "to") in str(error.value.errors[1].where)


def test_responses_go_to_no_folder_of_something_else(data, model, tmp_path):
    (tmp_path / "file").write_text("not yours", "utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("not yours", "utf-8")
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "identity").write_text("of another model\n", "utf-8")
    problems = {
        "known": "the folder holds another evaluation",
        "full": "the folder holds something that is no evaluation",
        "file": "the folder for responses is a file",
    }
    for name, problem in problems.items():
        with pytest.raises(InputError) as error:
            submit(
                SubmissionOptions(
                    model=model, benchmark="glue", data_dir=data, to=tmp_path / "to", out=tmp_path / name
                )
            )
        assert error.value.problem == problem
        assert error.value.where == str(tmp_path / name)
    assert not (tmp_path / "to").exists()


def test_labelled_files_are_not_taken_for_test_rows(data, tmp_path):
    write_glue(tmp_path / "glue", test=True)
    (tmp_path / "glue" / "SST-2" / "test.tsv").write_text("a joy\t1\nworthless\t0\n", "utf-8")
    with pytest.raises(InputError, match="the test rows of sst2 are not here"):
        load_submission("glue", data=tmp_path)


CHAT_SPEC = """
version: 1
name: jokes
title: Is it funny?
kind: choose
form: chat
prompt: "{{ text }}"
choices: [dull, funny]
labels: ["0", "1"]
answer: "{{ label }}"
parts:
  jokes:
    sources: [{path: dev.tsv}]
    submission: {file: Jokes.tsv, labels: [0, 1], sources: [{path: test.tsv}]}
"""


def test_a_conversation_is_submitted_with_the_chat_template_that_is_named(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jokes").mkdir()
    (tmp_path / "jokes" / "spec.yaml").write_text(CHAT_SPEC, "utf-8")
    (tmp_path / "jokes" / "test.tsv").write_text("idx\ttext\n0\tA pun.\n", "utf-8")
    options = SubmissionOptions(model=model, benchmark="./jokes", to=tmp_path / "to", out=tmp_path / "out")
    with pytest.raises(InputError, match="the model has no chat template") as error:
        submit(options)
    assert "--chat-template" in str(error.value.fix)
    with pytest.raises(InputError, match="chat template") as error:
        submit(replace(options, chat_template="chatml-plane"))
    assert "chatml-plain" in str(error.value)
    written = {}
    for template, separator in (("lines.jinja", "\\n"), ("bars.jinja", "|")):
        turns = "{% for m in messages %}{{ m.content }}<|endoftext|>" + separator + "{% endfor %}"
        (tmp_path / template).write_text(turns, "utf-8")
        written[template] = submit(replace(options, chat_template=template, out=None, to=tmp_path / "to"))
        assert (tmp_path / "to" / "Jokes.tsv").read_text("utf-8").startswith("index\tprediction\n0\t")
    assert len({result.responses for result in written.values()}) == 2  # answers are of one template each


def test_a_benchmark_without_a_leaderboard_is_refused(data):
    with pytest.raises(InputError, match="no leaderboard takes predictions") as error:
        load_submission("mmlu", data=data)
    assert error.value.expected == "glue, superglue"


def test_a_killed_submission_asks_nothing_twice(data, model, tmp_path, monkeypatch):
    options = SubmissionOptions(
        model=model, benchmark="superglue", data_dir=data, to=tmp_path / "to", out=tmp_path / "out"
    )
    asked = []
    answer = Engine.answer

    def record(self, requests, *, on_done=None):
        def stop_later(responses):
            on_done(responses)
            asked.extend(response.id for response in responses)
            if stops and len(asked) >= stops[0]:
                raise KeyboardInterrupt

        return answer(self, requests, on_done=stop_later)

    monkeypatch.setattr(Engine, "answer", record)
    stops = [5]
    with pytest.raises(KeyboardInterrupt):
        submit(options)
    assert not (tmp_path / "to").exists()
    stops.clear()
    submit(options)
    assert len(asked) == len(set(asked)) == sum(map(len, ROWS["superglue"].values()))
    assert len(list((tmp_path / "to").glob("*.jsonl"))) == len(JSONL)
