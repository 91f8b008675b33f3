"""Specs with `{input}`, `{choice}` and `{part}`: they mean what they meant, and the user is told to rewrite them."""

from __future__ import annotations

import json

import pytest

from tutelage.benchmarks import load
from tutelage.benchmarks.old_form import updated

NOTE = "is written {{{{ {0} }}}} now: the old form is read for one more release"


def old(text):
    return text.replace("{{ ", "{").replace(" }}", "}")


def test_an_old_spec_asks_the_same_and_says_how_to_write_it(write, spec):
    spec["parts"]["numbers"]["prompt"] = "What is {{ input }}"
    new = load(str(write(spec)))
    path = write(json.loads(old(json.dumps(spec))), folder="old")
    benchmark = load(str(path))
    assert benchmark.items == new.items
    assert benchmark.fingerprint == new.fingerprint
    assert new.notes == ()
    assert [note.rpartition("/")[2] for note in benchmark.notes] == [
        f"spec.yaml:11: parts.colours.answer: {{choice}} {NOTE.format('choice')}",
        f"spec.yaml:21: parts.numbers.prompt: {{input}} {NOTE.format('input')}",
    ]


def test_paths_of_parts_in_the_old_form_are_read(tmp_path):
    spec = {
        "version": 1,
        "name": "shop",
        "title": "A shop",
        "data": {"path": "rows/{part}.jsonl"},
        "parts": {"tools": {}},
        "prompt": "{{ question }} {part}",  # a prompt of such a spec has always been Jinja
        "choices": ["a", "b"],
        "answer": "{{ answer }}",
    }
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "tools.jsonl").write_text('{"question": "Which?", "answer": "a"}\n')
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    benchmark = load(str(tmp_path))
    assert [item.prompt for item in benchmark.items] == ["Which? {part}"]
    assert len(benchmark.notes) == 1
    assert f"data.path: {{part}} {NOTE.format('part')}" in benchmark.notes[0]


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("{input}", "{{ input }}"),
        ("a {input} b", "a {{ input }} b"),
        ("{{ input }}", "{{ input }}"),
        ("{{input}}", "{{input}}"),
        ("{choice}", "{choice}"),
        ("nothing", "nothing"),
        ("{% x %} {{y}} {# z #} {input}", "{{ '{%' }} x %} {{ '{{' }}y}} {{ '{#' }} z #} {{ input }}"),
    ],
)
def test_only_old_placeholders_are_rewritten(text, template):
    spec, notes = updated({"parts": {"a": {"prompt": text, "title": text}}}, ".".join)
    assert spec == {"parts": {"a": {"prompt": template, "title": text}}}
    assert [note.split(":")[0] for note in notes] == (["parts.a.prompt"] if template != text else [])


def test_braces_around_an_old_placeholder_stay_text(write, spec):
    spec["parts"]["numbers"]["prompt"] = "{% if x %} {{y}} {# z #} {input}"
    item = load(str(write(spec))).items[1]
    assert item.prompt == "{% if x %} {{y}} {# z #} 2 + 2?"
