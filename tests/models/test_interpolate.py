from __future__ import annotations

import json
import shutil
import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file

from tutelage.cli import export as cli
from tutelage.core import manifest
from tutelage.core.errors import InputError
from tutelage.models import add_adapter, export, load, merge, resolve
from tutelage.models.interpolate import interpolate


@pytest.fixture
def pair(tiny_model_folder, tmp_path):
    """The base's folder and one with other weights."""
    tuned = tmp_path / "tuned"
    shutil.copytree(tiny_model_folder, tuned)
    draw = torch.Generator().manual_seed(0)
    state = load_file(tuned / "model.safetensors")
    moved = {n: t + 0.1 * torch.randn(t.shape, generator=draw) for n, t in state.items()}
    save_file(moved, tuned / "model.safetensors", {"format": "pt"})
    return tiny_model_folder, tuned


def test_every_weight_lies_on_the_line_and_the_ends_are_exact(pair, tmp_path):
    base, tuned = (load_file(folder / "model.safetensors") for folder in pair)
    for share in (0.0, 0.3, 1.0):
        interpolate(*pair, share, tmp_path / "out")
        for name, got in load_file(tmp_path / "out" / "model.safetensors").items():
            want = {0.0: base[name], 1.0: tuned[name]}.get(share)
            if want is not None:
                assert torch.equal(got, want)
            else:
                assert torch.allclose(got, base[name] + share * (tuned[name] - base[name]), atol=1e-6)
    model = load(resolve(str(tmp_path / "out")))
    assert model.chat_template
    assert model.model.get_input_embeddings().weight is model.model.get_output_embeddings().weight
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_pieces_types_and_copies_of_tied_weights_are_taken_as_they_are(pair, tmp_path):
    """A base in bf16 that holds the tied output layer twice, a tuned model in two pieces: the tuned one's form stays."""
    base, tuned = pair
    low = tmp_path / "low"
    shutil.copytree(base, low)
    state = {n: t.bfloat16() for n, t in load_file(low / "model.safetensors").items()}
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    save_file(state, low / "model.safetensors", {"format": "pt"})
    moved = load_file(tuned / "model.safetensors")
    (tuned / "model.safetensors").unlink()
    names = sorted(moved)
    index = {}
    for number, part in enumerate((names[:5], names[5:])):
        file = f"model-{number}.safetensors"
        save_file({n: moved[n] for n in part}, tuned / file, {"format": "pt"})
        index.update(dict.fromkeys(part, file))
    (tuned / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    interpolate(low, tuned, 0.5, tmp_path / "out")
    got = {
        **load_file(tmp_path / "out/model-0.safetensors"),
        **load_file(tmp_path / "out/model-1.safetensors"),
    }
    assert sorted(got) == names
    for name, tensor in got.items():
        assert tensor.dtype == torch.float32
        assert torch.allclose(tensor, (state[name].float() + moved[name]) / 2, atol=1e-6)
    load(resolve(str(tmp_path / "out")))


def test_the_tensors_go_through_memory_one_at_a_time(pair, tmp_path, monkeypatch):
    from tutelage.models import interpolate as module

    read, living = [], []
    real = module._interpolated

    class Noted:
        def __init__(self, tensor):
            self.tensor = tensor

        def __getitem__(self, index):
            tensor = self.tensor[index]
            read.append(weakref.ref(tensor))
            living.append(sum(one() is not None for one in read))
            return tensor

    def interpolated(name, base, tuned, share):
        return real(name, Noted(base), Noted(tuned), share)

    monkeypatch.setattr(module, "_interpolated", interpolated)
    interpolate(*pair, 0.5, tmp_path / "out")
    assert len(read) == 2 * len(load_file(pair[1] / "model.safetensors"))
    assert max(living) == 2, "one of the base and one of the tuned model"


def spoil(tuned, how):
    state = load_file(tuned / "model.safetensors")
    config = json.loads((tuned / "config.json").read_text())
    if how == "shape":
        state["model.norm.weight"] = torch.zeros(7)
    elif how == "name":
        state["model.more.weight"] = torch.zeros(3)
    elif how == "untied":
        config["tie_word_embeddings"] = False
    elif how == "kind":
        state["model.norm.weight"] = state["model.norm.weight"].long()
    elif how == "model":
        config["model_type"] = "mistral"
    save_file(state, tuned / "model.safetensors", {"format": "pt"})
    (tuned / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("shape", "another shape or kind"),
        ("kind", "another shape or kind"),
        ("name", "other tensors"),
        ("untied", "differ in their settings"),
        ("model", "differ in their settings"),
    ],
)
def test_models_that_do_not_belong_together_are_refused_and_nothing_is_written(pair, tmp_path, how, problem):
    spoil(pair[1], how)
    with pytest.raises(InputError, match=problem):
        interpolate(*pair, 0.5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_share_beyond_the_ends_and_a_folder_of_something_else_are_refused(pair, tmp_path):
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="not a share"):
            interpolate(*pair, share, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="did not write"):
        interpolate(*pair, 0.5, tmp_path / "mine")


def test_a_write_that_fails_leaves_nothing(pair, tmp_path, monkeypatch):
    from tutelage.models import interpolate as module

    def fail(*_):
        raise KeyboardInterrupt

    before = manifest.of_folder(pair[1])
    monkeypatch.setattr(module, "_interpolated", fail)
    with pytest.raises(KeyboardInterrupt):
        interpolate(*pair, 0.5, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tuned"]
    assert manifest.of_folder(pair[1]) == before


def test_the_command_merges_an_adapter_for_it_adds_up_and_refuses_unread_options(
    tiny_model_folder, tmp_path, capsys
):
    source = resolve(str(tiny_model_folder))
    tuned = add_adapter(load(source), "lora", {"rank": 4}, seed=0)
    with torch.no_grad():
        for name, parameter in tuned.model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.02)
    export(tuned, tmp_path / "a", merge=False, base=source)
    whole = dict(merge(tuned).model.named_parameters())
    base = dict(load(source).model.named_parameters())
    adapter = str(tmp_path / "a")
    cli.export(adapter, tmp_path / "half", interpolate=0.5)
    cli.export(adapter, tmp_path / "sum", add=[adapter], weights="0.25,0.25", merge=True)
    assert "from_pretrained" in capsys.readouterr().out
    for place in ("half", "sum"):
        for name, got in load(resolve(str(tmp_path / place))).model.named_parameters():
            assert torch.allclose(got, (whole[name] + base[name]) / 2, atol=1e-6), (place, name)
    for wrong in (
        {"weights": "1,1"},
        {"combination": "svd"},
        {"interpolate": 0.5, "merge": True},
        {"interpolate": 0.5, "add": [adapter]},
        {"add": [adapter], "weights": "1,x"},
    ):
        with pytest.raises(InputError):
            cli.export(adapter, tmp_path / "wrong", **wrong)
