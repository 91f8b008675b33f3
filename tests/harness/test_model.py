"""The class that lm-eval calls, with minimal classes in lm-eval's place; tests/parity compares it with lm-eval itself."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace

import pytest

from tutelage.cli.main import main
from tutelage.core.errors import InputError
from tutelage.harness import __main__ as harness_main
from tutelage.harness import installation
from tutelage.models import load, resolve

NAMES = ("lm_eval", "lm_eval.api", "lm_eval.api.model", "lm_eval.api.registry")


class LM:
    def __init__(self):
        self.cache_hook = SimpleNamespace(add_partial=lambda *args: self.cached.append(args))
        self.cached = []

    @classmethod
    def create_from_arg_obj(cls, arg_dict, additional_config=None):
        return cls(**arg_dict, **{k: v for k, v in (additional_config or {}).items() if v is not None})

    @classmethod
    def create_from_arg_string(cls, arg_string, additional_config=None):
        return cls.create_from_arg_obj(
            dict(pair.split("=") for pair in arg_string.split(",")), additional_config
        )


@pytest.fixture
def harness(monkeypatch):
    """The module `tutelage.harness.model`, and the classes that it registers by name."""
    registered: dict[str, type] = {}
    for name in NAMES:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["lm_eval.api.model"].LM = LM
    sys.modules["lm_eval.api.registry"].register_model = lambda name: (
        lambda kind: registered.setdefault(name, kind)
    )
    monkeypatch.setattr(metadata, "version", lambda _: "0.4.13")
    sys.modules.pop("tutelage.harness.model", None)
    module = importlib.import_module("tutelage.harness.model")
    yield module, registered
    sys.modules.pop("tutelage.harness.model", None)


@pytest.fixture
def lm(harness, tiny_model_folder):
    return harness[0].TutelageLM(load(resolve(str(tiny_model_folder))))


def instance(*args, task="animals"):
    return SimpleNamespace(args=args, task_name=task)


def test_it_is_registered_and_made_from_arguments(harness, tiny_model_folder):
    module, registered = harness
    assert registered == {"tutelage": module.TutelageLM}
    kind = registered["tutelage"]
    made = kind.create_from_arg_obj(
        {"pretrained": str(tiny_model_folder), "max_length": 99}, {"batch_size": 1, "device": None}
    )
    assert made.get_model_info()["max_length"] == 99
    # lm-eval's command names cuda where nobody names a device.
    assert kind.create_from_arg_obj({"pretrained": str(tiny_model_folder)}, {"device": "cuda:0"}) is not None
    text = f"pretrained={tiny_model_folder},dtype=bfloat16"
    made = kind.create_from_arg_string(text, {"batch_size": "auto", "max_batch_size": 64, "device": "cpu"})
    assert made.get_model_info()["model_dtype"] == "torch.bfloat16"
    with pytest.raises(InputError, match="no such arguments"):
        kind.create_from_arg_obj({"pretrained": str(tiny_model_folder), "batch_size": 3})


def test_answers_go_to_lm_evals_cache(lm):
    pairs = [instance("Hello,", " yes"), instance("Hello,", " no")]
    scores = lm.loglikelihood(pairs)
    assert [type(part) for part in scores[0]] == [float, bool]
    (total,) = lm.loglikelihood_rolling([instance("yes")])
    settings = {"until": ["no"], "max_gen_toks": 4, "do_sample": False}
    (text,) = lm.generate_until([instance("Hello,", settings)])
    assert lm.cached == [
        ("loglikelihood", ("Hello,", " yes"), scores[0]),
        ("loglikelihood", ("Hello,", " no"), scores[1]),
        ("loglikelihood_rolling", ("yes",), total),
        ("generate_until", ("Hello,", settings), text),
    ]


def test_a_task_that_samples_is_refused_by_name(lm):
    with pytest.raises(InputError) as raised:
        lm.generate_until([instance("Hello,", {"do_sample": True}, task="drawn")])
    assert raised.value.where == "drawn: generation_kwargs.do_sample"


def test_chat_template(lm):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    text = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    assert lm.apply_chat_template(turns) == text
    opened = [*turns, {"role": "assistant", "content": "The answer: "}]
    assert lm.apply_chat_template(opened, add_generation_prompt=False) == text + "The answer: "
    with pytest.raises(InputError, match="changes the beginning of the answer"):
        lm.apply_chat_template([*turns, {"role": "assistant", "content": " "}], add_generation_prompt=False)
    assert lm.chat_template(False) is None
    assert lm.chat_template(True) == lm.loaded.chat_template
    with pytest.raises(InputError, match="not chosen here"):
        lm.chat_template("tool_use")
    # The text goes back as a context: its control tokens are read as such.
    assert lm._answers.encoder.pair(text, "yes").prompt.count(1) == 3


def test_a_template_without_system_prompts_gets_none(harness, tiny_model_folder):
    template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    lm = harness[0].TutelageLM(load(resolve(str(tiny_model_folder)), chat_template=template))
    user = {"role": "user", "content": "Hello"}
    with_system = lm.apply_chat_template([{"role": "system", "content": "Be brief."}, user])
    assert with_system == lm.apply_chat_template([user])


def test_names_for_lm_evals_cache_of_requests(harness, tiny_model_folder, tiny_t5_folder):
    names = {
        harness[0].TutelageLM(str(folder)).tokenizer_name for folder in (tiny_model_folder, tiny_t5_folder)
    }
    assert len(names) == 2
    with pytest.raises(InputError, match="no chat template"):
        harness[0].TutelageLM(str(tiny_t5_folder)).apply_chat_template([{"role": "user", "content": "a"}])


@pytest.mark.parametrize("version", ["0.4.12", "0.3.0", "0.5.0", "1.0"])
def test_other_versions_are_refused(monkeypatch, version):
    monkeypatch.setattr(metadata, "version", lambda _: version)
    with pytest.raises(InputError, match="not supported"):
        installation.require_lm_eval()


def test_the_command_says_how_to_install_lm_eval(monkeypatch, capsys):
    def absent(_name):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", absent)
    assert main(["harness", "no-model", "--tasks", "rte"]) == 2
    assert "pip install 'tutelage[lm-eval]'" in capsys.readouterr().err


def test_so_does_lm_evals_command_line_with_our_model(monkeypatch, capsys):
    def absent(_name):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.delitem(sys.modules, "tutelage.harness.model", raising=False)
    assert harness_main.main() == 2
    assert "pip install 'tutelage[lm-eval]'" in capsys.readouterr().err
