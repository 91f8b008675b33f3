"""Where a chat template begins and ends a user's turn."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from tutelage.core.errors import InputError
from tutelage.tokens import chat_templates, rendering
from tutelage.tokens.user_turn import user_turn

ANSWER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


@pytest.fixture
def tokenizer(tiny_model_folder):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


def turn_of(tokenizer, template):
    """The opening as text, the token that ends the turn by its spelling, and the text that does."""
    rendering.set_template(tokenizer, template)
    turn = user_turn(tokenizer)
    end = None if turn.end_id is None else tokenizer.convert_ids_to_tokens(turn.end_id)
    return tokenizer.decode(turn.opening), end, turn.end_text


def each(text):
    """A template that writes a text for every message."""
    return f"{{% for m in messages %}}{text}{{% endfor %}}"


@pytest.mark.parametrize(
    ("template", "opening", "end"),
    [
        (
            each("<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n") + ANSWER,
            "<|im_start|>user\n",
            ("<|im_end|>", ""),
        ),
        (
            SYSTEM + each("<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }} <|im_end|>\n") + ANSWER,
            SYSTEM + "<|im_start|>user\n",
            ("<|im_end|>", ""),
        ),
        # A user's turn may end otherwise than the assistant's.
        (each("<|im_start|>{{ m['content'] }}<|endoftext|>"), "<|im_start|>", ("<|endoftext|>", "")),
        (each("[INST] {{ m['content'] }} [/INST]"), "[INST] ", (None, "[/INST]")),
        (
            each("Question: {{ m['content'] }}\n\n### Answer:\n<|im_start|>"),
            "Question: ",
            (None, "### Answer:"),
        ),
    ],
)
def test_a_turn_ends_with_the_token_or_the_text_behind_its_content(tokenizer, template, opening, end):
    assert turn_of(tokenizer, template) == (opening, *end)


def test_with_the_plain_template_a_prompt_is_the_first_line_of_a_text(tokenizer, tmp_path):
    plain = chat_templates.template_text("plain", root=tmp_path)
    assert turn_of(tokenizer, plain) == ("", None, "\n")


@pytest.mark.parametrize("template", [each("{{ m['content'] }}"), each("{{ m['content'][:2] }}<|im_end|>")])
def test_a_template_that_does_not_show_the_end_is_refused(tokenizer, template):
    with pytest.raises(InputError, match="does not show where a user's turn ends"):
        turn_of(tokenizer, template)
