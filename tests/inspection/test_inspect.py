"""A recipe looked at: rows as the model meets them, and every warning made to appear by a case of its own."""

from __future__ import annotations

import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tutelage.config.load import from_mapping
from tutelage.core.errors import InputError
from tutelage.inspection.checks import _meanings
from tutelage.inspection.inspect import RowSelection, inspect
from tutelage.models import special_tokens
from tutelage.tokens.encoder import Encoder

UNKNOWN = {"unk_token": "<unk>"}
PADDING_FOR_UNKNOWN = {"unk_token": "<|endoftext|>"}
PADS_WITH_THE_END = {"pad_token": "<|im_end|>"}
COLOURS = ("red", "blue", "green", "black", "white")
OPEN = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
TURN = "{{ '<|im_start|>' + m['role'] + '\\n' + %s + '%s' }}"


def template(content: str = "m['content']", end: str = "<|im_end|>", before: str = "") -> str:
    """ChatML with a part of it changed."""
    return before + "{% for m in messages %}" + TURN % (content, end) + "{% endfor %}" + OPEN


def row(question: str, answer: str, split: str = "train", **fields: object) -> dict[str, object]:
    return {"question": question, "answer": answer, "split": split, **fields}


def healthy() -> list[dict[str, object]]:
    train = [row(f"What is the colour of plan {n}?", f"Plan {n} is {COLOURS[n % 5]}.") for n in range(10)]
    test = [row(f"And the colour of plan {n}?", f"Plan {n} is {COLOURS[n % 5]}.", "test") for n in range(3)]
    return [*train, *test, row("Is a plan red?", "Plan 0 is red.", "validation")]


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    """The record of test rows that were looked at lies in the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def looked(tmp_path, tiny_model_folder):
    """Write rows and a recipe, inspect them, and give the inspection."""

    def look(rows=None, *, model=None, selection=None, tune=None, chat_template=None, split=None, task=None):
        lines = [json.dumps(one) + "\n" for one in (healthy() if rows is None else rows)]
        (tmp_path / "rows.jsonl").write_text("".join(lines), "utf-8")
        if chat_template is not None:
            (tmp_path / "own.jinja").write_text(chat_template, "utf-8")
        told = {
            "name": "colours",
            "model": str(model or tiny_model_folder),
            "tasks": [
                {
                    "name": "colours",
                    "data": {"path": "rows.jsonl"},
                    "prompt": "{{ question }}",
                    "completion": "{{ answer }}",
                    "split": {"column": "split", **(split or {})},
                    "metrics": ["exact_match"],
                    "max_new_tokens": 48,
                    **(task or {}),
                }
            ],
            "tune": {"max_length": 128, **(tune or {})},
            **({"chat_template": "own.jinja"} if chat_template is not None else {}),
        }
        return inspect(from_mapping(told, root=tmp_path), selection=selection)

    return look


@pytest.fixture
def llama(tiny_model_folder, tmp_path) -> Path:
    """A copy of the tiny Llama to change."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "llama"))


@pytest.fixture
def t5(tiny_t5_folder, tmp_path) -> Path:
    """A copy of the tiny T5 to change."""
    return Path(shutil.copytree(tiny_t5_folder, tmp_path / "t5"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def spoil(monkeypatch, change):
    """Make the encoder give other ids or another mask than it should."""
    own = Encoder._joined
    monkeypatch.setattr(Encoder, "_joined", lambda self, *args: change(own(self, *args)))


def kinds(inspection) -> dict[str, str]:
    return {one.kind: one.level for one in inspection.findings}


def only(inspection, kind: str):
    """The one finding, which must be the only one."""
    assert list(kinds(inspection)) == [kind]
    return inspection.findings[0]


def test_a_healthy_recipe_has_no_finding_and_all_its_figures(looked):
    found = looked()
    assert found.findings == ()
    (task,) = found.tasks
    assert (found.recipe, found.chat_template, found.max_length) == ("colours", "the model's own", 128)
    assert task.splits == {"train": 10, "validation": 1, "test": 3}
    assert (task.prompt, task.completion, task.template) == ("{{ question }}", "{{ answer }}", "own")
    every = looked(selection=RowSelection(count=10)).tasks[0].rows
    assert found.rows_per_epoch == 10
    assert found.tokens_per_epoch == task.tokens_per_epoch == sum(len(one.tokens) for one in every)
    assert found.loss_tokens_per_epoch == sum(one.learned for one in every)
    assert task.loss_share == found.loss_tokens_per_epoch / found.tokens_per_epoch
    assert (task.repeats, task.leaks, task.unused) == ((), (), 0)


def test_no_weight_is_read(looked, monkeypatch):
    loading = importlib.import_module("tutelage.models.load")
    monkeypatch.setattr(loading, "read_model", lambda *_: pytest.fail("weights were read"))
    assert looked().tasks


def test_a_training_row_is_shown_as_it_is_learned(looked):
    first = looked().tasks[0].rows[0]
    assert (first.id, first.split, first.task) == ("rows.jsonl:1", "train", "colours")
    assert first.origin.endswith("rows.jsonl:1")
    learned = "".join(token.text for token in first.tokens if token.learned)
    read = "".join(token.text for token in first.tokens if not token.learned)
    assert learned == "Plan 0 is red.<|im_end|>"
    assert read == "<|im_start|>user\nWhat is the colour of plan 0?<|im_end|>\n<|im_start|>assistant\n"
    assert first.text == read + learned
    assert [token.text for token in first.tokens if token.special] == [
        "<|im_start|>",
        "<|im_end|>",
        "<|im_start|>",
        "<|im_end|>",
    ]
    assert (first.cut, first.source, first.notes) == (None, 0, ())


def test_a_test_row_is_shown_as_it_is_asked(looked):
    asked = looked(selection=RowSelection(split="test", count=1, early=True)).tasks[0].rows[0]
    assert (asked.split, asked.learned) == ("test", 0)
    assert asked.text == "<|im_start|>user\nAnd the colour of plan 0?<|im_end|>\n<|im_start|>assistant\n"
    assert asked.completion == "Plan 0 is red."


def test_a_kind_of_the_library_is_told_by_its_wordings(tmp_path, tiny_model_folder):
    rows = [{"review": f"It was {COLOURS[n % 5]}, {n}.", "stars": n % 2} for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    kind = {
        "template": "sentiment",
        "fields": {"text": "review", "label": "stars"},
        "labels": ["bad", "good"],
    }
    told = {"tasks": [{"name": "t", "data": {"path": "rows.jsonl"}, **kind}], "tune": {"max_length": 256}}
    found = inspect(from_mapping({"model": str(tiny_model_folder), **told}, root=tmp_path)).tasks[0]
    assert found.prompt == found.completion
    assert found.prompt.startswith("one of ")
    assert "sentiment/" in found.prompt
    assert all(row.prompt for row in found.rows)


def test_an_encoder_decoder_model_has_two_sides(looked, t5):
    found = looked(model=t5)
    assert found.findings == ()
    assert (found.chat_template, found.template_text) == (None, None)
    first = found.tasks[0].rows[0]
    assert "".join(token.text for token in first.tokens[: first.source]).endswith("plan 0?</s>")
    assert all(token.learned for token in first.tokens[first.source :])
    assert "".join(token.text for token in first.tokens[first.source :]) == "Plan 0 is red.</s>"
    asked = looked(model=t5, selection=RowSelection(split="test", count=1, early=True)).tasks[0].rows[0]
    assert asked.source == len(asked.tokens)


def test_any_row_is_found_by_file_and_line_its_own_id_and_its_task(looked, tmp_path):
    rows = healthy()
    rows[11]["id"] = "plan-test-1"
    names = ("rows.jsonl:2", "plan-test-1", "colours:rows.jsonl:14", f"{tmp_path}/rows.jsonl:3")
    found = looked(rows, selection=RowSelection(names=names, count=1, early=True)).tasks[0].rows
    assert [(one.id, one.split) for one in found] == [
        ("rows.jsonl:2", "train"),
        ("rows.jsonl:12", "test"),
        ("rows.jsonl:14", "validation"),
        ("rows.jsonl:3", "train"),
    ]
    assert (
        len(
            looked(rows, selection=RowSelection(names=["rows.jsonl:12", "plan-test-1"], early=True))
            .tasks[0]
            .rows
        )
        == 1
    )
    assert looked(selection=RowSelection(count=0)).tasks[0].rows == ()


def test_a_row_that_is_not_there_is_refused_with_the_nearest_names(looked):
    with pytest.raises(InputError) as caught:
        looked(selection=RowSelection(names=["row.jsonl:2"]))
    assert caught.value.where == "--row"
    assert caught.value.found == "row.jsonl:2"
    assert "rows.jsonl:2" in caught.value.fix
    with pytest.raises(InputError, match="no row of this name"):
        looked(selection=RowSelection(names=["\x1b[2J"]))


def test_what_truncation_cut_is_told_and_many_cut_rows_are_a_warning(looked):
    long = " ".join(f"plan {n}" for n in range(60))
    rows = [*healthy(), row(long, "A long one."), row(long.replace("plan", "price"), "Another.", "test")]
    found = looked(rows, tune={"max_length": 96})
    told = only(found, "truncated")
    assert told.rows == ("rows.jsonl:15",)
    assert told.found.startswith("1 of 11 training rows (9.1 %) lose ")
    # The first rows are shown, the last of them one that was cut.
    shown = [one.id for one in found.tasks[0].rows]
    assert shown == ["rows.jsonl:1", "rows.jsonl:2", "rows.jsonl:15"]
    cut = found.tasks[0].rows[-1]
    whole = (
        looked(rows, tune={"max_length": 512}, selection=RowSelection(names=["rows.jsonl:15"]))
        .tasks[0]
        .rows[0]
    )
    assert whole.cut is None
    assert (cut.cut.field, cut.cut.side) == ("question", "end")
    assert cut.cut.tokens == len(whole.tokens) - len(cut.tokens)
    assert cut.text.partition("user\n")[2].partition("<|im_end|>")[0] + cut.cut.text == long
    assert f"tune.max_length to {len(whole.tokens)}:" in told.fix
    asked = (
        looked(rows, tune={"max_length": 96}, selection=RowSelection(names=["rows.jsonl:16"], early=True))
        .tasks[0]
        .rows[0]
    )
    assert asked.cut.tokens > 0
    assert len(asked.tokens) <= 96 - 8


def test_truncation_at_the_start_and_rows_longer_than_the_context(looked):
    long = " ".join(f"plan {n}" for n in range(300))
    found = looked([*healthy(), row(long, "A long one.")], tune={"truncate": {"side": "start"}})
    assert "the model reads 512" in only(found, "truncated").fix
    cut = found.tasks[0].rows[-1].cut
    assert cut.side == "start"
    assert long.startswith(cut.text)


def test_few_cut_rows_are_no_warning(looked):
    rows = [*healthy(), *(row(f"Which plan is number {n}?", f"It is {n}.") for n in range(10, 30))]
    rows.append(row(" ".join(f"plan {n}" for n in range(60)), "A long one."))
    found = looked(rows)
    assert found.findings == ()
    assert found.tasks[0].tokens["train"]["truncated"] == 1


@pytest.mark.parametrize("end", ["<|endoftext|>", "<|im_start|>"])
def test_a_turn_that_ends_with_a_token_that_the_settings_do_not_name(looked, end):
    told = only(looked(chat_template=template(end=end)), "turn-end-added")
    assert (told.level, told.where) == ("note", "chat_template")
    assert told.found == f"turns end with '{end}', and answers end at '<|im_end|>'"


def test_an_end_of_turn_that_the_encoder_forgot(looked, monkeypatch):
    spoil(monkeypatch, lambda it: replace(it, ids=it.ids[:-1], loss_mask=it.loss_mask[:-1]))
    assert "it ends with '.'" in only(looked(), "no-turn-end").found


def test_an_end_of_turn_outside_the_mask(looked, monkeypatch):
    spoil(monkeypatch, lambda it: replace(it, loss_mask=(*it.loss_mask[:-1], False)))
    only(looked(), "no-turn-end")


def test_a_template_that_ends_no_turn_is_refused_as_the_run_refuses_it(looked):
    with pytest.raises(InputError, match="does not end the assistant's turn"):
        looked(chat_template="{% for m in messages %}{{ m['content'] + '\\n' }}{% endfor %}")


def test_a_template_that_opens_the_turn_otherwise_in_training_is_refused(looked):
    other = template().replace("assistant\\n' }}{% endif %}", "assistant\\n<think>\\n' }}{% endif %}")
    with pytest.raises(InputError, match="otherwise than an open one"):
        looked(chat_template=other)


def test_a_start_token_twice(looked):
    told = only(looked(chat_template=template(before="{{ bos_token }}")), "doubled-start")
    assert "'<|im_start|>' '<|im_start|>'" in told.found


def test_a_start_token_twice_in_an_encoder(looked, t5, monkeypatch):
    spoil(monkeypatch, lambda it: replace(it, source=(1, 1, *it.source)))
    assert set(kinds(looked(model=t5))) == {"doubled-start", "template-differs"}


def test_a_start_token_that_the_tokenizer_adds_once_more_elsewhere(looked, llama):
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    path = str(llama / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    tokenizer.save(path)
    told = only(looked(model=llama), "start-doubled-elsewhere")
    assert (told.level, told.where) == ("note", "chat_template")


def test_ids_that_are_trained_and_not_asked(looked, monkeypatch):
    spoil(monkeypatch, lambda it: replace(it, ids=(it.ids[0], it.ids[2], *it.ids[2:])))
    assert "token 2 is " in only(looked(), "template-differs").found


def test_a_template_that_trims_what_the_data_says(looked):
    rows = [*healthy(), row("What is the price?", " 12 euros")]
    told = only(looked(rows, chat_template=template("m['content'] | trim")), "template-differs")
    assert told.rows == ("rows.jsonl:15",)
    assert "assistant\\n12 euros<|im_end|>', in use" in told.found


def test_a_template_that_differs_for_some_finished_conversations(looked):
    content = "(m['content'] if add_generation_prompt or m['content'] | length < 16 else 'cut')"
    told = only(looked(chat_template=template(content)), "template-differs")
    assert told.found.startswith("10 of 10")
    assert "cut<|im_end|>" in told.found


def test_prompt_text_inside_the_mask(looked, monkeypatch):
    spoil(monkeypatch, lambda it: replace(it, loss_mask=(True,) * len(it.ids)))
    told = only(looked(), "prompt-learned")
    assert "'<|im_start|>' " in told.found


def test_an_answer_of_which_a_part_is_not_learned(looked, monkeypatch):
    def late(it):
        first = it.loss_mask.index(True)
        return replace(it, loss_mask=(*(False,) * (first + 2), *it.loss_mask[first + 2 :]))

    spoil(monkeypatch, late)
    only(looked(), "answer-differs")


def test_a_completion_of_which_the_tokenizer_leaves_nothing(looked, t5):
    edit_tokenizer(t5, normalizer={"type": "Replace", "pattern": {"String": "#"}, "content": ""})
    told = only(looked([*healthy(), row("Which sign?", "###")], model=t5), "nothing-learned")
    assert told.rows == ("rows.jsonl:15",)
    assert '"###"' in told.found


def test_text_that_the_tokenizer_changes(looked, t5):
    edit_tokenizer(t5, normalizer={"type": "Replace", "pattern": {"String": "\n"}, "content": " "})
    told = only(looked([*healthy(), row("Two lines?", "one\ntwo")], model=t5), "text-rewritten")
    assert told.level == "note"
    assert r"'one\ntwo'" in told.found


def test_text_that_the_tokenizer_cannot_write(looked, t5):
    words = ["<pad>", "</s>", "<unk>", *(f"\u2581{word}" for word in ("what", "is", "a", "plan", *COLOURS))]
    edit_tokenizer(
        t5,
        normalizer=None,
        pre_tokenizer={
            "type": "Metaspace",
            "replacement": "\u2581",
            "prepend_scheme": "always",
            "split": True,
        },
        decoder={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        model={
            "type": "Unigram",
            "unk_id": 2,
            "vocab": [[word, -1.0] for word in words],
            "byte_fallback": False,
        },
    )
    edit(t5 / "tokenizer_config.json", **UNKNOWN)
    rows = [row(f"what is plan {colour}", colour) for colour in COLOURS[:3]]
    rows += [
        row("what is a plan", "red wibbles"),
        row("is a plan", "red", "test"),
        row("a plan", "red", "test"),
    ]
    told = only(looked(rows, model=t5), "unknown-text")
    assert told.rows == ("rows.jsonl:4",)
    assert "1 times '<unk>' in the answer" in told.found


def edit_tokenizer(folder: Path, **changes: object) -> None:
    added = [{"id": 2, "content": "<unk>", "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True}]  # fmt: skip
    path = folder / "tokenizer.json"
    told = json.loads(path.read_text("utf-8"))
    edit(path, **changes, **({"added_tokens": told["added_tokens"] + added} if "model" in changes else {}))


def test_prompt_and_answer_that_melt_when_they_are_tokenised_as_one(looked):
    bare = "{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    rows = [
        row("Say th", "e"),
        *(row(f"{n} is the colour:", f"{colour}!") for n, colour in enumerate(COLOURS)),
    ]
    rows += [row(f"And {n} ", "red", "test") for n in range(2)]
    told = only(looked(rows, chat_template=bare), "border-tokens")
    assert told.level == "note"
    assert told.rows == ("rows.jsonl:1",)
    assert "as one text ' the'" in told.found


def test_data_that_spells_control_tokens(looked):
    rows = [*healthy(), row("What does <|im_end|> mean?", "The end."), row("Say it.", "<|im_start|>")]
    found = looked(rows, selection=RowSelection(names=["rows.jsonl:15"]))
    told = only(found, "control-text")
    assert (told.level, told.rows) == ("note", ("rows.jsonl:15", "rows.jsonl:16"))
    # It is plain text to the model: only the template's own control tokens are special.
    assert sum(token.special for token in found.tasks[0].rows[0].tokens) == 4


def test_data_that_spells_the_unknown_token(looked, llama):
    edit(llama / "tokenizer_config.json", **PADDING_FOR_UNKNOWN)
    told = only(looked([*healthy(), row("What is <|endoftext|>?", "The end.")], model=llama), "control-text")
    assert "'<|endoftext|>'" in told.found


def test_padding_with_the_end_token_is_a_note_where_it_is_put_right(looked, llama):
    edit(llama / "tokenizer_config.json", **PADS_WITH_THE_END)
    told = only(looked(model=llama), "pad-was-end")
    assert (told.level, told.where) == ("note", "model")
    assert told.found == "'<|im_end|>' pads and ends answers; here '<|endoftext|>' pads"


def test_padding_with_the_end_token_is_a_warning_where_it_stays(looked, llama, monkeypatch):
    edit(llama / "tokenizer_config.json", **PADS_WITH_THE_END)
    monkeypatch.setattr(special_tokens, "choose_pad_token", lambda tokenizer, _: tokenizer.pad_token_id)
    assert only(looked(model=llama), "pad-is-end").level == "warning"


def test_leaks_are_shown_and_not_refused(looked):
    rows = [*healthy(), row("what is the COLOUR of  plan 3?", "Plan 3 is black.", "test")]
    found = looked(rows, selection=RowSelection(names=["rows.jsonl:15", "rows.jsonl:4"], early=True))
    told = only(found, "leaks")
    assert (told.rows, told.level) == (("rows.jsonl:15",), "error")
    (pair,) = found.tasks[0].leaks
    assert pair["test"].endswith(":15")
    assert pair["train"].endswith(":4")
    here, there = found.tasks[0].rows
    assert [("4" in note or "15" in note) for one in (here, there) for note in one.notes] == [True, True]
    for going_on in ("count", "allow"):  # then no run refuses them
        assert only(looked(rows, split={"leaks": going_on}), "leaks").level == "warning"


def test_repeated_rows_are_told_with_the_row_they_repeat(looked):
    rows = [*healthy(), row("What is the colour of plan 3?", "plan 3 is  Black.")]
    found = looked(rows, selection=RowSelection(names=["rows.jsonl:15"], early=True))
    assert only(found, "repeated").rows == ("rows.jsonl:15",)
    (pair,) = found.tasks[0].repeats
    assert (pair["row"][-3:], pair["first"][-2:], pair["split"]) == (":15", ":4", "train")
    assert found.tasks[0].repeated["train"] == 1
    assert found.tasks[0].rows[0].notes == (f"says the same as {pair['first']}",)


def test_one_answer_in_most_rows(looked):
    rows = [*healthy(), *(row(f"Is plan {n} cheap?", "Yes.") for n in range(11))]
    told = only(looked(rows), "constant-answer")
    assert told.found == '"yes." in 11 of 21 training rows'
    assert not looked([*rows, row("Is it?", "No.")]).findings


@pytest.mark.parametrize(("more", "level"), [(0, "warning"), (40, "note")])
def test_equal_prompts_with_different_answers(looked, more, level):
    rows = [*healthy(), row("What is the colour of plan 3?", "It has none.")]
    rows += [row(f"Which plan is number {n}?", f"It is {n}.") for n in range(more)]
    told = only(looked(rows), "conflicting-answers")
    assert told.level == level
    assert told.rows == ("rows.jsonl:4", "rows.jsonl:15")


def test_a_chat_template_that_reads_the_clock(looked, llama):
    template = llama / "chat_template.jinja"
    template.write_text("{{ strftime_now('%Y') }}" + template.read_text("utf-8"), "utf-8")
    told = only(looked(healthy(), model=llama), "template-reads-clock")
    assert told.level == "warning"
    assert told.found.startswith("'%Y' as '20")


def test_warnings_come_before_notes_and_say_all_that_a_person_needs(looked, llama):
    edit(llama / "tokenizer_config.json", **PADS_WITH_THE_END)
    rows = [*healthy(), row("What is the colour of plan 3?", "It has none.")]
    found = looked(rows, model=llama)
    assert [one.level for one in found.findings] == ["warning", "note"]
    assert [one.kind for one in found.warnings] == ["conflicting-answers"]
    for one in found.findings:
        assert all((one.problem, one.where, one.found, one.expected, one.why, one.fix))


def test_right_answers_that_are_longer_than_an_answer_may_be(looked):
    (finding,) = looked(task={"max_new_tokens": 4}).findings
    assert finding.kind == "answers-cut"
    assert "max_new_tokens is 4: 3 of 3 answers cannot be whole" in finding.found
    assert not looked(
        task={"max_new_tokens": int(finding.fix.removeprefix("write max_new_tokens: "))}
    ).findings


@pytest.mark.parametrize(
    ("answer", "metrics", "level"),
    [("यहाँ {n} नहीं", ["rougeL"], "warning"), ("Plan {n} is {n}.", ["exact_match", "rouge9"], "warning")],
    ids=["the first metric reads no word", "a further one needs more words than there are"],
)
def test_metrics_that_give_references_less_than_full_marks(looked, answer, metrics, level):
    rows = [{**row, "answer": answer.format(n=n)} for n, row in enumerate(healthy())]
    kinds = {finding.kind: finding for finding in looked(rows, task={"metrics": metrics}).findings}
    assert kinds["metric-below-full-marks"].level == level
    assert kinds["metric-below-full-marks"].found.startswith(f"{metrics[-1]}: ")


def test_every_check_of_the_table_has_a_test_that_makes_it_speak():
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f'"{kind}"' in text for kind in _meanings())
