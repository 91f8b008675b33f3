"""The benchmarks `ifeval` and `gsm8k` over rows written for the test, from the rows to the scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tutelage.benchmarks import fetch, load
from tutelage.benchmarks.caveats import extraction_doubts
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Response
from tutelage.data import hub

PROMPTS: list[dict[str, Any]] = [
    {
        "key": 1,
        "prompt": "Name a river. Use no commas and quote your answer.\n",
        "instruction_id_list": ["punctuation:no_comma", "startend:quotation"],
        "kwargs": [{}, {"num_words": None}],
    },
    {
        "key": 2,
        "prompt": "Write two paragraphs; the second begins with hills.",
        "instruction_id_list": ["length_constraints:nth_paragraph_first_word"],
        "kwargs": [{"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "hills"}],
    },
]
QUESTION = {"question": "How many legs have 4 chairs?", "answer": "4 * 4 = 16.\n#### 16"}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def respond(benchmark: Any, *texts: str) -> dict[str, Response]:
    return {
        item.id: Response(item.id, text, "stop", 9) for item, text in zip(benchmark.items, texts, strict=True)
    }


@pytest.mark.parametrize(
    "file", ["google/IFEval/ifeval_input_data.jsonl", "ifeval/input_data.jsonl", "helm/ifeval_data.jsonl"]
)
@pytest.mark.parametrize(("way", "form"), [("", "chat"), (":text", "text")])
def test_ifeval_asks_the_prompt_as_it_is_and_scores_the_text_as_it_is(
    tmp_path: Path, file: str, way: str, form: str
):
    write(tmp_path / file, PROMPTS)
    benchmark = load(f"ifeval{way}", data=tmp_path)
    requests = benchmark.requests()
    assert [request.prompt for request in requests] == [row["prompt"] for row in PROMPTS]
    assert {(request.form, request.max_new_tokens, request.stop) for request in requests} == {
        (form, 1280, ())
    }
    scores = benchmark.score(respond(benchmark, '"The Rhine."', "Rivers.\n\nHills.")).scores
    assert next(iter(scores)) == "ifeval_prompt_strict"
    assert [score.score.value for score in scores.values()] == [1, 1, 1, 1]
    # A blank paragraph in front is one that counts where the second paragraph is looked for.
    scores = benchmark.score(respond(benchmark, 'Sure:\n"The Rhine."', "\n\nRivers.\n\nHills.")).scores
    assert [score.score.value for score in scores.values()] == [0, 1 / 3, 1, 1]


def test_ifeval_is_fetched_from_the_hub_whose_one_file_is_named_after_no_split(tmp_path: Path, monkeypatch):
    names = [".gitattributes", "README.md", "ifeval_input_data.jsonl"]
    cache = tmp_path / "cache" / "c0ffee"
    write(tmp_path / "hub" / "ifeval_input_data.jsonl", PROMPTS)
    (tmp_path / "hub" / "README.md").write_text(
        "---\nlicense: apache-2.0\npretty_name: IFEval\n---\n", "utf-8"
    )

    def download(repo: str, commit: str, name: str) -> Path:
        assert (repo, commit) == ("google/IFEval", "c0ffee")
        cache.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(tmp_path / "hub" / name, cache / name))

    monkeypatch.setattr(hub, "list_files", lambda *_: ("c0ffee", names))
    monkeypatch.setattr(hub, "download", download)
    monkeypatch.setattr(hub, "cached_snapshot", lambda *_: cache if cache.is_dir() else None)
    with pytest.raises(InputError, match="the data of ifeval is not here"):
        load("ifeval", data=tmp_path)
    assert list(fetch("ifeval")) == [("ifeval", 1)]
    assert [request.prompt for request in load("ifeval", data=tmp_path).requests()] == [
        row["prompt"] for row in PROMPTS
    ]


def test_the_mistakes_of_ifevals_rows_are_reported_before_anything_is_asked(tmp_path: Path):
    rows = [{**PROMPTS[0], "instruction_id_list": ["punctuation:none", "startend:quotes"]}, PROMPTS[1]]
    write(tmp_path / "helm" / "ifeval_data.jsonl", rows)
    with pytest.raises(InputErrors) as error:
        load("ifeval", data=tmp_path)
    assert len(error.value.errors) == 2


@pytest.mark.parametrize("file", ["gsm8k/test.jsonl", "helm/gsm8k/test.jsonl"])
def test_gsm8k_reads_one_text_by_three_rules(tmp_path: Path, file: str):
    write(tmp_path / file, [QUESTION])
    benchmark = load("gsm8k", data=tmp_path)
    assert benchmark.items[0].prompt.startswith(QUESTION["question"] + "\n\n")
    scores = benchmark.score(respond(benchmark, "4 chairs have $16.00 legs.")).scores
    assert {name: score.score.value for name, score in scores.items()} == {
        "gsm8k:extract=strict": 0,
        "gsm8k:extract=flexible": 0,
        "gsm8k:extract=last": 1,
    }


def test_the_space_behind_a_number_is_the_character_that_the_harness_asks_for(tmp_path: Path):
    write(tmp_path / "gsm8k" / "test.jsonl", [QUESTION])
    benchmark = load("gsm8k:cot-zeroshot", data=tmp_path)
    for text, value in (("The answer is 16 ", 1), ("The answer is 16", 0)):
        scores = benchmark.score(respond(benchmark, text)).scores
        assert scores["gsm8k:extract=cot"].score.value == value


@pytest.mark.parametrize(("way", "file"), [("lm-eval", "openai/gsm8k"), ("cot", "cot-exemplars.jsonl")])
def test_exemplars_that_are_not_here_are_named_and_can_be_left_out(tmp_path: Path, way: str, file: str):
    write(tmp_path / "gsm8k" / "test.jsonl", [QUESTION])
    with pytest.raises(InputError, match=file) as error:
        load(f"gsm8k:{way}", data=tmp_path)
    assert "--shots 0" in str(error.value)
    assert load(f"gsm8k:{way}", data=tmp_path, shots=0).items[0].exemplar_count == 0


def test_doubtful_answers_are_counted_by_the_rule_of_the_primary_metric(tmp_path: Path):
    write(tmp_path / "gsm8k" / "test.jsonl", [QUESTION, QUESTION])
    benchmark = load("gsm8k", data=tmp_path)
    responses = respond(benchmark, "#### 16\n#### 61", "It is 16.")
    doubts = extraction_doubts(benchmark, responses)["extraction"]
    assert doubts == {"n": 2, "unmarked": 1, "ambiguous": 1, "cut_off": 0, "empty": 1}
