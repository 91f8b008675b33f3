"""What is written loads with plain transformers and peft, by the very lines that the report prints."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest

from tutelage.core.errors import InputError
from tutelage.models import add_adapter, bundled, export, load, loading_lines, resolve

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}<|im_start|>"
QUESTIONS = ["Hello", "What is the price?", "yes no 12", "Paris"]


def answers(model, tokenizer, *, template=True):
    """Greedy answers as a stranger would get them: generate with nothing but a length."""
    import torch

    out = []
    for question in QUESTIONS:
        text = (
            tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
            if template
            else question
        )
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        out.append(
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=8)[0].tolist()
        )
    return out


def tuned_model(folder, *, template=TEMPLATE):
    import torch

    loaded = add_adapter(
        load(resolve(str(folder)), chat_template=template),
        "lora",
        {"rank": 4, "alpha": 8, "dropout": 0.1},
        seed=0,
    )
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    loaded.model.eval()
    return loaded


def run_lines(lines):
    space: dict = {}
    with warnings.catch_warnings():
        # peft asks transformers by a name that transformers is about to drop; nothing of ours.
        warnings.simplefilter("ignore", FutureWarning)
        exec("\n".join(lines), space)  # noqa: S102  # the lines that a person would paste
    return space["model"], space["tokenizer"]


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("fixture", ["tiny_model_folder", "tiny_t5_folder"])
def test_the_printed_lines_give_the_same_greedy_answers(request, tmp_path, fixture, merged):
    folder = request.getfixturevalue(fixture)
    chat = fixture == "tiny_model_folder"
    loaded = tuned_model(folder, template=TEMPLATE if chat else None)
    want = answers(loaded.model, loaded.tokenizer, template=chat)
    base = load(resolve(str(folder)), chat_template=loaded.chat_template)
    assert answers(base.model, base.tokenizer, template=chat) != want

    export(loaded, tmp_path / "out", merge=merged, base=resolve(str(folder)))
    lines = loading_lines(tmp_path / "out")
    assert len(lines) == 3
    model, tokenizer = run_lines(lines)
    assert answers(model, tokenizer, template=chat) == want
    assert tokenizer.chat_template == loaded.chat_template

    again = load(resolve(str(tmp_path / "out")))
    assert again.adapter is not merged
    assert answers(again.model, again.tokenizer, template=chat) == want
    # The live model was not changed by being written.
    assert answers(loaded.model, loaded.tokenizer, template=chat) == want


def test_merged_weights_are_rounded_once_to_the_format_that_is_named(
    tiny_model_folder, tmp_path, monkeypatch
):
    import torch
    from safetensors.torch import load_file

    from tutelage.cli.main import main

    monkeypatch.chdir(tmp_path)
    export(tuned_model(tiny_model_folder), Path("tuned"), merge=False, base=resolve(str(tiny_model_folder)))
    assert main(["export", "tuned", "--merge", "--to", "whole"]) == 0
    assert main(["export", "tuned", "--merge", "--dtype", "bfloat16", "--to", "rounded"]) == 0
    whole, rounded = (load_file(Path(name, "model.safetensors")) for name in ("whole", "rounded"))
    assert {tensor.dtype for tensor in rounded.values()} == {torch.bfloat16}
    assert all(torch.equal(tensor.to(torch.bfloat16), rounded[name]) for name, tensor in whole.items())
    assert main(["export", "tuned", "--dtype", "bfloat16", "--to", "other"]) == 2
    assert not Path("other").exists()


def test_a_merged_folder_holds_the_adapter_too(tiny_model_folder, tmp_path):
    loaded = tuned_model(tiny_model_folder)
    export(loaded, tmp_path / "out", merge=True, base=resolve(str(tiny_model_folder)))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "README.md",
        "adapter",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "tutelage.json",
    ]
    apart, _ = run_lines(
        [
            "from peft import AutoPeftModelForCausalLM; tokenizer = None",
            f"model = AutoPeftModelForCausalLM.from_pretrained({str(tmp_path / 'out' / 'adapter')!r})",
        ]
    )
    assert answers(apart, loaded.tokenizer) == answers(loaded.model, loaded.tokenizer)


def test_the_settings_are_plain_and_name_no_machine_but_the_adapters_base(
    tiny_model_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_model_folder.parent)
    base = resolve("tiny-llama")
    export(tuned_model("tiny-llama"), tmp_path / "out", merge=True, base=base)
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (2, 0)
    adapter = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(tiny_model_folder)
    assert adapter["target_modules"] == sorted(adapter["target_modules"])
    written = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".json", ".jinja", ".md")]
    names_base = {"adapter_config.json", "base.json"}
    text = "".join(path.read_text() for path in written if path.name not in names_base)
    for place in (str(tmp_path), str(tiny_model_folder.parent), str(Path.home()) + "/"):
        assert place not in text


def test_tied_embeddings_are_written_once(tiny_model_folder, tmp_path):
    from safetensors import safe_open

    export(tuned_model(tiny_model_folder), tmp_path / "out", merge=True, base=resolve(str(tiny_model_folder)))
    with safe_open(tmp_path / "out" / "model.safetensors", framework="np") as file:
        names = set(file.keys())
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names


def test_a_fully_tuned_model_is_written_whole(tiny_model_folder, tmp_path):
    import torch

    loaded = load(resolve(str(tiny_model_folder)), chat_template=TEMPLATE)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.mul_(1.1)
    export(loaded, tmp_path / "out", merge=False, base=resolve(str(tiny_model_folder)))
    assert not (tmp_path / "out" / "adapter").exists()
    model, tokenizer = run_lines(loading_lines(tmp_path / "out"))
    assert answers(model, tokenizer) == answers(loaded.model, loaded.tokenizer)


def test_the_same_model_gives_the_same_bytes(tiny_model_folder, tmp_path):
    from tutelage.core import manifest

    base = resolve(str(tiny_model_folder))
    for name in ("a", "b"):
        export(tuned_model(tiny_model_folder), tmp_path / name, merge=True, base=base)
    assert manifest.of_folder(tmp_path / "a") == manifest.of_folder(tmp_path / "b")


def test_a_model_is_replaced_but_nothing_else_is(tiny_model_folder, tmp_path):
    loaded, base = load(resolve(str(tiny_model_folder))), resolve(str(tiny_model_folder))
    export(loaded, tmp_path / "out", merge=False, base=base)
    export(loaded, tmp_path / "out", merge=False, base=base)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="did not write"):
        export(loaded, tmp_path / "mine", merge=False, base=base)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(InputError, match="a file of the folder's name"):
        export(loaded, tmp_path / "mine" / "thesis.txt", merge=False, base=base)


def test_a_write_that_fails_leaves_what_was_there(tiny_model_folder, tmp_path, monkeypatch):
    from tutelage.core import manifest

    loaded, base = load(resolve(str(tiny_model_folder))), resolve(str(tiny_model_folder))
    export(loaded, tmp_path / "out", merge=False, base=base)
    before = manifest.of_folder(tmp_path / "out")

    def fail(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(loaded.tokenizer, "save_pretrained", fail)
    with pytest.raises(KeyboardInterrupt):
        export(loaded, tmp_path / "out", merge=False, base=base)
    assert manifest.of_folder(tmp_path / "out") == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_lines_for_a_hub_base_load_it_through_peft_and_pin_nothing_local(tmp_path):
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "some/model", "revision": "c0ffee", "task_type": "CAUSAL_LM"})
    )
    lines = loading_lines(tmp_path, shown="runs/x/model")
    assert "AutoPeftModelForCausalLM.from_pretrained('runs/x/model'" in lines[2]


def test_lines_for_an_adapter_of_the_bundled_model_say_where_that_stands(tmp_path):
    name = "smollm2-135m-instruct"
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": name, "task_type": "CAUSAL_LM"})
    )
    assert str(bundled.find(name).folder) in loading_lines(tmp_path)[2]


def test_peft_finds_the_base_of_an_adapter_from_anywhere(tiny_model_folder, tmp_path, monkeypatch):
    """A base that was named by a path from here, or that stands in the cache under a name that only Tutelage knows."""
    from dataclasses import replace

    monkeypatch.chdir(tiny_model_folder.parent)
    loaded = tuned_model("tiny-llama")
    want = answers(loaded.model, loaded.tokenizer)
    export(loaded, tmp_path / "out", merge=False, base=resolve("tiny-llama"))
    monkeypatch.chdir(tmp_path)
    model, tokenizer = run_lines(loading_lines(tmp_path / "out"))
    assert answers(model, tokenizer) == want
    again = resolve(str(tmp_path / "out"))
    assert again.base.folder == tiny_model_folder

    bundle = replace(resolve(str(tiny_model_folder)), name="smollm2-135m-instruct", kind="bundled")
    export(loaded, tmp_path / "bundled", merge=False, base=bundle)
    model, _ = run_lines(loading_lines(tmp_path / "bundled"))
    assert answers(model, tokenizer) == want
    readme = (tmp_path / "bundled" / "README.md").read_text()
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in readme
    assert "Trained on the Q4_1-rounded weights of HuggingFaceTB/SmolLM2-135M-Instruct, fingerprint" in readme
    assert "on whose own weights answers differ" in readme

    from tutelage.cli import export as cli

    export(loaded, tmp_path / "merged", merge=True, base=bundle)
    cli.export(str(tmp_path / "merged"), tmp_path / "copied")
    assert (tmp_path / "copied" / "README.md").read_text() == readme.replace("peft", "transformers")
    cli.export(str(tiny_model_folder), tmp_path / "base")
    assert not (tmp_path / "base" / "README.md").exists()


def test_a_bundled_base_that_the_cache_has_lost_is_fetched_by_its_name(
    tiny_wheel, cache, tmp_path, monkeypatch
):
    path, spec = tiny_wheel
    monkeypatch.setenv("TUTELAGE_WHEELS", str(path.parent))
    monkeypatch.setattr(bundled, "table", lambda: {"tiny": spec})
    base = resolve("tiny")
    export(tuned_model("tiny"), tmp_path / "out", merge=False, base=base)
    assert json.loads((tmp_path / "out/adapter_config.json").read_text())["base_model_name_or_path"] == str(
        base.folder
    )
    assert resolve(str(tmp_path / "out")).base.kind == "bundled"
    loaded = load(resolve(str(tmp_path / "out")))
    model, tokenizer = run_lines(loading_lines(tmp_path / "out"))
    assert answers(model, tokenizer) == answers(loaded.model, loaded.tokenizer)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "another machine's"))
    shutil.rmtree(base.folder)
    again = resolve(str(tmp_path / "out"))
    assert (again.base.kind, again.base.name) == ("bundled", "tiny")
    load(again)


def test_an_adapter_is_not_put_on_other_weights_than_it_was_tuned_on(tiny_model_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    base = Path(shutil.copytree(tiny_model_folder, tmp_path / "base"))
    export(tuned_model(base), tmp_path / "out", merge=False, base=resolve(str(base)))
    load(resolve(str(tmp_path / "out")))
    state = load_file(base / "model.safetensors")
    save_file(
        {name: tensor * 1.01 for name, tensor in state.items()}, base / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match="other weights than those that it was tuned on"):
        load(resolve(str(tmp_path / "out")))
    record = tmp_path / "out" / "base.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "weights_sha256": 5}))
    with pytest.raises(InputError, match="other weights than those that it was tuned on"):
        load(resolve(str(tmp_path / "out")))
    record.unlink()
    load(resolve(str(tmp_path / "out")))


def test_an_adapter_whose_base_was_moved_says_so_and_a_link_helps(tiny_model_folder, tmp_path):
    base = Path(shutil.copytree(tiny_model_folder, tmp_path / "base"))
    export(tuned_model(base), tmp_path / "out", merge=False, base=resolve(str(base)))
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no longer there") as caught:
        resolve(str(tmp_path / "out"))
    assert caught.value.where == str(tmp_path / "out" / "adapter_config.json")
    assert "ln -s" in (caught.value.fix or "")
    base.symlink_to(tmp_path / "elsewhere")
    load(resolve(str(tmp_path / "out")))
