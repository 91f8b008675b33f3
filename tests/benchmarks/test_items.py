from __future__ import annotations

import json

import pytest

from tutelage.benchmarks import load
from tutelage.benchmarks.item_file import read_items
from tutelage.benchmarks.library import read_spec
from tutelage.benchmarks.spec import Spec
from tutelage.core.errors import InputError, InputErrors
from tutelage.templates import subprocess_renderer

GOOD = {
    "choose": {
        "id": "1",
        "part": "colours",
        "input": "Grass?",
        "choices": ["red", "green"],
        "answer": "green",
    },
    "generate": {"id": "1", "part": "numbers", "input": "2 + 2?", "references": ["4"]},
}


@pytest.fixture
def items(tmp_path, spec, write):
    """Read rows against the small spec, or one of it that was changed."""

    def read(rows, changed=None):
        place = write(changed or spec, rows)
        checked, _ = read_spec(place / "spec.yaml")
        return read_items({"my/items.jsonl": place / "items.jsonl"}, checked, foreign=True)

    return read


@pytest.fixture
def refusal(items, rows):
    """What is said against one more row, which stands on line 7 behind good ones and a blank line."""

    def read(row):
        text = "".join(json.dumps(one) + "\n" for one in rows)
        line = row if isinstance(row, str) else json.dumps(row)
        with pytest.raises(InputError) as caught:
            items(text + "\n" + line + "\n")
        return caught.value

    return read


def changed(kind, **fields):
    row = {**GOOD[kind], "id": "new", **fields}
    return {name: value for name, value in row.items() if value is not ...}


def test_items_are_read_as_they_stand_and_in_their_order(items, rows):
    found = items(rows)
    assert [item.id for item in found] == ["c1", "n1", "c2", "n2", "n3"]
    first, second = found[:2]
    assert (first.prompt, first.choices, first.references) == (
        "Grass?",
        ("It is red.", "It is green."),
        ("It is green.",),
    )
    assert (first.extraction, first.pattern, first.accepts) == ("", "", None)
    assert (second.choices, second.references, second.extraction) == ((), ("4", "4.0"), "last-number")
    assert found[3].accepts.matches("8")


def test_prefix_and_prompt_stand_around_the_input_which_is_never_read_as_a_form(items, spec):
    part = spec["parts"]["colours"]
    part.update(prefix="Q: {input}\n", prompt="Q: {{ input }}\nA:", answer="{{ choice }}!")
    row = changed("choose", input="{choice} {input}?", choices=["{input}", "b"], answer="{input}")
    (item,) = items([row, GOOD["generate"]], spec)[:1]
    assert item.prompt == "Q: {input}\nQ: {choice} {input}?\nA:"
    assert item.choices == ("{input}!", "b!")
    assert item.references == ("{input}!",)


def test_a_parts_own_choices_are_every_items(items, spec):
    spec["parts"]["colours"]["choices"] = ["red", "green"]
    found = items([changed("choose", choices=...), GOOD["generate"]], spec)
    assert found[0].choices == ("It is red.", "It is green.")


def test_what_is_only_for_people_is_kept(items):
    found = items([changed("choose", topic="plants", difficulty="easy"), GOOD["generate"]])
    assert (found[0].topic, found[0].difficulty) == ("plants", "easy")


def test_a_request_has_what_its_kind_needs_and_no_more(items, spec, rows):
    parts = Spec.model_validate_json(json.dumps(spec)).parts
    choose, generate = (item.request(parts[item.part]) for item in items(rows)[:2])
    assert (choose.id, choose.kind, choose.prompt) == ("c1", "choose", "Grass?")
    assert (choose.choices, choose.max_new_tokens, choose.stop) == (("It is red.", "It is green."), 0, ())
    assert (generate.id, generate.kind, generate.prompt) == ("n1", "generate", "2 + 2?")
    assert (generate.choices, generate.max_new_tokens, generate.stop) == ((), 8, ("\n",))


@pytest.mark.parametrize(
    ("row", "where", "problem", "says"),
    [
        (changed("choose", id=...), "id", "the field id is missing", "write  id:  and its value"),
        (changed("choose", part=...), "part", "the field part is missing", "write  part:"),
        (changed("choose", input=...), "input", "the field input is missing", "write  input:"),
        (changed("choose", anwser="x"), "anwser", "there is no field anwser", "did you mean answer?"),
        (changed("choose", zzz="x"), "zzz", "there is no field zzz", "remove it"),
        (changed("choose", id=5), "id", "not text", 'put it in quotes: "5"'),
        (changed("choose", id=" "), "id", "nothing is there", '" "'),
        (changed("choose", part=None), "part", "not text", "null"),
        (changed("choose", input=["x"]), "input", "not text", "a list"),
        (changed("choose", input=""), "input", "nothing is there", '""'),
        (changed("choose", topic=True), "topic", "not text", "true"),
        (changed("choose", difficulty={}), "difficulty", "not text", "{}"),
        (changed("choose", choices="red"), "choices", "not a list", "write [red]"),
        (changed("choose", choices=[]), "choices", "two or more different texts", "none"),
        (changed("choose", choices=["red", 2]), "choices.1", "not text", "2"),
        (changed("choose", choices=["red", " "]), "choices.1", "nothing is there", '" "'),
        (changed("choose", part="colour"), "part", "there is no such part", "did you mean colours?"),
        (changed("choose", part="zzz"), "part", "there is no such part", "take one of these, or add"),
        (changed("choose", choices=...), "choices", "two or more different texts", "none"),
        (changed("choose", choices=["green"]), "choices", "two or more different texts", '"green"'),
        (changed("choose", choices=["green", "green"]), "choices", "two or more different", '"green"'),
        (changed("choose", answer="blue"), "answer", "the answer is not among the choices", '"blue"'),
        (changed("choose", answer="Green"), "answer", "the answer is not among the choices", '"Green"'),
        (changed("choose", answer=...), "answer", "the answer is not among the choices", "no such field"),
        (changed("choose", references=["a"]), "references", "no meaning in a part of kind: choose", "remove"),
        (changed("choose", pattern="a"), "pattern", "no meaning in a part of kind: choose", "remove"),
        (changed("generate", choices=["1", "2"]), "choices", "no meaning in a part of kind: generate", "rem"),
        (changed("generate", answer="4"), "answer", "no meaning in a part of kind: generate", "remove"),
        (changed("generate", references=...), "references", "the field references is missing", "a list of right answers"),
        (changed("generate", references=[]), "references", "the field references is missing", "a list of right"),
        (changed("generate", references=["four"]), "references", "itself be wrong", "the rule last-number finds"),
        (changed("generate", references=["4", "x"]), "references", "itself be wrong", '"x"'),
        (changed("generate", pattern=r"\d\d"), "references", "itself be wrong", 'takes from it ("4")'),
        (changed("generate", pattern="("), "pattern", "no regular expression", "Python's re: missing )"),
        (changed("generate", pattern="a{99999999999}"), "pattern", "no regular expression", "repetition number"),
        (changed("generate", pattern="(" * 5000), "pattern", "no regular expression", "Python's re"),
        (changed("generate", pattern=" "), "pattern", "nothing is there", '" "'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_field(refusal, row, where, problem, says):
    error = refusal(row)
    assert error.where == "my/items.jsonl:7" + (f": {where}" if where else "")
    assert problem in error.problem
    assert says in f"{error.found} {error.expected} {error.fix}"


def test_a_reading_takes_the_place_of_extraction_and_patterns(items, spec, rows):
    numbers = spec["parts"]["numbers"]
    numbers["reading"] = {"pattern": "[0-9]+"}
    with pytest.raises(InputError, match="an answer is read by extraction or by reading"):
        items(rows, spec)
    del numbers["extraction"]
    with pytest.raises(InputError, match="pattern has no meaning in a part with a reading") as error:
        items(rows, spec)
    assert error.value.where == "my/items.jsonl:4: pattern"
    del rows[3]["pattern"]
    assert len(items(rows, spec)) == len(rows)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "x"', "not valid JSON"),
        ("[1]", "the line is a list, not an object"),
        ("{}", "the row has no fields"),
        ('{"id": "x", "id": "y"}', "stands twice in one object"),
        ('{"id": NaN}', "NaN is not JSON"),
    ],
)
def test_a_line_that_is_no_row_is_told_with_its_line(refusal, line, problem):
    error = refusal(line)
    assert error.where == "my/items.jsonl:7"
    assert problem in error.problem


def test_ids_and_questions_may_not_stand_twice(refusal, items, rows):
    assert refusal({**GOOD["choose"], "id": "c1", "input": "New?"}).found == '"c1", as on line 1'
    for choices in (["red", "green"], ["green", "red"]):
        error = refusal(changed("choose", choices=choices))
        assert error.problem == "the question stands twice"
        assert error.found == '"Grass?", as on line 1'
    # The same words with other choices, or in another part, are another question.
    other = [changed("choose", choices=["blue", "green"]), changed("generate", id="n9", input="Grass?")]
    assert len(items([*rows, *other])) == 7


def test_mistakes_of_all_lines_come_at_once_in_the_files_order(items, mistakes):
    bad = [
        changed("choose", answer="blue"),
        "not json",
        changed("choose", id="ok"),
        changed("generate", part="numbrs", id="n"),
        {"id": 1, "prat": "colours", "choices": "x"},
        changed("choose", id="ok", input="Other?"),
        changed("generate", references=["none"], choices=["a", "b"]),
    ]
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in bad)
    with pytest.raises(InputErrors) as caught:
        items(text)
    found = mistakes(caught.value)
    assert [where for where, _ in found] == [
        "items.jsonl:1: answer",
        "items.jsonl:2",
        "items.jsonl:4: part",
        "items.jsonl:5: id",
        "items.jsonl:5: part",
        "items.jsonl:5: input",
        "items.jsonl:5: choices",
        "items.jsonl:5: prat",
        "items.jsonl:6",
        "items.jsonl:7: choices",
        "items.jsonl:7: references",
    ]
    assert str(caught.value).startswith("my/items.jsonl: 11 mistakes\n")


def test_one_mistake_of_many_items_is_printed_once(items):
    with pytest.raises(InputErrors) as caught:
        items([changed("choose", id=str(n), answer="blue") for n in range(100)])
    assert len(caught.value.errors) == 100
    assert caught.value.errors[-1].where == "my/items.jsonl:100: answer"
    assert caught.value.block().count("is not among the choices") == 1
    with pytest.raises(InputErrors) as caught:
        items(
            [{"zzz": str(n)} for n in range(100)]
        )  # four mistakes a line: id, part, input, and one field too many
    assert len(caught.value.errors) == 400
    assert caught.value.block().count("my/items.jsonl:1:") == 4


def test_a_part_without_items_is_refused(items, spec, mistakes):
    spec["parts"]["more"] = {"title": "More", "kind": "choose"}
    with pytest.raises(InputErrors) as caught:
        items([GOOD["choose"]], spec)
    assert mistakes(caught.value) == [
        ("items.jsonl", "the part numbers has no items"),
        ("items.jsonl", "the part more has no items"),
    ]


def test_an_empty_file_is_refused(items):
    with pytest.raises(InputError, match="empty"):
        items("")


def test_mistakes_of_a_benchmarks_items_name_the_file_as_it_was_found(write, spec, rows):
    rows[2]["answer"] = "grey"
    place = write(spec, rows)
    with pytest.raises(InputError) as caught:
        load(str(place))
    assert caught.value.where == f"{place / 'items.jsonl'}:3: answer"


@pytest.mark.parametrize("field", ["prompt", "answer"])
def test_templates_of_a_foreign_spec_take_bounded_time(items, spec, rows, monkeypatch, field):
    limits = subprocess_renderer.RenderLimits(cpu_seconds=1, wall_seconds=4.0)
    renderer = subprocess_renderer.SubprocessRenderer(limits)
    monkeypatch.setattr(subprocess_renderer, "shared_renderer", renderer)
    name = {"prompt": "input", "answer": "choice"}[field]
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    spec["parts"]["colours"][field] = f"{loop}{{{{ {name} }}}}"
    with pytest.raises(InputError) as caught:
        items(rows, spec)
    renderer.close()
    assert caught.value.where == "my/items.jsonl:1"
    assert "takes too long" in caught.value.problem
