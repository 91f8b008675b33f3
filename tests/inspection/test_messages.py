"""Conversations held against their chat template, and what `inspect` refuses because a run would."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from tests.tokens import shapes

from tutelage.cli.main import main
from tutelage.config.load import from_mapping
from tutelage.core.errors import InputError
from tutelage.inspection.inspect import inspect
from tutelage.inspection.train_use_parity import check_parity
from tutelage.job.preflight import check_inspected
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare.preparation import prepare
from tutelage.prepare.reader import read_rows

CUTS = shapes.NO_SYSTEM.replace("m['content'] +", "m['content'][:12] +").replace(
    " if m['role'] != 'system'", ""
)
TRIMS = CUTS.replace("[:12]", " | trim")


@pytest.fixture
def conversations(tmp_path, tiny_model_folder, monkeypatch):
    """Write 20 conversations and give the recipe that reads them."""
    monkeypatch.chdir(tmp_path)

    def write(template, *, system="Be brief.", before="", model=None, **fields):
        talks = [
            [
                *([{"role": "system", "content": system}] if system else []),
                {"role": "user", "content": f"{before}What is the colour of plan {n}?"},
                {"role": "assistant", "content": f"Plan {n} is {'red' if n % 2 else 'blue'}."},
            ]
            for n in range(20)
        ]
        (tmp_path / "talks.jsonl").write_text(
            "".join(json.dumps({"messages": talk}) + "\n" for talk in talks)
        )
        values = {
            "model": str(model or tiny_model_folder),
            "tasks": [{"data": {"path": "talks.jsonl"}}],
            **fields,
        }
        if template is not None:
            (tmp_path / "own.jinja").write_text(template)
            values["chat_template"] = "own.jinja"
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
        return from_mapping(values, root=tmp_path)

    return write


def starting_model(source, folder):
    """A copy of a model whose tokenizer begins every text with <|im_start|>."""
    shutil.copytree(source, folder)
    path = folder / "tokenizer.json"
    token = {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    settings = json.loads(path.read_text())
    settings["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [token, text],
        "pair": [token, text, text],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
    }
    path.write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    ("template", "options", "expected"),
    [
        (shapes.NO_SYSTEM, {}, ("message-left-out", "error", 'the system\'s turn "Be brief."')),
        (CUTS, {"system": ""}, ("message-cut", "warning", "the user's turn \"What is the colour")),
        (TRIMS, {"before": "\n "}, ("message-trimmed", "note", "the user's turn")),
        (shapes.MISTRAL, {}, ("finished-differs", "note", "the template writes")),
        (shapes.QWEN3, {}, ("answer-opening", "note", r"'<think>\n\n</think>\n\n'")),
    ],
)
def test_what_a_template_does_to_messages_is_found(conversations, template, options, expected):
    kind, level, found = expected
    findings = {one.kind: one for one in inspect(conversations(template, **options)).findings}
    assert findings[kind].level == level
    assert found in findings[kind].found
    if kind != "answer-opening":
        assert findings[kind].found.startswith("16 of 16 training rows; first talks.jsonl:")


def test_messages_that_are_written_whole_are_no_finding(conversations):
    assert not inspect(conversations(None)).findings


def test_rows_without_the_start_token_of_the_tokenizer(conversations, tiny_model_folder, tmp_path):
    model = starting_model(tiny_model_folder, tmp_path / "model")
    findings = {one.kind: one for one in inspect(conversations(shapes.HEADLESS, model=model)).findings}
    assert "missing-start" not in findings, "its turns begin with this token"
    (found,) = (
        one
        for one in inspect(conversations(None, model=model, chat_template="plain")).findings
        if one.kind == "missing-start"
    )
    assert found.level == "warning"
    assert found.fix.startswith("leave `chat_template` out: the model's own template writes this")
    assert "plain-bos" in found.fix
    assert not inspect(conversations(None, model=model, chat_template="plain-bos")).warnings


@pytest.mark.parametrize("advised", [{"chat_template": "system-in-user"}, {"chat_template": "plain-bos"}])
def test_what_is_advised_for_a_system_prompt_works(conversations, tiny_model_folder, tmp_path, advised):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_folder, model)
    (model / "chat_template.jinja").write_text(shapes.NO_SYSTEM)
    (left_out,) = inspect(conversations(None, model=model)).errors
    assert advised["chat_template"] in left_out.fix
    found = inspect(conversations(None, model=model, **advised))
    assert not found.errors
    assert all("Be brief." in row.text for row in found.tasks[0].rows)


def test_a_run_refuses_what_inspect_refuses_and_names_the_rest_in_a_line(conversations):
    recipe = conversations(shapes.NO_SYSTEM)
    tokenizer = load_tokenizer(resolve(recipe.model), chat_template=recipe.template_text())
    prepared = prepare(recipe, read_rows(recipe, None), tokenizer)
    with pytest.raises(InputError, match="leaves messages out"):
        check_parity(recipe, prepared, tokenizer, say=pytest.fail)
    recipe = conversations(shapes.QWEN3)
    tokenizer = load_tokenizer(resolve(recipe.model), chat_template=recipe.template_text())
    lines: list[str] = []
    check_parity(recipe, prepare(recipe, read_rows(recipe, None), tokenizer), tokenizer, say=lines.append)
    assert len(lines) == 1
    assert "learned as the first tokens of the answer" in lines[0]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"watch": [{"benchmark": "no-such-benchmark"}]}, "no-such-benchmark"),
        ({"track": {"at": [10**6]}}, "steps from 1 to 4"),
    ],
)
def test_inspect_refuses_what_a_run_refuses_before_it_loads_weights(conversations, fields, problem):
    (refused,) = inspect(conversations(None, **fields), run_check=check_inspected).errors
    assert refused.kind == "run-refuses"
    assert problem in str(refused)
    assert refused.fix


def test_the_command_shows_all_and_then_ends_as_a_run_would(conversations, capsys):
    conversations(shapes.NO_SYSTEM)
    assert main(["inspect", "recipe.yaml", "--rows", "1"]) == 2
    shown = capsys.readouterr()
    assert "error: The chat template leaves messages out" in shown.out
    assert "chat template leaves messages out" in shown.err
    assert main(["inspect", "recipe.yaml", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["warnings"][0]["level"] == "error"
