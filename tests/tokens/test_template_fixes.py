"""Advised chat templates were tried on the conversations that they are advised for."""

from __future__ import annotations

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from tutelage.core.errors import InputError
from tutelage.tokens import chat_templates, rendering
from tutelage.tokens.answer_turn import trained_turn

from . import shapes

QUESTION = [{"role": "user", "content": "Is it 12?"}]
WITH_SYSTEM = [{"role": "system", "content": "Be brief."}, *QUESTION]


@pytest.fixture
def tokenizer(tiny_model_folder):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


def begin_with_start(tokenizer):
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )


def without_eos(tokenizer):
    tokenizer.eos_token = None


@pytest.mark.parametrize(
    ("own", "talk", "change", "advised"),
    [
        (shapes.THINKS, QUESTION, None, "chatml-plain"),
        (shapes.NO_SYSTEM, WITH_SYSTEM, None, "system-in-user"),
        (shapes.REFUSES_SYSTEM, WITH_SYSTEM, None, "system-in-user"),
        (shapes.THINKS, QUESTION, begin_with_start, "chatml-plain"),
        (shapes.ENDS_BEFORE, WITH_SYSTEM, without_eos, "chatml-plain"),
    ],
)
def test_the_first_template_that_is_advised_works(tokenizer, own, talk, change, advised):
    if change is not None:
        change(tokenizer)
    rendering.set_template(tokenizer, own)
    assert f"`chat_template: {advised}`" in rendering.other_templates(tokenizer, [talk])
    text = chat_templates.template_text(advised, root=None)
    rendering.set_template(tokenizer, chat_templates.complete(text, own))
    assert trained_turn(tokenizer).end == "<|im_end|>"
    opened = rendering.render(tokenizer, talk, generate=True)
    assert all(message["content"] in opened for message in talk)


def test_the_models_own_template_is_advised_where_another_was_chosen(tokenizer):
    own = tokenizer.chat_template
    rendering.set_template(tokenizer, shapes.THINKS, own=own)
    assert rendering.other_templates(tokenizer, [WITH_SYSTEM]).startswith("leave `chat_template` out")
    rendering.set_template(tokenizer, own, own=own)
    assert "leave `chat_template` out" not in rendering.other_templates(tokenizer, [WITH_SYSTEM])


def test_where_no_bundled_template_works_none_is_advised(tokenizer):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1}))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    bare = PreTrainedTokenizerFast(tokenizer_object=backend)
    rendering.set_template(bare, shapes.HEADLESS)
    with pytest.raises(InputError, match="does not end the assistant's turn") as caught:
        trained_turn(bare)
    assert caught.value.fix.startswith("no bundled template")


def test_system_in_user_goes_on_with_the_models_own_template(tokenizer):
    text = chat_templates.template_text("system-in-user", root=None)
    whole = chat_templates.complete(text, shapes.REFUSES_SYSTEM)
    rendering.set_template(tokenizer, whole)
    opened = rendering.render(tokenizer, WITH_SYSTEM, generate=True)
    assert "user\nBe brief.\n\nIs it 12?<|im_end|>" in opened
    assert chat_templates.complete(text, whole) == whole, "twice is once"
    alone = rendering.render(tokenizer, QUESTION, generate=True)
    rendering.set_template(tokenizer, shapes.REFUSES_SYSTEM)
    assert alone == rendering.render(tokenizer, QUESTION, generate=True)


def test_system_in_user_needs_a_template_of_the_model():
    with pytest.raises(InputError, match="the model has none"):
        chat_templates.complete(chat_templates.template_text("system-in-user", root=None), None)
