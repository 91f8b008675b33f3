"""Benchmarks over data sets as they lie: columns, parts, shots, ways, filters; mistakes with file and line, all at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tutelage.benchmarks import Limit, describe, load, ways
from tutelage.core.errors import InputError

SPEC = """\
version: 1
name: opening-hours
title: Does it know when we open?
citation: "Our shop, 2026"
licence: CC0-1.0
data: {path: hours.jsonl, part: department}
form: text
before: "Questions about the {{ title }}.\\n\\n"
prompt: "Q: When does the {{ shop }} open?\\nA:"
join: " "
choices: options
labels: index
answer: "{{ right }}"
shots: {path: examples.jsonl, count: 2}
metrics: [accuracy, "choice_accuracy:by=bytes"]
aggregate: macro
parts:
  tools: {title: workshop, group: loud}
  books: {group: quiet}
  maps: {group: quiet}
"""
ROWS = [
    {"department": "tools", "shop": "forge", "options": ["at 7", "at 8"], "right": 0},
    {"department": "books", "shop": "library", "options": ["at 9", "at 10", "never"], "right": 1},
    {"department": "tools", "shop": "sawmill", "options": ["at 5", "at 6"], "right": 1},
]
EXAMPLES = [
    {"department": "tools", "shop": f"example {n}", "options": ["at 1", "at 2"], "right": n % 2}
    for n in range(3)
]


@pytest.fixture
def bench(tmp_path):
    """Write a benchmark's files: a spec as text or changes to SPEC's values, and rows; its path."""

    def make(spec=None, rows=ROWS, examples=EXAMPLES, *, folder="bench", files=None):
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        text = (
            spec
            if isinstance(spec, str)
            else yaml.safe_dump({**yaml.safe_load(SPEC), **(spec or {})}, sort_keys=False)
        )
        (place / "spec.yaml").write_text(text, "utf-8")
        told = {"hours.jsonl": rows, "examples.jsonl": examples, **(files or {})}
        for name, content in told.items():
            if content is not None:
                path = place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                lines = (
                    content if isinstance(content, str) else "".join(json.dumps(r) + "\n" for r in content)
                )
                path.write_text(lines, "utf-8")
        return str(place)

    return make


def refused(do):
    """All mistakes of a refusal, as (where without its folder, problem)."""
    with pytest.raises(InputError) as caught:
        do()
    errors = getattr(caught.value, "errors", (caught.value,))
    return [(str(one.where).rpartition("/")[2], one.problem) for one in errors]


def test_about_twenty_lines_make_a_benchmark(bench):
    assert len(SPEC.splitlines()) <= 21
    found = load(bench(SPEC))
    assert [item.id for item in found.items] == ["tools/0", "tools/1", "books/0"]
    first = found.items[0]
    assert first.full_prompt == (
        "Questions about the workshop.\n\nQ: When does the example 0 open?\nA: at 1\n\n"
        "Q: When does the example 1 open?\nA: at 2\n\nQ: When does the forge open?\nA:"
    )
    request = found.requests()[0]
    assert (request.form, request.choices) == ("text", (" at 7", " at 8"))
    assert (first.choices, first.references) == (("at 7", "at 8"), ("at 7",))
    assert found.missing == ("maps",)
    assert found.sizes == {"tools": 2, "books": 1}
    assert describe(bench(SPEC)).citation == "Our shop, 2026"


def test_it_is_scored_by_part_group_and_average_each_metric_by_its_own_length(bench, chose):
    found = load(bench(SPEC))
    # books/0: sums prefer "at 9" (-2.0), per byte "at 10" is likelier: -2.2 / 5 against -2.0 / 4.
    said = {
        "tools/0": chose("tools/0", -1.0, -2.0),
        "tools/1": chose("tools/1", -1.0, -2.0),
        "books/0": chose("books/0", -2.0, -2.2, -9.0),
    }
    scores = found.score(said)
    assert (scores.primary, scores.headline) == ("accuracy", "macro")
    values = {name: {m: s.score.value for m, s in one.items()} for name, one in scores.groups.items()}
    assert values["loud"] == {"accuracy": 0.5, "choice_accuracy:by=bytes": 0.5}
    assert values["quiet"] == {"accuracy": 0.0, "choice_accuracy:by=bytes": 1.0}
    assert values["macro"] == {"accuracy": 0.25, "choice_accuracy:by=bytes": 0.75}
    assert scores.scores["accuracy"].score.value == pytest.approx(1 / 3)


def test_shots_can_be_fewer_none_or_turns_of_a_conversation(bench):
    place = bench(SPEC)
    assert load(place, shots=0).items[0].full_prompt.count("Q:") == 1
    assert load(place, shots=3).items[0].full_prompt.count("Q:") == 4
    assert refused(lambda: load(place, shots=4)) == [
        ("examples.jsonl", "there are too few exemplars") for _ in ("tools", "books")
    ]
    turned = load(
        bench(
            {"form": "chat", "shots": {"path": "examples.jsonl", "count": 2, "turns": True}}, folder="turns"
        )
    )
    request = turned.requests()[0]
    assert request.prompt == "Q: When does the forge open?\nA:"
    assert request.history == (
        ("user", "Questions about the workshop.\n\nQ: When does the example 0 open?\nA:"),
        ("assistant", "at 1"),
        ("user", "Q: When does the example 1 open?\nA:"),
        ("assistant", "at 2"),
    )
    assert request.choices == ("at 7", "at 8")
    assert turned.items[0].exemplar_count == 2


def test_parts_may_have_a_file_each_and_what_is_not_here_is_named(bench):
    spec = {"data": {"path": "rows/{{ part }}.jsonl"}}
    rows = [{key: value for key, value in row.items() if key != "department"} for row in ROWS]
    place = bench(spec, files={"rows/tools.jsonl": rows[:1], "rows/maps.jsonl": rows[1:]})
    found = load(place)
    assert (found.parts, found.missing) == (("tools", "maps"), ("books",))
    assert load(place, parts=["maps"]).sizes == {"maps": 2}
    assert refused(lambda: load(place, parts=["books"])) == [
        ("--data", "the data of opening-hours is not here")
    ]
    assert refused(lambda: load(place, parts=["map"])) == [("parts", "opening-hours has no such part")]


def test_the_data_folder_is_looked_in_too(bench, tmp_path):
    place = bench(SPEC, rows=None, examples=None)
    assert refused(lambda: load(place)) == [("--data", "the data of opening-hours is not here")]
    (tmp_path / "data").mkdir()
    for name, rows in (("hours.jsonl", ROWS), ("examples.jsonl", EXAMPLES)):
        (tmp_path / "data" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(load(place, data=tmp_path / "data").items) == 3


def test_ways_ask_the_same_rows_otherwise(bench):
    spec = {
        "ways": {
            "letters": {
                "title": "By letter",
                "choices": ["A", "B"],
                "prompt": "{{ shop }}? A. {{ options[0] }} B. {{ options[1] }}",
            },
            "said": {
                "title": "Said freely",
                "kind": "generate",
                "max_new_tokens": 4,
                "metrics": ["exact_match"],
            },
        },
        "default": "said",
    }
    place = bench(spec)
    assert ways(f"{place}:all") == [f"{place}:letters", f"{place}:said"]
    assert load(place).name == "opening-hours:said"
    letters = load(f"{place}:letters")
    assert letters.items[0].choices == ("A", "B")
    assert {one.id for one in load(f"{place}:letters", limit=1).items} == {
        one.id for one in load(place, limit=1).items
    }
    assert letters.fingerprint != load(place).fingerprint
    # The label is what is said; two choices that say the same are both right.
    assert load(place).items[0].references == ("0",)
    assert refused(lambda: load(f"{place}:leters")) == [("None", "opening-hours has no such way or filter")]
    with pytest.raises(InputError, match="one way is asked at a time"):
        load(f"{place}:letters:said")


def test_a_filter_keeps_what_its_annotations_say_and_tells_what_they_miss(bench):
    spec = {
        "filters": {
            "checked": {
                "title": "Looked at",
                "path": "notes/{{ part }}.csv",
                "match": {"question": "shop", "answers": ["options"]},
                "keep": {"verdict": ["fine"]},
            }
        }
    }
    notes = {
        "notes/tools.csv": "question;answers;verdict\nforge;['at 7', 'at 8'];Fine \nsaw  mill;['at 5', 'at 6'];fine\n",
        "notes/books.csv": "question,answers,verdict\nlibrary,\"['at 9', 'at 10', 'never']\",wrong\n",
    }
    place = bench(spec, files=notes)
    found = load(f"{place}:checked")
    assert [item.id for item in found.items] == ["tools/0"]
    assert found.name == "opening-hours:checked"
    assert found.notes == ("tools: 1 of 2 annotations belong to no row",)
    assert set(found.missing) == {"books", "maps"}


def test_a_file_of_examples_as_text_is_split_and_changed(bench):
    spec = {
        "shots": {
            "text": "worked/{{ part }}.txt",
            "after": "---",
            "split": "\n\n(?=Q: )",
            "replace": [{"pattern": " because.*", "by": ""}],
        },
        "before": "",
    }
    text = "a canary\n---\nDo this.\n\nQ: one\nA: yes because\n\nQ: two\nA: no because it is"
    place = bench(spec, files={f"worked/{part}.txt": text for part in ("tools", "books")})
    first = load(place).items[0]
    assert (
        first.full_prompt == "Do this.\n\nQ: one\nA: yes\n\nQ: two\nA: no\n\nQ: When does the forge open?\nA:"
    )
    assert load(place, shots=1).items[0].full_prompt.count("Q: ") == 2
    assert refused(lambda: load(bench(spec, folder="none"))) == [
        ("shots", f"the exemplars of {part} are not here") for part in ("tools", "books")
    ]


MISTAKES = {
    "a field that is not there": (
        SPEC.replace("prompt:", "promt:"),
        [("spec.yaml:9: promt", "there is no field promt")],
    ),
    "a wrong value deep inside": (
        SPEC.replace("count: 2", "count: two"),
        [("spec.yaml:14: shots.count", "not a whole number")],
    ),
    "several": (
        SPEC.replace("{{ shop }}", "{{ shop")
        .replace("accuracy, ", "acuracy, ")
        .replace("labels: index", "stop: [x]"),
        [
            (
                "spec.yaml:9: prompt",
                "the template is not valid Jinja: expected token 'end of print statement', got 'open'",
            ),
            ("spec.yaml:12: stop", "stop has no meaning for kind: choose"),
            ("spec.yaml:15: metrics", "there is no such metric"),
        ],
    ),
    "columns in what is said once": (
        SPEC.replace("about the {{ title }}", "about {{ shop }}"),
        [("spec.yaml:8: before", "before is the same for all rows, so it cannot use their columns")],
    ),
    "a generation of no tokens": (
        SPEC.replace("join:", "kind: generate\njoin:").replace(', "choice_accuracy:by=bytes"', ""),
        [("spec.yaml: max_new_tokens", "an answer must be allowed some tokens")],
    ),
    "a metric of choices for a generation": (
        SPEC.replace("join:", "kind: generate\nmax_new_tokens: 3\njoin:"),
        [("spec.yaml:17: metrics", "the metric reads choices and logprobs, which these answers do not have")],
    ),
    "parts that nothing tells apart": (
        SPEC.replace(", part: department", ""),
        [("spec.yaml:6: data", "nothing says which part a row belongs to")],
    ),
    "a part called like an average": (
        SPEC.replace("maps:", "macro:"),
        [("spec.yaml:20: parts.macro", "a part has the name of a group or an aggregate")],
    ),
    "a broken pattern": (
        SPEC.replace("{path: examples.jsonl, count: 2}", "{text: t.txt, split: '('}"),
        [("spec.yaml:14: shots", "the pattern is no regular expression")],
    ),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_of_a_spec_are_told_by_line(bench, text, told):
    found = refused(lambda: load(bench(text)))
    assert [(where.replace("spec.yaml:1: ", "spec.yaml: "), problem) for where, problem in found] == told


def test_mistakes_of_rows_are_told_by_line_all_at_once(bench):
    rows = [
        {**ROWS[0], "right": 2},
        {**ROWS[1], "options": "never"},
        {key: value for key, value in ROWS[2].items() if key != "shop"},
    ]
    assert refused(lambda: load(bench(SPEC, rows))) == [
        ("hours.jsonl:1", "the answer is none of the choices"),
        ("hours.jsonl:3", "the prompt uses shop, which the row does not have"),
        ("hours.jsonl:2", "the column options holds no choices"),
    ]
    assert refused(lambda: load(bench(SPEC, [{**ROWS[0], "department": "toys"}]))) == [
        ("hours.jsonl:1", "there is no such part")
    ]


def test_a_sample_is_the_same_in_every_way_and_first_is_the_files_order(bench):
    rows = [{**ROWS[0], "shop": f"shop {n}"} for n in range(50)]
    place = bench(SPEC, rows)
    sample = [item.prompt for item in load(place, limit=10).items]
    assert len(sample) == 10
    assert sample == [item.prompt for item in load(bench(SPEC, rows, folder="again"), limit=10).items]
    assert set(sample) == {
        item.prompt for item in load(bench(SPEC, rows[::-1], folder="turned"), limit=10).items
    }
    assert set(sample) < {item.prompt for item in load(place, limit=20).items}
    assert [item.id for item in load(place, limit=Limit(3, first=True)).items] == [
        "tools/0",
        "tools/1",
        "tools/2",
    ]


def test_a_filter_that_keeps_nothing_is_told(bench):
    spec = {
        "filters": {
            "none": {"title": "None", "path": "notes.csv", "match": {"q": "shop"}, "keep": {"v": ["fine"]}}
        }
    }
    place = bench(spec, files={"notes.csv": "q,v\nforge,wrong\n"})
    assert refused(lambda: load(f"{place}:none")) == [("opening-hours", "the filter none keeps nothing")]


def test_a_spec_from_elsewhere_cannot_take_the_machine(bench, monkeypatch):
    from tutelage.templates import subprocess_renderer

    monkeypatch.setattr(
        subprocess_renderer,
        "shared_renderer",
        subprocess_renderer.SubprocessRenderer(
            subprocess_renderer.RenderLimits(cpu_seconds=1, wall_seconds=4.0)
        ),
    )
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{ shop }}"
    found = refused(lambda: load(bench({"prompt": endless, "shots": None})))
    assert found[0][0] == "hours.jsonl:1"
    assert len(found) <= 2  # the row that takes too much is the last of its part
    subprocess_renderer.shared_renderer.close()


def test_examples_that_are_no_text_are_told_by_line(bench):
    spec = {"shots": {"text": "worked.txt"}}
    place = bench(spec)
    Path(place, "worked.txt").write_bytes(b"Q: one\nA: caf\xe9\n")
    assert refused(lambda: load(place))[0] == ("worked.txt:2", "the file of exemplars is not UTF-8")
