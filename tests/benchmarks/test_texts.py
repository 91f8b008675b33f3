"""DialogSum, Multi30k and WNUT-17: rows in their published files, asked and scored; tables of parallel lines and of tokens."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from tutelage.benchmarks import describe, load
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Response

DIALOGUE = "#Person1#: Is the ferry late?\n#Person2#: By an hour."
CONLL = "Ann\tB-person\nsaw\tO\nNew\tB-location\nYork\tI-location\n.\tO\n\nNothing\tO\nhere\tO\n"


def answered(benchmark, texts):
    return {
        item.id: Response(item.id, text, "stop", len(text.split()))
        for item, text in zip(benchmark.items, texts, strict=True)
    }


@pytest.fixture
def data(tmp_path):
    def write(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
            path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return tmp_path

    return write


def test_dialogsum_takes_the_nearest_of_the_test_sets_summaries(data):
    row = {"fname": "test_0", "dialogue": DIALOGUE, "summary1": "a b", "summary2": "c d", "summary3": "e f"}
    benchmark = load("dialogsum", data=data({"dialogsum/dialogsum.test.jsonl": [row]}))
    (item,) = benchmark.items
    assert item.full_prompt == f"Summarize the following conversation.\n\n{DIALOGUE}"
    assert item.references == ("a b", "c d", "e f")
    assert (item.form, benchmark.substitutes) == ("chat", ())
    scores = benchmark.score(answered(benchmark, ["e f"])).scores
    assert {name: score.score.value for name, score in scores.items()} == {
        "rougeL": 1.0,
        "rouge1": 1.0,
        "rouge2": 1.0,
    }


def test_dialogsum_without_the_test_set_says_that_it_is_the_development_set(data):
    rows = [{"fname": "dev_0", "dialogue": DIALOGUE, "summary": "The ferry is late.", "topic": "travel"}]
    benchmark = load("dialogsum:text", data=data({"DialogSum_Data/dialogsum.dev.jsonl": rows}))
    assert benchmark.substitutes == ("dialogsum",)
    request = benchmark.requests()[0]
    assert (request.prompt, request.form, request.stop) == (f"{DIALOGUE}\n\nSummary:", "text", ("\n",))


def test_a_summary_that_is_no_text_is_named(data):
    rows = [{"dialogue": DIALOGUE, "summary": ["The ferry is late."]}]
    with pytest.raises(InputError, match="column summary is not as the benchmark publishes it"):
        load("dialogsum", data=data({"dialogsum/dialogsum.dev.jsonl": rows}))


MULTI30K = {
    "multi30k/test_2016_flickr.en.gz": "A dog runs fast today.\nTwo men sit on a bench.\n",
    "multi30k/test_2016_flickr.de.gz": "Ein Hund rennt heute schnell.\nZwei Männer sitzen auf einer Bank.\n",
    "multi30k/test_2016_flickr.fr.gz": "Un chien court vite ce matin.\nDeux hommes sont sur un banc.\n",
}


def test_multi30k_pairs_lines_and_averages_over_languages(data):
    benchmark = load("multi30k", data=data(MULTI30K))
    assert benchmark.missing == ("en-de-2017", "en-fr-2017")
    assert [(item.id, item.references) for item in benchmark.items] == [
        ("en-de/0", ("Ein Hund rennt heute schnell.",)),
        ("en-de/1", ("Zwei Männer sitzen auf einer Bank.",)),
        ("en-fr/0", ("Un chien court vite ce matin.",)),
        ("en-fr/1", ("Deux hommes sont sur un banc.",)),
    ]
    assert benchmark.items[3].full_prompt == (
        "Translate this sentence into French. Write the translation only.\n\nTwo men sit on a bench."
    )
    right = [item.references[0] for item in benchmark.items]
    result = benchmark.score(answered(benchmark, [*right[:2], "no", "word"]))
    assert result.parts["en-de"]["bleu"].score.value == pytest.approx(100)
    assert result.parts["en-fr"]["bleu"].score.value == 0
    assert result.parts["en-fr"]["chrf"].score.value < 20
    assert result.scores["task_score"].score.value == pytest.approx(0.5)
    assert result.groups["2016"]["task_score"].score.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("way", "prompt"),
    [
        ("t5", "translate English to German: A dog runs fast today."),
        ("text", "English: A dog runs fast today.\nGerman:"),
    ],
)
def test_multi30k_in_other_ways(data, way, prompt):
    item = load(f"multi30k:{way}", data=data(MULTI30K)).items[0]
    assert (item.full_prompt, item.form) == (prompt, "text")


def test_parallel_files_of_different_lengths_are_refused(data):
    short = {"multi30k/test_2016_flickr.de.gz": "Ein Hund rennt heute schnell.\n"}
    with pytest.raises(InputError, match="the files have different numbers of lines"):
        load("multi30k", data=data({**MULTI30K, **short}))


def test_parallel_files_need_a_column_each(tmp_path):
    spec = (
        "version: 1\nname: pairs\ntitle: pairs\nkind: generate\nmax_new_tokens: 9\nprompt: '{{ a }}'\nanswer: '{{ b }}'\n"
        "metrics: [bleu]\nparts:\n  pairs:\n    sources: [{path: [x.a, x.b], read: parallel, columns: [a]}]\n"
    )
    (tmp_path / "spec.yaml").write_text(spec, "utf-8")
    with pytest.raises((InputError, InputErrors), match="2 files and 1 columns"):
        load(str(tmp_path))


def test_mistakes_of_sources_are_named_those_of_test_rows_too(tmp_path):
    spec = """\
version: 1
name: verdicts
title: verdicts
prompt: "{{ a }}"
choices: ["yes", "no"]
answer: "{{ b }}"
parts:
  plain:
    sources:
      - {}
      - {path: a.jsonl, first: 5, last: 4}
    submission: {file: a.tsv, sources: [{path: a.jsonl, hub: {name: owner/name}}]}
"""
    (tmp_path / "spec.yaml").write_text(spec, "utf-8")
    with pytest.raises(InputErrors) as error:
        describe(str(tmp_path))
    place = "parts.plain"
    assert [(mistake.where.partition(": ")[2], mistake.problem) for mistake in error.value.errors] == [
        (f"{place}.sources.0", "a source has a path or a dataset on the hub"),
        (f"{place}.sources.1", "last is before first"),
        (f"{place}.submission.sources.0", "a source has a path or a dataset on the hub"),
    ]


def test_unknown_layouts_of_rows_are_refused_before_rows_are_read(tmp_path):
    spec = """\
version: 1
name: verdicts
title: verdicts
prompt: "{{ a }}"
choices: ["yes", "no"]
answer: "{{ b }}"
shots: {path: a.jsonl, layout: hellasvag}
parts: {plain: {sources: [{path: a.jsonl, layout: multirk}]}}
"""
    (tmp_path / "spec.yaml").write_text(spec, "utf-8")
    with pytest.raises(InputErrors) as error:
        describe(str(tmp_path))
    assert {mistake.found for mistake in error.value.errors} == {"hellasvag", "multirk"}
    assert {mistake.problem for mistake in error.value.errors} == {"there is no such layout of rows"}


@pytest.mark.parametrize("name", ["wnut17/emerging.test.annotated", "ner/wnut17/emerging.dev.conll"])
def test_wnut17_reads_entities_and_scores_them_as_a_taggers(data, name):
    benchmark = load("wnut17", data=data({name: CONLL}))
    assert bool(benchmark.substitutes) == name.endswith("dev.conll")
    first, second = benchmark.items
    assert first.references == ("person: Ann\nlocation: New York",)
    assert first.fields == {"tokens": ["Ann", "saw", "New", "York", "."]}
    assert second.references == ("none",)
    assert first.full_prompt.endswith("person and product.\n\nAnn saw New York .")
    scores = benchmark.score(answered(benchmark, ["person: Ann\nperson: New York", "none"])).scores
    assert scores["entity_f1:form=text"].score.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("dialogsum", {"dialogsum": 500}),
        ("multi30k", {"en-de": 1000, "en-fr": 1000, "en-de-2017": 1000, "en-fr-2017": 1000}),
        ("wnut17", {"wnut17": 1009}),
    ],
)
def test_every_published_row_is_an_item_whose_references_are_right(name, sizes):
    folder = Path(os.environ.get("TUTELAGE_DATA", ""))
    if not os.environ.get("TUTELAGE_DATA") or not (folder / "dialogsum").is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with dialogsum")
    benchmark = load(name, data=folder)
    assert benchmark.sizes == sizes
    result = benchmark.score(answered(benchmark, [item.references[0] for item in benchmark.items]))
    assert result.scores[result.primary].score.value == pytest.approx(1)
