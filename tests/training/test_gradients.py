"""Adding gradients in place gives what plain autograd gives, and leaves nothing behind."""

from __future__ import annotations

import peft
import pytest
import torch
from torch import nn

from tutelage.tokens.batch import collate
from tutelage.training.completion_loss import loss_sum
from tutelage.training.gradients import in_place

OLD_NAMES = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # peft uses them
FAMILIES = ["llama", "gpt2", "qwen2", "gemma2", "gemma3", "opt", "bloom", "t5", "bart"]


def backward(model, rows):
    """Three micro-batches, the first of one row."""
    for micro in (rows[:1], rows[1:4], rows[4:]):
        loss_sum(model, collate(micro, pad_id=0)).backward()


def equal(found, expected):
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            found[name], gradient, rtol=1e-12, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weights_gradient_is_plain_autograds(family, make_model, make_rows, gradients):
    rows = make_rows(7, pairs=family in ("t5", "bart"))
    model = make_model(family)
    backward(model, rows)
    expected = gradients(model)
    model.zero_grad(set_to_none=True)
    with in_place(model):
        backward(model, rows)
    equal(gradients(model), expected)


def test_tied_weights_take_part_and_autograd_gives_them_nothing(make_model, make_rows):
    model, rows = make_model("llama"), make_rows(7)
    weight = model.lm_head.weight = model.get_input_embeddings().weight
    backward(model, rows)
    expected = weight.grad
    weight.grad = None
    seen = []
    with in_place(model):
        loss = loss_sum(model, collate(rows[:4], pad_id=0))
        hook = weight.register_hook(seen.append)  # a weight that has a hook beforehand is left to autograd
        loss.backward()
        hook.remove()
        loss_sum(model, collate(rows[4:], pad_id=0)).backward()
    assert seen == [None]
    torch.testing.assert_close(weight.grad, expected, rtol=1e-12, atol=1e-12)


@OLD_NAMES
def test_activations_computed_again_change_nothing(make_model, make_rows, gradients):
    model, rows = make_model("llama").train(), make_rows(7)
    backward(model, rows)
    expected = gradients(model)
    model.zero_grad(set_to_none=True)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    with in_place(model):
        backward(model, rows)
    equal(gradients(model), expected)


@OLD_NAMES
def test_an_adapter_is_trained_and_the_frozen_weights_get_no_gradient(make_model, make_rows, gradients):
    config = peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model, rows = peft.get_peft_model(make_model("llama"), config), make_rows(7)
    backward(model, rows)
    expected = gradients(model)
    model.zero_grad(set_to_none=True)
    with in_place(model):
        backward(model, rows)
    equal(gradients(model), expected)
    assert all("lora_" in name for name in expected)


def test_nothing_stays_behind_even_after_a_failure(make_model):
    model = make_model("llama")
    with in_place(model):
        assert "forward" in vars(model.lm_head)
        assert "forward" in vars(model.get_input_embeddings())
    assert not any("forward" in vars(module) for module in model.modules())
    with pytest.raises(RuntimeError, match="on purpose"), in_place(model):
        raise RuntimeError("on purpose")
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_wrapped_module_and_a_weight_with_hooks_are_left_to_autograd():
    hooked, wrapped = nn.Linear(3, 2), nn.Linear(3, 2)
    seen = []
    hooked.weight.register_post_accumulate_grad_hook(seen.append)
    own = wrapped.forward
    wrapped.forward = own
    with in_place(nn.Sequential(hooked, wrapped)):
        assert "forward" not in vars(hooked)
        hooked(torch.ones(1, 3)).sum().backward()
    assert len(seen) == 1
    assert wrapped.forward is own


def test_the_paddings_row_gets_no_gradient_and_repeated_rows_get_their_sum():
    embedding = nn.Embedding(5, 2, padding_idx=4, dtype=torch.float64)
    with in_place(embedding):
        embedding(torch.tensor([[1, 4, 1], [0, 4, 1]])).sum().backward()
    assert embedding.weight.grad.tolist() == [[1, 1], [3, 3], [0, 0], [0, 0], [0, 0]]


def test_a_bias_and_an_input_without_gradient():
    linear = nn.Linear(3, 2, dtype=torch.float64)
    x = torch.arange(6, dtype=torch.float64).reshape(1, 2, 3)
    with in_place(linear):
        linear(x).sum().backward()
        linear(x).sum().backward()
    assert linear.weight.grad.tolist() == [[6, 10, 14], [6, 10, 14]]
    assert linear.bias.grad.tolist() == [4, 4]


def test_an_embedding_that_autograd_must_handle_is_left_alone():
    embedding = nn.Embedding(5, 2, scale_grad_by_freq=True)
    with in_place(embedding):
        assert "forward" not in vars(embedding)
        embedding(torch.tensor([1, 1])).sum().backward()
    assert embedding.weight.grad[1].tolist() == [1, 1]


def test_without_gradients_it_is_the_plain_forward(make_model, make_rows):
    model = make_model("llama").eval()
    batch = collate(make_rows(3), pad_id=0)
    with torch.no_grad():
        expected = loss_sum(model, batch)
        with in_place(model):
            found = loss_sum(model, batch)
    assert not found.requires_grad
    assert torch.equal(found, expected)
