"""Every wording of every kind, on a row written for the purpose."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Origin
from tutelage.templates import WordingOptions, bind_template, find, sandbox
from tutelage.templates.kind import LETTER, OPTIONS
from tutelage.templates.library import kind_names, load, template_names
from tutelage.templates.option_layouts import LAYOUTS, option_letter

from .rows import ROWS

EVERY = [(kind, wording) for kind in kind_names() for wording in load(kind).wordings]
ASKED = {
    "summarisation", "entity-recognition", "sentiment", "language-inference", "paraphrase", "reading-comprehension",
    "closed-book-questions", "multiple-choice", "topic-classification", "intent-classification", "translation",
    "data-to-text", "commonsense", "coreference", "arithmetic", "reasoning", "support-dialogue",
}  # fmt: skip
OTHERS = {
    "topic-classification": ["culture", "sport"],
    "intent-classification": ["cancel order", "track order"],
}


def rows(kind, **changes):
    fields = {**ROWS[kind], **changes}
    return [Example("r:1", {k: v for k, v in fields.items() if v is not None}, Origin("rows.jsonl", 1))]


def rendered(kind, wording, examples=None, **manner):
    template = bind_template(
        find(f"{kind}/{wording}"), examples or rows(kind), WordingOptions(**manner), labels=OTHERS.get(kind)
    )
    return template.render_all(examples or rows(kind), "task")[0]


def own_words(row):
    """The prompt without what comes from the row."""
    text = row.prompt
    for _, start, end in reversed(row.spans):
        text = text[:start] + "..." + text[end:]
    return text


def bare(kind):
    return {name: None for name, one in load(kind).fields.items() if one.optional}


def test_the_kinds_that_are_promised_are_there_and_each_has_a_row():
    assert set(kind_names()) >= ASKED
    assert set(ROWS) == set(kind_names())


@pytest.mark.parametrize("kind", kind_names())
def test_a_kind_has_ten_wordings_and_at_most_three_turned_around(kind):
    told = load(kind)
    assert kind == told.name
    assert len(told.of_group("wordings")) >= 10
    assert 1 <= len(told.of_group("inverted")) <= 3
    assert len(told.of_group("rationales")) in (0, *range(10, 30))
    assert told.about
    assert all(one.about for one in told.fields.values())


@pytest.mark.parametrize("kind", ["arithmetic", "reasoning"])
def test_reasoning_kinds_have_rationales(kind):
    assert len(load(kind).of_group("rationales")) >= 10


@pytest.mark.parametrize("kind", [kind for kind in kind_names() if load(kind).has_choices])
def test_options_come_in_three_layouts_or_more(kind):
    assert len({one.layout for one in load(kind).of_group("wordings")}) >= 5


@pytest.mark.parametrize(
    ("kind", "wording", "whole"),
    [(*one, True) for one in EVERY] + [(*one, False) for one in EVERY if bare(one[0])],
)
def test_a_wording_reads_well(kind, wording, whole):
    one = load(kind).wordings[wording]
    keep = {"rationale"} if one.group == "rationales" else set()
    examples = rows(kind, **({} if whole else {k: v for k, v in bare(kind).items() if k not in keep}))
    modes = ["listed", "none"] if load(kind).has_choices and not one.lettered else ["listed"]
    for options in modes:
        row = rendered(kind, wording, examples, options=options)
        for text in (row.prompt, row.completion):
            assert text == text.strip()
            assert "  " not in text
            assert not re.search(r"[ \t]\n|\n\n\n", text), text
            assert text.count('"') % 2 == 0
            assert text.count("(") == text.count(")")
            assert not re.search(r" [.,;!?](\s|$)|\(\)|\{|\}", text), text
        assert row.template == f"{kind}/{wording}"


@pytest.mark.parametrize(("kind", "wording"), EVERY)
def test_a_prompt_has_every_needed_field_and_not_the_answer(kind, wording):
    told, one = load(kind), load(kind).wordings[wording]
    if one.group == "inverted":
        assert told.answer in sandbox.fields_read(one.prompt)
        assert told.answer not in sandbox.fields_read(one.completion)
        return
    reads = set(sandbox.fields_read(one.prompt))
    needed = {name for name, f in told.fields.items() if not f.optional and f.type != "choices"} - {
        told.answer
    }
    assert needed <= reads
    assert told.answer not in reads
    assert "rationale" not in reads
    row = rendered(kind, wording)
    prompt = row.prompt
    if row.choices:
        assert row.completion in row.choices
        assert len(row.choices) == len(set(row.choices)) >= 2
    if told.has_choices and row.choices and not one.lettered:
        for choice in row.choices:
            assert choice in prompt
        unlisted = own_words(rendered(kind, wording, options="none"))
        assert not re.search(rf"\b{re.escape(row.completion)}\b", unlisted), unlisted
    elif not told.has_choices:
        assert row.references[0] not in own_words(row)


@pytest.mark.parametrize(("kind", "wording"), EVERY)
def test_fields_that_may_be_shortened_are_named_by_their_columns(kind, wording):
    row = rendered(kind, wording)
    for column, start, end in row.spans:
        assert row.prompt[start:end] == row.fields[column]


@pytest.mark.parametrize("kind", kind_names())
def test_no_two_wordings_say_the_same(kind):
    def words(text):
        return set(re.findall(r"\w+", re.sub(r"{{.*?}}|{%.*?%}", " ", text).lower()))

    prompts = {name: rendered(kind, name).prompt for name in load(kind).wordings}
    assert len(set(prompts.values())) == len(prompts)
    sources = {name: words(one.prompt) for name, one in load(kind).wordings.items()}
    for one, other in combinations(sources, 2):
        both, either = sources[one] & sources[other], sources[one] | sources[other]
        assert not either or len(both) / len(either) < 0.75, (one, other)


@pytest.mark.parametrize("kind", kind_names())
def test_instructions_stand_before_behind_and_around_the_text(kind):
    firsts = [one.prompt.lstrip().startswith(("{{", "{%")) for one in load(kind).of_group("wordings")]
    assert any(firsts)
    assert not all(firsts)
    lengths = [len(re.sub(r"{{.*?}}|{%.*?%}", "", one.prompt)) for one in load(kind).of_group("wordings")]
    assert max(lengths) > 2 * min(lengths)


@pytest.mark.parametrize("kind", ["arithmetic", "reasoning"])
def test_a_rationale_comes_before_its_answer_which_alone_is_the_reference(kind):
    template = bind_template(find(f"{kind}/rationale"), rows(kind))
    assert {one.group for one in template.wordings} == {"rationales"}
    (row,) = template.render_all(rows(kind), "task")
    answer = {"arithmetic": "48", "reasoning": "Joe"}[kind]
    assert row.completion == f"{ROWS[kind]['rationale']}\nSo the answer is {answer}."
    assert row.references == (answer,)
    assert row.choices == ()
    with pytest.raises(InputError, match=r"what .* needs: rationale"):
        bind_template(find(f"{kind}/rationale"), rows(kind, rationale=None))


def test_several_right_answers_teach_the_first_and_accept_all():
    row = rendered("reading-comprehension", "fields-only")
    assert row.completion == "two brothers"
    assert row.references == ("two brothers", "brothers")


def test_a_letter_answers_where_the_wording_asks_for_one():
    row = rendered("multiple-choice", "letter-only")
    assert (row.completion, row.choices) == ("A", ("A", "B", "C"))
    assert "A. honey\nB. paper" in row.prompt
    with pytest.raises(InputError, match="letter of the options"):
        rendered("multiple-choice", "letter-only", options="none")
    asked = bind_template(find("multiple-choice"), rows("multiple-choice"), WordingOptions("none")).wordings
    assert not any(LETTER in sandbox.fields_read(one.completion) for one in asked)


def test_entities_come_from_tags_lists_and_texts():
    want = "Ada Lovelace (person); London (place)"
    assert rendered("entity-recognition", "tagging-short").completion == want
    listed = [{"text": "Ada Lovelace", "type": "person"}, {"name": "London", "label": "place"}]
    for value, said in ((listed, want), ([], "none"), ("Ada (person)", "Ada (person)")):
        examples = rows("entity-recognition", text="Ada Lovelace lived in London.", entities=value)
        assert rendered("entity-recognition", "tagging-short", examples).completion == said


def test_every_layout_shows_every_choice():
    choices = ["one", "two", "three"]
    for name in LAYOUTS:
        text = LAYOUTS[name](choices)
        assert [text.index(choice) for choice in choices] == sorted(text.index(choice) for choice in choices)
    assert LAYOUTS["either"](choices) == "one, two or three"
    assert LAYOUTS["letters"](choices) == "(A) one\n(B) two\n(C) three"
    assert [option_letter(i) for i in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
    assert LAYOUTS["either"](["one"]) == "one"


@pytest.mark.parametrize(
    ("asked", "problem", "fix"),
    [
        ("sentimnt", "no such template", "did you mean sentiment?"),
        ("sentiment/direct-queston", "no such wording", "sentiment/direct-question"),
        ("sentiment/rationale", "no such wording", "templates show sentiment"),
        ("nothing-like-it-at-all", "no such template", "take one of these"),
    ],
)
def test_a_name_that_is_none_gets_the_nearest(asked, problem, fix):
    with pytest.raises(InputError, match=problem) as caught:
        find(asked)
    assert fix in caught.value.fix
    assert caught.value.expected


def test_no_kind_is_called_as_a_layout_of_columns():
    assert len(set(template_names())) == len(template_names())


def test_wordings_with_options_read_them():
    for kind in kind_names():
        for one in load(kind).wordings.values():
            assert (OPTIONS in sandbox.fields_read(one.prompt)) == (one.layout is not None)
