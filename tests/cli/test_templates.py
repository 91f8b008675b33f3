from __future__ import annotations

import json

import pytest

from tutelage.cli.main import main

REVIEWS = '{"review": "Great soup.", "stars": 1}\n{"review": "Cold soup.", "stars": 0}\n{"review": "Fine soup.", "stars": 1}\n'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "reviews.jsonl"
    path.write_text(REVIEWS, encoding="utf-8")
    return str(path)


def said(capsys, *words):
    assert main(["templates", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_list_names_kinds_fields_and_wordings(capsys):
    told = said(capsys, "list")
    assert len(told["templates"]) >= 16
    (one,) = [kind for kind in told["templates"] if kind["name"] == "sentiment"]
    assert one["labels"] == ["negative", "positive"]
    assert one["fields"]["text"] == {"about": "the text", "type": "text", "optional": False}
    assert len(one["wordings"]) >= 10
    assert {"name": "question-answer", "columns": ["question", "answer"]} in told["layouts"]
    assert main(["templates"]) == 0
    printed = capsys.readouterr().out
    assert "sentiment" in printed
    assert "(negative," in printed
    assert "question-answer" in printed


def test_show_gives_the_full_text_of_every_wording(capsys):
    told = said(capsys, "show", "sentiment")
    assert told["texts"]["short-note"]["prompt"].startswith("sentiment analysis{% if options %}")
    assert {text["group"] for text in told["texts"].values()} == {"wordings", "inverted"}
    assert main(["templates", "show", "sentiment/short-note"]) == 0
    printed = capsys.readouterr().out
    assert "sentiment/short-note (wordings, slashes)" in printed
    assert "input: {{ text }}" in printed
    assert "direct-question" not in printed


def test_a_layout_of_columns_can_be_shown(capsys):
    assert said(capsys, "show", "input-target")["completion"] == "{{ target }}"
    assert main(["templates", "show", "input-target"]) == 0
    assert "{{ target }}" in capsys.readouterr().out


def test_rows_are_put_into_words(capsys, file):
    words = ["render", "sentiment", file, "--fields", "text=review", "--fields", "label=stars"]
    words += ["--labels", "negative,positive"]
    told = said(capsys, *words, "--rows", "2")["rows"]
    assert [row["completion"] for row in told] == ["positive", "negative"]
    assert all("negative" in row["prompt"] for row in told)
    told = said(capsys, *words, "--options", "none")["rows"]
    assert len(told) == 3
    assert not any("negative" in row["prompt"] for row in told)
    told = said(capsys, *words, "--inverted")["rows"]
    assert [row["completion"] for row in told] == ["Great soup.", "Cold soup.", "Fine soup."]
    assert main(["templates", *words, "--rows", "1"]) == 0
    printed = capsys.readouterr().out
    assert "reviews.jsonl:1 sentiment/" in printed
    assert "1 of 3 rows" in printed


def test_labels_map_fields_join_and_texts_stand_for_columns(capsys, file, tmp_path):
    words = [
        "render",
        "sentiment/direct-question",
        file,
        "--fields",
        "text=review",
        "--fields",
        "label=stars",
    ]
    told = said(capsys, *words, "--labels", "0=bad, 1=good")["rows"]
    assert told[0]["choices"] == ["bad", "good"]
    path = tmp_path / "more.csv"
    path.write_text("text,translation,a,b,key,question\nJa.,Yes.,p,q,A,Which?\n", encoding="utf-8")
    told = said(
        capsys, "render", "translation/translate-into", str(path), "--fields", "target_language==English"
    )
    assert told["rows"][0]["prompt"] == "Translate into English:\n\nJa."
    words = [
        "render",
        "multiple-choice/listed-below",
        str(path),
        "--fields",
        "choices=a,b",
        "--fields",
        "answer=key",
    ]
    assert said(capsys, *words)["rows"][0]["choices"] == ["p", "q"]


def test_a_layout_of_columns_can_be_rendered(capsys, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"input": "a", "target": "b"}\n', encoding="utf-8")
    assert said(capsys, "render", "input-target", str(path))["rows"][0]["completion"] == "b"


def test_an_own_file_is_rendered_apart(capsys, tmp_path, file):
    own = tmp_path / "mine.yaml"
    own.write_text(
        "kind: mine\ntitle: Mine\nfields:\n  review: {about: it}\n  stars: {about: so}\nanswer: stars\n"
        "wordings:\n  one: {prompt: 'How many? {{ review }}'}\n",
        encoding="utf-8",
    )
    told = said(capsys, "render", str(own), file)["rows"]
    assert told[0]["prompt"] == "How many? Great soup."
    assert told[0]["completion"] == "1"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["show"], "needs a name"),
        (["render", "sentiment"], "needs a name and a data file"),
        (["show", "sentimental"], "did you mean sentiment?"),
        (["show", "sentiment/on-word"], "did you mean sentiment/one-word?"),
        (["render", "sentiment", "FILE"], "fields: {text: review, label: stars}"),
        (["render", "sentiment", "FILE", "--fields", "text"], "not a field and its column"),
        (["render", "sentiment", "FILE", "--fields", "text="], "not a field and its column"),
        (["render", "sentiment", "FILE", "--labels", "one"], "not labels"),
        (["render", "sentiment", "FILE", "--labels", "a,a"], "not labels"),
        (["render", "sentiment", "FILE", "--labels", "0=a,b"], "not labels"),
        (["render", "sentiment", "FILE", "--fields", "text=review", "--fields", "label=stars"], "labels: {0: negative"),
        (["render", "translation", "FILE", "--options", "none", "--fields", "text=review", "--fields",
          "translation=stars", "--fields", "target_language==Thai"], "no answer choices to list"),
    ],
)  # fmt: skip
def test_mistakes_say_what_to_write(capsys, file, words, problem):
    assert main(["templates", *[file if word == "FILE" else word for word in words]]) == 2
    assert problem in capsys.readouterr().err
