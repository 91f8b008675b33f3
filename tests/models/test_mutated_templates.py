"""Mutated chat templates: whatever stands in a model's files, loading and rendering give a text or an input error."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import yaml

from tutelage import config as recipes
from tutelage.core.errors import InputError
from tutelage.inspection.inspect import inspect
from tutelage.models import load_tokenizer, resolve
from tutelage.templates import subprocess_renderer
from tutelage.templates.subprocess_renderer import RenderLimits, SubprocessRenderer
from tutelage.tokens import chat_encoding, rendering
from tutelage.tokens.encoder import Encoder

TOKENS = Path(__file__).parents[1] / "tokens"
STRICT = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + (m['content'] | trim) + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DATED = (
    "{% set date = strftime_now('%d %b %Y') %}{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% endfor %}{{ date }}{{ ns.n }}"
)
SEEDS = [*((TOKENS / f"{name}.jinja").read_text("utf-8") for name in ("smollm", "qwen")), STRICT, DATED]
PIECES = [
    "{{ 1 / 0 }}", "{{ 9 ** 9 ** 9 }}", "{{ 2.0 ** 9999 }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% set x = 'a' * 5000000000 %}", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{{ messages | tojson }}", "{{ messages[0].content.upper }}", "{{ ''.__class__ }}", "{{ cycler }}", "{{ self }}",
    "{% raw %}", "{% endraw %}", "{{", "}}", "{%", "%}", "{#", "#}", "'", '"', "\x00", "\ud7ff", "{{ '\\ud800' }}",
    "{% import 'x' as y %}", "{% include 'x' %}", "{% extends 'x' %}", "{% block a %}{% endblock %}", "{{ lipsum() }}",
    "{{ [1, 2] | random }}", "{{ strftime_now(1) }}", "{{ strftime_now('%') }}", "{{ raise_exception() }}", "{% generation %}",
    "{% break %}", "{{ namespace(__class__=1) }}", "{{ dict.fromkeys(messages) }}", "{{ 'x' | center(10 ** 10) }}",
    "{{ " + "(" * 300, "-" * 50, "{{ none.x }}", "{{ messages.x.y }}", "{% set messages = 1 %}", "{% set strftime_now = 1 %}",
]  # fmt: skip
STRUCTURES = [
    None, 1, 0.5, True, "", [], {}, [""], {"default": 1}, {"default": None}, {"default": ""}, {"rag": "x"}, [1], [{}],
    [{"name": "default"}], [{"name": "default", "template": 1}], [{"name": 1, "template": "x"}], [{"template": "x"}],
    [{"name": "default", "template": "{{"}], [["name", "template"]], {"default": {"default": "x"}}, "\x00", "{{ x" * 9,
]  # fmt: skip


def mutated(number: int) -> str:
    """A template with one to three changes: cut, doubled, swapped, or with a piece put in."""
    random_ = random.Random(number)
    text = random_.choice(SEEDS)
    for _ in range(random_.randint(1, 3)):
        start, end = sorted(random_.randint(0, len(text)) for _ in range(2))
        end = min(end, start + random_.choice((1, 3, 30)))
        text = random_.choice(
            [
                text[:start] + text[end:],
                text[:end] + text[start:],
                text[:start] + text[start:end][::-1] + text[end:],
                text[:start] + random_.choice(PIECES) + text[start:],
                text[:start] + random_.choice(PIECES) + text[end:],
                text[:start] + "".join(random_.choices(" {}%'\"()|.-+*[]am0", k=5)) + text[end:],
            ]
        )
    return text


@pytest.fixture
def quick(monkeypatch):
    """The child with little memory and time, so that a hang costs a second."""
    renderer = SubprocessRenderer(RenderLimits(memory=300 << 20, cpu_seconds=100, wall_seconds=1.0))
    monkeypatch.setattr(subprocess_renderer, "shared_renderer", renderer)
    yield renderer
    renderer.close()


def used(folder: Path) -> str:
    """Load the tokenizer and use its template as a run does; a text, or the error in words."""
    try:
        words = load_tokenizer(resolve(str(folder)))
        if not words.chat_template:
            return ""
        encoder = Encoder(words.tokenizer, encoder_decoder=False, max_length=400)
        turns = (("user", "a <|im_end|>"), ("assistant", "b"))
        rendering.render(words.tokenizer, chat_encoding.messages("c", turns), generate=False)
        return repr(encoder.prompt_ids("c", turns))
    except InputError as caught:
        error = caught
    assert error.where
    assert error.fix
    assert len(str(error)) < 3000
    return str(error)


def check(folder: Path, numbers: range) -> None:
    outcomes = []
    for number in numbers:
        (folder / "chat_template.jinja").write_text(mutated(number), "utf-8")
        outcomes.append(used(folder))
    refused = sum("fix:" in one for one in outcomes)
    assert len(outcomes) / 5 < refused < len(outcomes), "some work and some do not"


def test_forty_mutated_templates_are_used_or_refused(tmp_path, tiny_model_folder, quick):
    check(Path(shutil.copytree(tiny_model_folder, tmp_path / "model")), range(40))


@pytest.mark.long
def test_four_hundred_mutated_templates_are_used_or_refused(tmp_path, tiny_model_folder, quick):
    check(Path(shutil.copytree(tiny_model_folder, tmp_path / "model")), range(40, 440))


@pytest.mark.parametrize("value", STRUCTURES, ids=repr)
def test_whatever_stands_in_the_templates_place_is_used_or_refused(tmp_path, tiny_model_folder, quick, value):
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": value}), "utf-8")
    used(folder)


def test_bytes_that_are_no_text_and_folders_are_refused(tmp_path, tiny_model_folder, quick):
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    for content in (b"\xff\xfe{{ x }}", b"\x00" * 100, b"{{ x }}" * 200_000):
        (folder / "chat_template.jinja").write_bytes(content)
        assert "fix:" in used(folder)
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.jinja").mkdir()
    used(folder)


def test_a_template_that_is_not_utf8_is_named(tiny_model_folder, tmp_path):
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    (folder / "chat_template.jinja").write_bytes(b"{{ messages }}\xff")
    with pytest.raises(InputError, match="not UTF-8") as caught:
        load_tokenizer(resolve(str(folder)))
    assert caught.value.where == f"{folder / 'chat_template.jinja'}:1"


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_row_that_the_template_refuses_is_named(tiny_model_folder, tmp_path, split):
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    template = (folder / "chat_template.jinja").read_text("utf-8")
    refuse = "{% if 'BAD' in messages[0].content %}{{ raise_exception('no bad words') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(refuse + template, "utf-8")
    rows = [
        {"question": f"Plan {n}?", "answer": f"{n}", "split": "test" if n > 5 else "train"} for n in range(9)
    ]
    rows[3 if split == "train" else 7]["question"] = "BAD"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    task = {
        "name": "plans",
        "data": {"path": "rows.jsonl"},
        "prompt": "{{ question }}",
        "completion": "{{ answer }}",
        "split": {"column": "split"},
        "metrics": ["exact_match"],
        "max_new_tokens": 3,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"model": str(folder), "tasks": [task], "tune": {"steps": 1}}), "utf-8")
    with pytest.raises(InputError, match="cannot write this conversation") as caught:
        inspect(recipes.load(path))
    line = 4 if split == "train" else 8
    assert (caught.value.where or "").endswith(f"rows.jsonl:{line}")
    assert "no bad words" in (caught.value.found or "")
    inspect(recipes.load(path, sets=["tasks.0.data.on_bad_row=drop"]))
