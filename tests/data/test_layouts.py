"""What each layout makes of rows written for the purpose, and which layout some rows are taken for."""

from __future__ import annotations

import json

import pytest

from tutelage.core.errors import InputError
from tutelage.data import LAYOUTS, DataSource, LabelNames, layouts, load
from tutelage.templates import column_template


def loaded(tmp_path, rows, name="rows.jsonl", **how):
    text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / name).write_text(text)
    return load(DataSource(path=name, **how), root=tmp_path)


def fields(found):
    return [dict(row.fields) for row in found.examples]


TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": [{"type": "text", "text": "Two "}, {"type": "text", "text": "parts?"}]},
    {"role": "assistant", "content": "Yes."},
]


def test_every_assistant_turn_is_a_row_with_what_was_said_before(tmp_path):
    found = loaded(tmp_path, [{"messages": TALK, "source": "x"}])
    assert found.source["layout"] == "messages"
    assert found.template == "prompt-completion"
    assert [row.id for row in found.examples] == ["rows.jsonl:1#1", "rows.jsonl:1#2"]
    assert [row.fields["prompt"] for row in found.examples] == ["Hello", "Two parts?"]
    assert [row.fields["completion"] for row in found.examples] == ["Hi!", "Yes."]
    assert found.examples[0].history == (("system", "Be short."),)
    assert found.examples[1].history == (
        ("system", "Be short."),
        ("user", "Hello"),
        ("assistant", "Hi!"),
    )
    assert found.examples[1].fields["history"][1] == {"role": "user", "content": "Hello"}
    assert {row.fields["source"] for row in found.examples} == {"x"}
    assert "messages" not in found.examples[0].fields
    assert len({row.fields["conversation"] for row in found.examples}) == 1


def test_only_the_last_turn_when_that_is_asked_for(tmp_path):
    (row,) = loaded(tmp_path, [{"messages": TALK}], turns="last").examples
    assert row.id == "rows.jsonl:1#2"
    assert row.fields["prompt"] == "Two parts?"
    assert len(row.history) == 3


def test_conversations_that_open_alike_share_a_name(tmp_path):
    other = [*TALK[:1], {"role": "user", "content": " HELLO "}, {"role": "assistant", "content": "What?"}]
    third = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]
    found = loaded(tmp_path, [{"messages": m} for m in (TALK, other, third)])
    names = [row.fields["conversation"] for row in found.examples]
    assert names[0] == names[1] == names[2] != names[3]


def test_sharegpt_with_its_system_field(tmp_path):
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    found = loaded(tmp_path, [{"conversations": turns, "system": "s"}])
    assert found.source["layout"] == "sharegpt"
    assert found.examples[0].history == (("system", "s"),)
    assert found.examples[0].fields["completion"] == "b"


def test_an_opening_by_the_assistant_is_history_and_noted(tmp_path):
    turns = [
        {"from": "gpt", "value": "Welcome."},
        {"from": "human", "value": "a"},
        {"from": "gpt", "value": "b"},
    ]
    found = loaded(tmp_path, [{"conversations": turns}])
    assert found.examples[0].history == (("assistant", "Welcome."),)
    assert found.source["notes"] == [
        "1 conversations begin with an assistant's turn, which is read and not learned"
    ]


def test_weights_of_0_and_messages_in_prompt_are_read_and_not_learned(tmp_path):
    told = [{**turn, "weight": 0} if turn["content"] == "Hi!" else turn for turn in TALK]
    (row,) = loaded(tmp_path, [{"messages": told}]).examples
    assert row.fields["completion"] == "Yes."
    (row,) = loaded(tmp_path, [{"prompt": TALK[:4], "completion": TALK[4:]}]).examples
    assert row.fields["prompt"] == "Two parts?"
    assert len(row.history) == 3


SUPER_NI = {
    "Definition": ["Answer."],
    "Categories": ["QA"],
    "Positive Examples": [{"input": "x", "output": "y", "explanation": "z"}],
    "Instances": [
        {"id": "t-1", "input": "one?", "output": ["1", "one"]},
        {"id": "t-2", "input": "two?", "output": ["2"]},
    ],
}


@pytest.mark.parametrize("indent", [None, 2])
def test_super_ni(tmp_path, indent):
    found = loaded(tmp_path, json.dumps(SUPER_NI, indent=indent), "task.json")
    assert (found.source["layout"], found.template) == ("super-ni", "super-ni")
    first, second = fields(found)
    assert first == {
        "id": "t-1",
        "Categories": ["QA"],
        "definition": "Answer.",
        "input": "one?",
        "output": "1",
        "references": ["1", "one"],
    }
    assert second["output"] == "2"
    prompted = column_template("super-ni").render(found.examples[0], "t")
    assert prompted.prompt == "Answer.\n\none?"
    assert prompted.references == ("1", "one")
    assert [row.origin.line for row in found.examples] == ([1, 1] if indent is None else [16, 24])


def test_rows_of_a_document_that_share_a_line_have_names_of_their_own(tmp_path):
    found = loaded(tmp_path, json.dumps(SUPER_NI), "task.json")
    assert [row.id for row in found.examples] == ["task.json:1", "task.json:1.2"]
    assert str(found.examples[1].origin).endswith("task.json:1, item 2")


def test_self_instruct(tmp_path):
    row = {
        "id": "s",
        "instruction": "Add.",
        "instances": [{"input": "1 2", "output": "3"}, {"input": "", "output": "0"}],
    }
    found = loaded(tmp_path, [row])
    assert (found.source["layout"], found.template) == ("self-instruct", "instruction-output")
    assert [row.id for row in found.examples] == ["rows.jsonl:1#1", "rows.jsonl:1#2"]
    assert fields(found)[0] == {"id": "s", "instruction": "Add.", "input": "1 2", "output": "3"}


def test_flan_cot_is_asked_for_and_its_line_breaks_come_back(tmp_path):
    text = "Which of the two is the larger one, when there are two of them at all?\\n(A) x\t(A)\tBecause.\n"
    with pytest.raises(InputError, match="reads like a row") as caught:
        loaded(tmp_path, text, "r.tsv")
    assert "layout: flan-cot" in caught.value.fix
    found = loaded(tmp_path, text, "r.tsv", layout="flan-cot")
    assert fields(found) == [
        {
            "question": "Which of the two is the larger one, when there are two of them at all?\n(A) x",
            "answer": "(A)",
            "rationale": "Because.",
        }
    ]
    prompted = column_template("flan-cot").render(found.examples[0], "t")
    assert prompted.completion == "Because.\nSo the answer is (A)."


def test_a_header_that_reads_like_a_row_is_one_when_that_is_said(tmp_path):
    found = loaded(tmp_path, "How are you today?,answer\nx,y\n", "r.csv", layout="plain")
    assert fields(found) == [{"How are you today?": "x", "answer": "y"}]


def test_a_table_without_header_gets_its_columns(tmp_path):
    found = loaded(tmp_path, "Why?,So.\nHow?,Thus.\n", "r.csv", columns=("question", "answer"))
    assert fields(found)[0] == {"question": "Why?", "answer": "So."}
    assert found.examples[0].origin.line == 1


CONLL = "-DOCSTART-\tO\n\nAnna\tB-PER\nSmith\tI-PER\nis\tO\nin\tO\nRome\tB-LOC\n\t\nno\tO\none\tO\n"


def test_conll_sentences_become_text_and_entities(tmp_path):
    found = loaded(tmp_path, CONLL, "x.conll")
    assert (found.source["format"], found.source["layout"]) == ("conll", "entities")
    assert [row.origin.line for row in found.examples] == [3, 9]
    assert fields(found)[0] == {
        "tokens": ["Anna", "Smith", "is", "in", "Rome"],
        "tags": ["B-PER", "I-PER", "O", "O", "B-LOC"],
        "text": "Anna Smith is in Rome",
        "entities": "PER: Anna Smith\nLOC: Rome",
    }
    assert fields(found)[1]["entities"] == "none"


def test_conll_with_spaces_more_columns_and_another_ending(tmp_path):
    text = "Anna NNP B-NP B-PER\nruns VBZ B-VP O\n"
    found = loaded(tmp_path, text, "x.txt", layout="entities")
    assert fields(found)[0]["tags"] == ["B-PER", "O"]
    found = loaded(tmp_path, text, "y.iob", columns=("tokens", "pos", "tags", "ner"))
    assert fields(found)[0]["tags"] == ["B-NP", "B-VP"]
    assert fields(found)[0]["ner"] == ["B-PER", "O"]


def test_empty_tokens_and_sentences_are_noted(tmp_path):
    found = loaded(tmp_path, "a\tO\n \tO\n\n\tO\n", "x.conll")
    assert [row["text"] for row in fields(found)] == ["a"]
    assert found.source["notes"] == [
        "1 tokens are empty, and stand in no text",
        "1 sentences have no text, and are no rows",
    ]


def test_translation_from_columns_nested_and_reversed(tmp_path):
    want = {"source": "a", "target": "b", "source_language": "English", "target_language": "German"}
    assert fields(loaded(tmp_path, "en,de\na,b\n", "t.csv")) == [want]
    nested = [{"id": 1, "translation": {"en": "a", "de": "b"}}]
    assert fields(loaded(tmp_path, nested)) == [{"id": 1, **want}]
    turned = loaded(tmp_path, nested, columns=("de", "en"))
    assert fields(turned)[0]["source"] == "b"
    three = loaded(tmp_path, [{"en": "a", "de": "b", "fr": "c"}])
    assert three.source["layout"] == "plain"
    assert loaded(tmp_path, [{"id": "a", "en": "b"}]).source["layout"] == "plain"


def test_parallel_lines_by_their_endings_or_by_columns(tmp_path):
    (tmp_path / "t.en").write_text("one\n\u2028two\n")
    (tmp_path / "t.de").write_text("eins\nzwei")
    found = load(DataSource(path=("t.en", "t.de")), root=tmp_path)
    assert (found.source["format"], found.source["layout"]) == ("parallel lines", "translation")
    assert fields(found)[1]["source"] == "\u2028two"
    found = load(DataSource(path=("t.en", "t.de"), columns=("question", "answer")), root=tmp_path)
    assert fields(found)[0] == {"question": "one", "answer": "eins"}


def test_labels_by_number_by_code_and_from_a_file(tmp_path):
    text = "text,label\ngood,1\nbad,0\n"
    found = loaded(tmp_path, text, "r.csv", labels=LabelNames(("negative", "positive"), options=True))
    assert fields(found)[0] == {"text": "good", "label": "positive", "options": ["negative", "positive"]}
    template = column_template("text-label-options")
    assert "- negative\n- positive" in template.render(found.examples[0], "t").prompt
    (tmp_path / "names.json").write_text('{"0": "no", "1": "yes"}')
    found = loaded(tmp_path, text, "r.csv", labels=LabelNames(file="names.json", column="label"))
    assert fields(found)[1] == {"text": "bad", "label": "no"}
    (tmp_path / "names.txt").write_text("no\nyes\n")
    assert fields(loaded(tmp_path, text, "r.csv", labels=LabelNames(file="names.txt")))[1]["label"] == "no"
    (tmp_path / "names.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="no label names"):
        loaded(tmp_path, text, "r.csv", labels=LabelNames(file="names.json"))


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        ("no\nyes\n".encode("utf-16-le"), "a NUL byte stands in the line", 1),
        (b"no\nye\xdf\n", "the line is not UTF-8", 2),
    ],
)
def test_a_file_of_label_names_in_another_encoding_is_refused(tmp_path, content, problem, line):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, "text,label\ngood,1\n", "r.csv", labels=LabelNames(file="names.txt"))
    assert (caught.value.problem, caught.value.where) == (problem, f"{tmp_path / 'names.txt'}:{line}")


def test_a_majority_of_the_first_rows_decides(tmp_path):
    rows = [{"messages": TALK}] * 3 + [{"messages": "none"}]
    with pytest.raises(InputError, match="no conversation") as caught:
        loaded(tmp_path, rows)
    assert caught.value.where.endswith("rows.jsonl:4")


def test_a_layout_that_is_not_known(tmp_path):
    with pytest.raises(InputError) as caught:
        layouts.get_layout("sharegtp")
    assert "did you mean sharegpt?" in caught.value.fix
    for name in LAYOUTS:
        assert layouts.get_layout(name).name == name
