"""A task that names a kind of the library: what may stand in it, what is prepared, and how its tests are asked."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tutelage.config import from_mapping, load, resolved
from tutelage.core.errors import InputError, InputErrors
from tutelage.prepare.reader import read_rows
from tutelage.templates import subprocess_renderer

KIND = {
    "template": "sentiment",
    "fields": {"text": "review", "label": "stars"},
    "labels": ["negative", "positive"],
}


@pytest.fixture
def job(tmp_path):
    rows = [
        {"review": f"Visit {n} was {'good' if n % 2 else 'bad'} in many ways.", "stars": n % 2}
        for n in range(80)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def made(**task):
        told = {"data": {"path": "rows.jsonl"}, "metrics": ["accuracy"], "split": {"test": 20}, **task}
        return from_mapping({"tasks": [told]}, root=tmp_path)

    return made


def refused(job, **task):
    with pytest.raises(InputError) as caught:
        job(**task)
    errors = caught.value.errors if isinstance(caught.value, InputErrors) else [caught.value]
    assert all(error.fix for error in errors)
    return errors[0]


def test_rows_are_prepared_in_the_kinds_words(job):
    rows = read_rows(job(**KIND, inverted=0.5), None).tasks[0]
    assert {row.completion for row in rows.test} == {"negative", "positive"}
    assert all(row.choices == ("negative", "positive") for row in rows.test)
    assert all(row.template.startswith("sentiment/") for row in rows.train)
    card = rows.card
    assert card["template"] == "sentiment"
    assert card["wordings"]["test"] == dict(sorted(Counter(row.template for row in rows.test).items()))
    turned = {"sentiment/write-a-text", "sentiment/sample-wanted", "sentiment/speak-as-customer"}
    assert turned & set(card["wordings"]["train"])
    assert not turned & {*card["wordings"]["test"], *card["wordings"]["validation"]}
    assert card["fields"] == {"text": "review", "label": "stars"}


def test_own_words_are_rendered_apart_and_the_card_says_so(job):
    task = read_rows(job(prompt="How was it? {{ review | trim }}", completion="{{ stars }}"), None).tasks[0]
    assert task.card["template"] == "own"
    assert task.card["rendered"].startswith("in a process of its own")
    assert "wordings" not in task.card
    assert subprocess_renderer.shared_renderer._process is None


def test_a_seed_changes_the_wordings_and_the_identity(job):
    one, other = (read_rows(job(**KIND, wording_seed=seed), None) for seed in (0, 1))
    assert one.identity != other.identity
    assert one.identity == read_rows(job(**KIND), None).identity


def test_an_own_file_is_looked_for_beside_the_recipe(job, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "kind: mine\ntitle: Mine\nfields:\n  review: {about: it}\n  stars: {about: so}\nanswer: stars\n"
        "wordings:\n  one: {prompt: 'Stars for: {{ review }}'}\n",
        encoding="utf-8",
    )
    task = read_rows(job(template="./mine.yaml"), None).tasks[0]
    assert task.test[0].template == "mine/one"
    assert task.card["rendered"].startswith("in a process of its own")
    with pytest.raises(InputError, match=r"other\.yaml"):
        read_rows(job(template="./other.yaml"), None)


@pytest.mark.parametrize(
    ("task", "problem", "fix"),
    [
        ({"template": "sentimnt"}, "there is no such template", "did you mean sentiment?"),
        ({"template": "sentiment/one-wrd"}, "no such wording", "sentiment/one-word"),
        ({"template": "text-label", "labels": ["a", "b"]}, "labels goes with a kind", "remove labels"),
        ({"prompt": "{{ a }}", "completion": "{{ b }}", "inverted": 0.5}, "inverted goes with a kind", "remove inverted"),
        ({"options": "none"}, "options goes with a kind", "name one as template"),
        ({"template": "text-label", "answer": "choose"}, "needs a template with answer choices", "name one as template"),
        ({"template": "sentiment", "labels": ["a"]}, "not labels", "labels: [negative, positive]"),
        ({"template": "sentiment", "labels": ["a", "a"]}, "not labels", "labels:"),
        ({"template": "sentiment", "labels": {"0": ["x"], "1": "b"}}, "not labels", "labels:"),
        ({"template": "sentiment", "fields": {"text": 3}}, "not a map of the template's fields", "fields:"),
        ({"template": "sentiment", "fields": {"text": {"column": "x"}}}, "not a map of the template's fields", "fields:"),
        ({"template": "sentiment", "fields": []}, "not a map of the template's fields", "fields:"),
        ({"template": "sentiment", "options": "lsted"}, "not one of the choices", "did you mean listed?"),
        ({"template": "sentiment", "inverted": 1.5}, "out of range", "training rows"),
        ({"template": "sentiment", "prompt": "{{ a }}"}, "a task has prompt and completion, or a template", "remove template"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_before_any_row_is_read(job, task, problem, fix):
    error = refused(job, **task)
    assert problem in error.problem
    assert fix in error.fix


def test_labels_may_be_numbers_and_truths(job):
    assert job(**{**KIND, "labels": {"0": 1, "1": True}}).tasks[0].labels == {"0": "1", "1": "true"}


def test_a_resolved_recipe_loads_as_the_same(job, tmp_path):
    recipe = job(**KIND, options="mixed", inverted=0.25, answer="choose")
    again = from_mapping(resolved(recipe), root=tmp_path)
    assert resolved(again) == resolved(recipe)
    assert again.tasks == recipe.tasks
    own = job(prompt="{{ review }}", completion="{{ stars }}")
    assert from_mapping(resolved(own), root=tmp_path).tasks == own.tasks


def test_a_recipe_file_says_labels_as_yaml_reads_them(tmp_path):
    text = "tasks:\n  - data: {path: x.jsonl}\n    template: paraphrase\n    labels: {0: no, 1: yes}\n"
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "r.yaml").tasks[0].labels == {"0": "no", "1": "yes"}


def test_choosing_needs_choices(job):
    task = {"template": "summarisation", "fields": {"text": "review", "summary": "stars"}, "answer": "choose"}
    with pytest.raises(InputError) as caught:
        read_rows(job(**task), None)
    assert caught.value.where == "tasks.0.answer"
    assert "no answers to choose from" in caught.value.problem
    with pytest.raises(InputError, match="no answers to choose from"):
        read_rows(job(template="arithmetic/rationale", answer="choose"), None)
