from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from tutelage.core.errors import InputError
from tutelage.core.types import Origin, Prompted
from tutelage.models import load_tokenizer, resolve
from tutelage.templates import chat_renderer
from tutelage.tokens import batch_encoding, chat_templates
from tutelage.tokens.batch_encoding import encode_all
from tutelage.tokens.encoder import Encoder

WORDS = st.sampled_from(
    [
        "a",
        "The price",
        " ",
        "\n",
        "12 euros",
        "<|im_end|>",
        "</s>",
        "<|im_start|>user",
        "é",
        "你好",
        "🙂",
        "\t\t",
        "  x ",
    ]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map("".join)


@pytest.fixture(scope="module", params=["llama", "t5"])
def encoder(request, tiny_model_folder, tiny_t5_folder):
    folder = tiny_model_folder if request.param == "llama" else tiny_t5_folder
    loaded = load_tokenizer(resolve(str(folder)))
    return Encoder(loaded.tokenizer, encoder_decoder=loaded.encoder_decoder, max_length=48)


def row(n, prompt, completion, history=()):
    return Prompted(
        f"r:{n}",
        "t",
        prompt,
        completion,
        "own",
        Origin("r.jsonl", n),
        spans=(("text", 0, len(prompt)),),
        history=history,
    )


def outcome(make):
    """What is made, or the error's words."""
    try:
        return make()
    except InputError as error:
        return str(error)


TURNS = st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(
    lambda pairs: tuple(turn for a, b in pairs for turn in (("user", a), ("assistant", b)))
)


@given(st.lists(st.tuples(TEXTS, TEXTS, TURNS), min_size=1, max_size=9))
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_many_rows_get_the_ids_that_each_gets_alone(encoder, pairs):
    rows = [row(n, *texts) for n, texts in enumerate(pairs)]
    assert outcome(lambda: list(encode_all(encoder, rows))) == outcome(
        lambda: [encoder.encode(one) for one in rows]
    )


def test_batches_keep_the_order(encoder, monkeypatch):
    monkeypatch.setattr(batch_encoding, "BATCH", 3)
    rows = [row(n, f"question {n}", f"answer {n}") for n in range(8)]
    assert [one.id for one in encode_all(encoder, rows)] == [one.id for one in rows]
    assert list(encode_all(encoder, [])) == []


START, END = "<|im_start|>", "<|im_end|>"
OPEN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
SMOLLM, QWEN = (Path(__file__).with_name(f"{name}.jinja").read_text("utf-8") for name in ("smollm", "qwen"))
"""Chat templates as these families have them."""
TEMPLATES = {
    "smollm": SMOLLM,
    "qwen": QWEN,
    **{name: chat_templates.template_text(name, root=Path()) for name in chat_templates.bundled_names()},
    "strips": "{% for m in messages %}"
    + START
    + "{{ m.role }}\n{{ m.content | trim }}"
    + END
    + "{% endfor %}"
    + OPEN,
    "looks": "{% for m in messages %}{{ '!' if '?' in m.content else '' }}{{ m.content }}"
    + END
    + "{% endfor %}"
    + OPEN,
    "doubles": "{% for m in messages %}{{ m.content }}{{ m.content }}" + END + "{% endfor %}" + OPEN,
    "macro": "{% macro say(c) %}{{ c }}"
    + END
    + "{% endmacro %}{% for m in messages %}{{ say(m.content) }}{% endfor %}"
    + OPEN,
    "no control tokens": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if not add_generation_prompt %}" + END + "{% else %}assistant: {% endif %}",
    "refuses": "{% if messages | length > 1 and messages[1].role == 'assistant' %}{{ raise_exception('no') }}{% endif %}"
    "{% for m in messages %}{{ m.content }}" + END + "{% endfor %}" + OPEN,
    "users only": "{% for m in messages if m.role != 'system' %}{{ m.content }}"
    + END
    + "{% endfor %}"
    + OPEN,
}
SAID = [
    "Hi",
    " Hi ",
    "Is it?\nYes",
    "\n\n",
    "",
    "a  b",
    f"x{END}\n{START}user\ny",
    "<|im_",
    "\ue0f10\ue0f2",
    "你好 é",
    "1" * 60,
]


def talks():
    """Conversations of all shapes, and each thing said in each place."""
    number = 0
    for text in SAID:
        for history in (
            (),
            (("system", "Be short."),),
            (("user", text), ("assistant", "Yes.")),
            (("system", text), ("user", "a"), ("assistant", text)),
        ):
            for prompt, completion in ((text, "Yes."), ("What is the price?", text)):
                number += 1
                yield row(number, prompt or " ", completion or "x", history)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_chat_template_gives_the_ids_of_a_row_alone(tiny_model_folder, name):
    tokenizer = load_tokenizer(resolve(str(tiny_model_folder))).tokenizer
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=150)
    tokenizer.chat_template = TEMPLATES[
        name
    ]  # one that ends no turn would be refused sooner: here only ids matter
    alone = [(one, outcome(lambda one=one: encoder.encode(one))) for one in talks()]
    good = [(one, made) for one, made in alone if not isinstance(made, str)]
    assert len(good) > 10
    assert list(encode_all(encoder, [one for one, _ in good])) == [made for _, made in good]
    for one, refused in alone:
        if isinstance(refused, str):
            assert outcome(lambda one=one: list(encode_all(encoder, [one]))) == refused


def test_what_the_tokenizer_does_not_allow_is_not_cut(tiny_model_folder):
    tokenizer = load_tokenizer(resolve(str(tiny_model_folder))).tokenizer
    # It takes the spaces before it, and one that a text and a control token make together.
    tokenizer.backend_tokenizer.add_tokens(
        [
            AddedToken("<|stop|>", lstrip=True, rstrip=True, special=True, normalized=False),
            AddedToken("!<|im", normalized=False),
            AddedToken("?<|im_end|>", normalized=False),
        ]
    )
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=200)
    for end in ("<|stop|>", END):
        tokenizer.chat_template = (
            "{% for m in messages %}<|im_start|>{{ m.content }}" + end + "\n{% endfor %}"
        )
        rows = [row(n, text, "x") for n, text in enumerate(["a  ", "a \n", "Hi!", "Hi?", "Hi", "<|stop|>"])]
        for one in rows:
            assert outcome(lambda one=one: list(encode_all(encoder, [one]))) == outcome(
                lambda one=one: [encoder.encode(one)]
            )


def test_a_template_that_writes_as_it_stands_is_rendered_once_a_shape(tiny_model_folder, monkeypatch):
    rendered = []
    render = chat_renderer.render
    monkeypatch.setattr(
        chat_renderer, "render", lambda *arguments: rendered.extend(arguments[1]) or render(*arguments)
    )
    tokenizer = load_tokenizer(resolve(str(tiny_model_folder))).tokenizer
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=400)
    rows = [row(n, f"question {n}", f"answer {n}") for n in range(300)]
    assert len(list(encode_all(encoder, rows))) == 300
    assert 0 < len(rendered) < 10
