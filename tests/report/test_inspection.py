"""The inspection as a page: all that was found stands in it, and no text of data becomes anything else than text."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from tutelage.report import inspection_page
from tutelage.report.inspection import (
    Finding,
    InspectedRow,
    InspectedTask,
    Inspection,
    Token,
    TruncatedText,
    share,
    token_runs,
    visible,
)
from tutelage.report.inspection_page import render_inspection

from .payloads import PAYLOADS
from .test_explanation_page import Parsed

LENGTHS = {
    "rows": 4,
    "tokens": 120,
    "loss_tokens": 30,
    "truncated": 1,
    "dropped_tokens": 7,
    "prompt": {"min": 10, "median": 12, "p95": 19, "max": 19},
    "completion": {"min": 2, "median": 3, "p95": 9, "max": 9},
    "histograms": {
        "prompt": {"start": 10, "width": 1, "bars": [2, 0, 1, 0, 0, 0, 0, 0, 0, 1]},
        "completion": {"start": 2, "width": 1, "bars": [4]},
    },
}


def made(say=str, **changes) -> Inspection:
    """An inspection in which every text of data, recipe or model goes through `say`."""
    tokens = (
        Token("<|im_start|>", learned=False, special=True),
        Token(say("user\n"), learned=False),
        Token(say(" Why"), learned=False),
        Token(say("So"), learned=True),
        Token("<0xF0>", learned=True),
        Token("<|im_end|>", learned=True, special=True),
    )
    origin = say("rows.jsonl:3")
    row = InspectedRow(
        id=say("rows.jsonl:3"),
        origin=origin,
        task=say("why"),
        split="train",
        prompt=say("Why?"),
        completion=say("So."),
        text=say("all of it"),
        tokens=tokens,
        cut=TruncatedText(say("question"), 7, say(" and much more"), "end"),
        notes=(say("says the same as rows.jsonl:1"),),
    )
    finding = Finding(
        kind="no-turn-end",
        level="warning",
        problem="The end of the turn is not learned",
        where=f"tasks.{say('why')}",
        found=say("4 of 4 rows"),
        expected="an end",
        why="it never stops",
        fix=say("name another template"),
        rows=(say("rows.jsonl:3"),),
    )
    task = InspectedTask(
        name=say("why"),
        source={"kind": "path", "file": say("rows.jsonl"), "rows": 6},
        splits={"train": 4, "validation": 0, "test": 2},
        tokens={"train": LENGTHS, "validation": {**LENGTHS, "rows": 0}, "test": {"rows": 2, "truncated": 1}},
        repeated={"train": 1, "validation": 0, "test": 0},
        near_duplicates={"train": 2},
        repeats=({"row": origin, "first": origin, "split": "train"},),
        leaks=(
            {"test": origin, "train": origin},
            {"test": origin, "train": origin, "similarity": 0.9},
        ),
        unused=3,
        template=say("own"),
        prompt=say("{{ question }}"),
        completion=say("{{ answer }}"),
        rows=(row,),
    )
    given = {
        "recipe": say("mine"),
        "model": say("tiny"),
        "chat_template": say("chatml"),
        "template_text": say("{{ messages }}"),
        "max_length": 128,
        "epochs": 2.5,
        "tasks": (task,),
        "findings": (finding,),
    }
    return Inspection(**{**given, **changes})


def test_one_file_that_needs_no_network_and_no_script():
    text = render_inspection(made())
    found = Parsed(text)
    assert not {"script", "iframe", "object", "embed", "form", "base", "img"} & set(found.tags)
    assert not [one for one in found.attributes if one[1].startswith("on")]
    assert {value for _, name, value in found.attributes if name in {"href", "src"}} == {"data:,"}
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in text
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_all_that_was_found_stands_on_it():
    found = Parsed(render_inspection(made()))
    text = "".join(text for _, text in found.texts)
    for told in (
        "One thing looks wrong",
        "The end of the turn is not learned",
        "4 of 4 rows",
        "it never stops",
        "name another template",
        "--row rows.jsonl:3",
        "120 tokens an epoch, 25 % of them learned",
        "train, 3 of 6 tokens learned",
        "Cut at the end of the field question",
        " and much more",
        "says the same as rows.jsonl:1",
        "rows.jsonl:3 nearly stands in training as rows.jsonl:3",
        "10 / 12 / 19 / 19",
        "{{ messages }}",
    ):
        assert told in text, told
    assert found.tags.count("svg") >= 2
    assert found.tags.count("rect") == 11


def test_learned_tokens_are_told_apart_without_colour():
    found = Parsed(render_inspection(made()))
    tokens = [(tag, text) for tag, text in found.texts if tag in {"b", "span"}]
    assert [text for tag, text in tokens if tag == "b"][-3:] == ["So", "<0xF0>", "<|im_end|>"]
    assert ("span", "user\u21b5") in tokens
    assert ("span", " Why") in tokens
    controls = [tag for tag, name, value in found.attributes if (name, value) == ("class", "ctl")]
    assert controls == ["span", "b"]
    style = files("tutelage.report").joinpath("templates/inspect.css").read_text("utf-8")
    assert ".toks > b { font-weight: 700;" in style


@pytest.fixture(scope="module")
def harmless():
    return Parsed(render_inspection(made()))


@pytest.mark.parametrize("hostile", PAYLOADS, ids=range(len(PAYLOADS)))
def test_hostile_texts_change_nothing_but_the_text(harmless, hostile):
    page = render_inspection(made(lambda text: f"{hostile}{text}"))
    page.encode("utf-8")
    attacked = Parsed(page)
    assert [tag for tag in attacked.tags if tag != "br"] == [tag for tag in harmless.tags if tag != "br"]
    assert {(tag, name) for tag, name, _ in attacked.attributes} == {
        (tag, name) for tag, name, _ in harmless.attributes
    }
    for name in ("class", "href", "style", "id", "content"):
        assert [v for _, n, v in attacked.attributes if n == name] == [
            v for _, n, v in harmless.attributes if n == name
        ]
    assert page.count("</style>") == 1
    assert not any(char in page for char in "\x00\x1b\u202e\ud800\ufffe")
    told = visible(f"{hostile}4 of 4 rows")
    assert any(told in text for _, text in attacked.texts)


def test_nothing_found_is_said_and_several_are_counted():
    assert "Nothing looks wrong" in render_inspection(made(findings=()))
    assert "What to look at first" not in render_inspection(made(findings=()))
    one = made().findings[0]
    assert "3 things look wrong" in render_inspection(made(findings=(one,) * 3))


def test_long_rows_and_lists_are_cut_and_say_so():
    many = tuple(Token(" x", learned=False) for _ in range(inspection_page.MAX_TOKENS + 5))
    base = made()
    row, task = base.tasks[0].rows[0], base.tasks[0]
    long = _with(row, tokens=many)
    pairs = tuple(task.repeats) * (inspection_page.MAX_PAIRS + 2)
    page = render_inspection(made(tasks=(_with(task, rows=(long,), repeats=pairs),)))
    assert "and 5 more tokens" in page
    assert "and 2 more" in page


def _with(one, **changes):
    from dataclasses import replace

    return replace(one, **changes)


def test_a_test_row_is_said_to_be_only_asked():
    task = made().tasks[0]
    asked = _with(task.rows[0], split="test", tokens=task.rows[0].tokens[:3])
    page = render_inspection(made(tasks=(_with(task, rows=(asked,)),)))
    assert "test, 3 tokens read, nothing learned" in page
    assert "compared with" in page


def test_runs_follow_the_mask_and_the_encoder():
    row = made().tasks[0].rows[0]
    assert [(kind, len(tokens)) for kind, tokens in token_runs(row)] == [("read", 3), ("learn", 3)]
    pair = _with(row, source=2)
    assert [(kind, len(tokens)) for kind, tokens in token_runs(pair)] == [
        ("source", 2),
        ("read", 1),
        ("learn", 3),
    ]
    holes = _with(row, tokens=(row.tokens[3], row.tokens[0], row.tokens[4]))
    assert [kind for kind, _ in token_runs(holes)] == ["learn", "read", "learn"]
    assert token_runs(_with(row, tokens=())) == []


def test_the_document_for_programs():
    found = made()
    told = json.loads(json.dumps(found.as_json()))
    assert told["schema"] == 1
    assert (told["rows_per_epoch"], told["tokens_per_epoch"], told["loss_tokens_per_epoch"]) == (4, 120, 30)
    (warning,) = told["warnings"]
    assert {"kind", "level", "what", "where", "found", "expected", "why", "fix", "rows"} == set(warning)
    task = told["tasks"]["why"]
    assert (task["loss_share"], task["unused"], task["repeated"]["train"]) == (0.25, 3, 1)
    (row,) = task["rows"]
    assert row["mask"] == [False, False, False, True, True, True]
    assert row["special"] == [True, False, False, False, False, True]
    assert row["tokens"][1] == "user\n"
    assert (row["dropped"], row["cut"]["field"], row["cut"]["side"]) == (7, "question", "end")
    assert made(findings=()).warnings == ()


def test_what_has_no_shape_has_a_name():
    assert visible("a\u202eb\x1b[2J\u200d\n\t c") == "a<U+202E>b<U+001B>[2J<U+200D>\n\t c"
    assert [share(part) for part in (0, 0.004, 0.05, 0.5, 1)] == ["0 %", "0.4 %", "5.0 %", "50 %", "100 %"]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_it_fits_any_screen_and_anyone_can_read_it(chromium, tmp_path, width, scheme):
    path = tmp_path / "page.html"
    path.write_text(render_inspection(made(lambda text: text + " " + "long" * 30)), "utf-8")
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (one["id"], node["html"][:200])
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
    context.close()
    assert serious == []
    assert complaints == []
