from __future__ import annotations

import pytest
import torch

from tutelage.core.errors import InputError
from tutelage.models import add_adapter, export, load, merge, resolve
from tutelage.models.combine import combine


@pytest.fixture
def make(tiny_model_folder, tmp_path):
    def adapter(name, method="lora", **options):
        tuned = add_adapter(load(resolve(str(tiny_model_folder))), method, options, seed=0)
        draw = torch.Generator().manual_seed(len(name))
        with torch.no_grad():
            for key, parameter in tuned.model.named_parameters():
                if parameter.requires_grad and ("lora_B" in key or method == "ia3"):
                    parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
        export(tuned, tmp_path / name, merge=False, base=resolve(str(tiny_model_folder)))
        return resolve(str(tmp_path / name))

    return adapter


def weights(loaded):
    return {n: p.detach() for n, p in merge(loaded).model.named_parameters()}


def changes(source):
    base = dict(load(source.base).model.named_parameters())
    return {n: p - base[n].detach() for n, p in weights(load(source)).items()}


@pytest.mark.parametrize("combination", ["cat", "svd"])
def test_the_sum_of_adapters_is_the_sum_of_their_changes(make, tmp_path, combination):
    """Ranks, scales and methods may differ; cat is exact, svd is so where the ranks suffice."""
    apart = combination == "svd"
    one = make("a", rank=2, alpha=4.0, targets=["v_proj"] if apart else "all-linear")
    other = make("bb", "rslora", rank=16 if apart else 4, targets=["q_proj"])
    both = combine([one, other], [0.75, -0.5], combination=combination)
    base = dict(load(one.base).model.named_parameters())
    first, second = changes(one), changes(other)
    summed = weights(both)
    for name, weight in summed.items():
        want = base[name] + 0.75 * first[name] - 0.5 * second[name]
        assert torch.allclose(weight, want, atol=5e-6), name
    export(both, tmp_path / "sum", merge=False, base=one.base)
    for name, weight in weights(load(resolve(str(tmp_path / "sum")))).items():
        assert torch.allclose(weight, summed[name], atol=1e-6), name


def test_the_nearest_sum_of_rslora_adapters_has_their_scale_once(make):
    one, other = make("a", "rslora", rank=4), make("bb", "rslora", rank=4)
    want = weights(load(one))
    summed = weights(combine([one, other], [1.0, 0.0], combination="svd"))
    assert all(torch.allclose(summed[name], want[name], atol=5e-6) for name in want)


def test_linear_adds_the_factors_and_needs_one_rank(make):
    one, other = make("a", rank=4), make("bb", rank=4)
    exact, rough = (weights(combine([one, other], [0.5, 0.5], combination=c)) for c in ("cat", "linear"))
    assert any(not torch.allclose(exact[n], rough[n], atol=1e-4) for n in exact)
    with pytest.raises(InputError, match="must have one rank"):
        combine([one, make("ccc", rank=2)], [0.5, 0.5], combination="linear")


def test_what_has_no_sum_is_refused(make, tiny_model_folder, tiny_t5_folder, tmp_path):
    one = make("a", rank=4)
    for method in ("dora", "ia3", "oft", "prompt-tuning", "prefix-tuning"):
        with pytest.raises(InputError, match=f"{method} cannot be added to another adapter"):
            combine([one, make(f"other-{method}", method)], [0.5, 0.5])
    with pytest.raises(InputError, match="only adapters"):
        combine([one, resolve(str(tiny_model_folder))], [0.5, 0.5])
    with pytest.raises(InputError, match="one weight"):
        combine([one, one], [0.5])
    with pytest.raises(InputError, match="no finite number"):
        combine([one, one], [float("nan"), 1.0])
    foreign = add_adapter(load(resolve(str(tiny_t5_folder))), "lora", {"rank": 4}, seed=0)
    export(foreign, tmp_path / "t5", merge=False, base=resolve(str(tiny_t5_folder)))
    with pytest.raises(InputError, match="different models"):
        combine([one, resolve(str(tmp_path / "t5"))], [0.5, 0.5])
