from __future__ import annotations

import pytest

from tutelage.chat import load_responders
from tutelage.core.errors import InputError
from tutelage.models import add_adapter, export, load, resolve

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}<|im_start|>"
QUESTION = [{"role": "user", "content": "What is the price?"}]


def ask(responder):
    return "".join(responder.stream(QUESTION, max_new_tokens=12, temperature=0.0, seed=0))


@pytest.fixture(scope="module")
def runs(tiny_model_folder, tmp_path_factory):
    """Two run folders of one tuning: the adapter alone, and merged."""
    import torch

    source = resolve(str(tiny_model_folder))
    tuned = add_adapter(
        load(source, chat_template=TEMPLATE), "lora", {"rank": 4, "alpha": 8, "dropout": 0.0}, seed=0
    )
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in tuned.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    folder = tmp_path_factory.mktemp("runs")
    for name in ("adapter", "merged"):
        (folder / name).mkdir()
        (folder / name / "recipe.yaml").write_text(f"model: {tiny_model_folder}\n")
        export(tuned, folder / name / "model", merge=name == "merged", base=source)
    return folder


@pytest.mark.parametrize("kind", ["adapter", "merged"])
def test_against_its_base_both_are_asked_with_the_runs_template(runs, tiny_model_folder, kind):
    tuned, base = load_responders(str(runs / kind), against="base")
    assert (tuned.label, base.label) == ("tuned", "base")
    (plain,) = load_responders(str(tiny_model_folder), chat_template=TEMPLATE)
    assert ask(base) == ask(plain)
    assert ask(tuned) != ask(base)
    # After the base has answered from the same weights, the tuned one is tuned again.
    assert ask(tuned) == ask(load_responders(str(runs / kind))[0])
    assert tuned.count(QUESTION) == base.count(QUESTION)


def test_against_another_model_each_keeps_its_own_template_and_name(runs, tiny_model_folder):
    mine, other = load_responders(str(runs / "merged"), against=str(tiny_model_folder))
    assert (mine.label, other.label) == (str(runs / "merged"), str(tiny_model_folder))
    assert mine.count(QUESTION) != other.count(QUESTION)


def test_a_model_that_was_not_tuned_has_no_base(tiny_model_folder):
    with pytest.raises(InputError, match="tuned from"):
        load_responders(str(tiny_model_folder), against="base")
    with pytest.raises(InputError, match="against itself"):
        load_responders(str(tiny_model_folder), against=str(tiny_model_folder))


def test_an_encoder_decoder_model_reads_the_last_question(tiny_t5_folder):
    (responder,) = load_responders(str(tiny_t5_folder))
    assert responder.remembers is False
    assert responder.count([{"role": "user", "content": "x y z"}, *QUESTION]) == responder.count(QUESTION)
    assert isinstance(ask(responder), str)
