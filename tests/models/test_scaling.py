"""A tuned model whose change is scaled: by alpha where an adapter stays one, else on the line between two models."""

from __future__ import annotations

import pytest
import torch

from tutelage.core.errors import InputError
from tutelage.models import add_adapter, export, load, resolve
from tutelage.models.scaling import write_scaled

ROW = torch.tensor([[5, 9, 17, 3, 40, 8]])


def tuned(tiny_model_folder, folder, method, **options):
    """A tuned model in a folder, and the change of the logits that it makes when the change is scaled."""
    base = resolve(str(tiny_model_folder))
    model = add_adapter(load(base), method, options, seed=0)
    draw = torch.Generator().manual_seed(0)
    for parameter in model.model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=draw)
    export(model, folder, merge=False, base=base)
    return base, resolve(str(folder))


def logits(source):
    with torch.inference_mode():
        return load(source).model(input_ids=ROW).logits


def merged_weights(source):
    return {
        name.replace("base_model.model.", "").replace(".base_layer", ""): value
        for name, value in load(source).model.state_dict().items()
    }


@pytest.mark.parametrize("method", ["lora", "rslora"])
def test_alpha_scales_a_lora_adapter(tiny_model_folder, tmp_path, method):
    options = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all-linear"}
    base, source = tuned(tiny_model_folder, tmp_path / "tuned", method, **options)
    for scale in (0.0, 0.4, 1.0):
        write_scaled(source, scale, tmp_path / f"{scale}")
        scaled = resolve(str(tmp_path / f"{scale}"))
        assert scaled.base is not None
        ends = {0.0: base, 1.0: source}
        if scale in ends:
            assert torch.allclose(logits(scaled), logits(ends[scale]), atol=1e-5)
        else:
            deltas = [_delta(load(each).model) for each in (source, scaled)]
            assert all(torch.allclose(scale * a, b, atol=1e-7) for a, b in zip(*deltas, strict=True))


def _delta(model):
    return [
        module.get_delta_weight("default")
        for module in model.modules()
        if hasattr(module, "get_delta_weight")
    ]


def test_other_methods_are_merged_and_lie_on_the_line(tiny_model_folder, tmp_path):
    base, source = tuned(tiny_model_folder, tmp_path / "tuned", "dora", rank=4, alpha=8.0, dropout=0.0, targets="all-linear")  # fmt: skip
    write_scaled(source, 0.5, tmp_path / "half")
    half = resolve(str(tmp_path / "half"))
    assert half.base is None
    start = load(base).model.state_dict()
    end = load(source).model.merge_and_unload().state_dict()
    for name, value in load(half).model.state_dict().items():
        assert torch.allclose(value, (start[name] + end[name]) / 2, atol=1e-6), name


def test_a_prompt_cannot_be_scaled(tiny_model_folder, tmp_path):
    _, source = tuned(tiny_model_folder, tmp_path / "tuned", "prompt-tuning", virtual_tokens=4)
    with pytest.raises(InputError, match="cannot be merged"):
        write_scaled(source, 0.5, tmp_path / "half")
    assert not (tmp_path / "half").exists()
