"""The loss and its gradients against one row at a time, whatever the family and the cuts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tutelage.core.types import Encoded
from tutelage.models.methods import find
from tutelage.tokens.batch import collate, micro_batches
from tutelage.training.completion_loss import isolates_rows, loss_sum

from .plain import OPTIONS, put_on

APART = ["llama", "gpt2", "qwen2", "gemma2", "gemma3"]
ALONE = ["opt", "bloom"]
PAIRS = ["t5", "bart"]
BOTH = [*PAIRS, "t5-v1.1", "mt5"]
# These compute a softmax or a norm in fp32 whatever the weights are, and round differently by length.
SINGLE = {"gemma2": 1e-5, "gemma3": 1e-6, "t5": 1e-5, "bloom": 1e-5}


@pytest.fixture(params=[*APART, *ALONE, *PAIRS])
def family(request):
    return request.param


def close(got, want, tolerance):
    assert (got - want).norm() <= tolerance * want.norm() + 1e-14


def test_loss_and_gradients_equal_a_plain_reference_whatever_the_cuts(
    family, make_model, make_rows, reference_loss, gradients
):
    model = make_model(family)
    model.train()
    rows = make_rows(9, pairs=family in PAIRS)
    wanted = sum(row.n_loss for row in rows)
    total = sum(reference_loss(model, row) for row in rows) / wanted
    total.backward()
    want = gradients(model)
    apart = isolates_rows(model, torch.device("cpu"))
    assert apart == (family not in ALONE)
    for tokens in (0, 20, 47, 10_000) if apart else (0,):
        model.zero_grad()
        loss = 0.0
        for micro in micro_batches(rows, tokens=tokens):
            part = loss_sum(model, collate(micro, pad_id=0)) / wanted
            part.backward()
            loss += part.item()
        tolerance = SINGLE.get(family, 1e-10)
        assert loss == pytest.approx(total.item(), rel=tolerance)
        got = gradients(model)
        assert got.keys() == want.keys()
        for name, gradient in want.items():
            # A key bias moves no softmax: its gradient is rounding alone, so the scale is the largest one's.
            scale = max(gradient.norm().item(), 1e-4 * max(g.norm().item() for g in want.values()))
            assert (got[name] - gradient).norm().item() <= tolerance * scale, name


def test_a_leak_between_rows_is_noticed_in_half_precision_too(make_model):
    for family, apart in (("llama", True), ("gemma2", True), ("opt", False), ("bloom", False)):
        model = make_model(family, dtype=torch.bfloat16)
        assert isolates_rows(model, torch.device("cpu")) is apart
        assert not model.training or model.train() is model


def test_the_probe_leaves_the_model_as_it_was(make_model):
    model = make_model("llama")
    for training in (True, False):
        model.train(training)
        isolates_rows(model, torch.device("cpu"))
        assert model.training is training
    assert all(p.grad is None for p in model.parameters())


def test_the_output_layer_sees_only_what_bears_loss(make_model, make_rows):
    model = make_model("llama")
    rows = make_rows(6)
    seen = []
    model.lm_head.register_forward_hook(lambda _m, args, _out: seen.append(args[0].shape))
    loss_sum(model, collate(rows, pad_id=0))
    assert seen == [(1, sum(row.n_loss for row in rows), 16)]


@pytest.mark.parametrize("family", ["llama", "t5"], indirect=True)
def test_prompt_targets_give_no_gradient(family, make_model, make_rows, gradients):
    model = make_model(family)
    pairs = family in PAIRS
    silent = [
        Encoded(r.id, r.task, r.ids, (False,) * len(r.ids), source=r.source)
        for r in make_rows(3, pairs=pairs, seed=5)
    ]
    loss = loss_sum(model, collate(silent, pad_id=0))
    loss.backward()
    assert loss.item() == 0
    assert all(float(g.abs().max()) == 0 for g in gradients(model).values())
    # And beside rows that do bear loss they change nothing.
    rows = make_rows(3, pairs=pairs)
    model.zero_grad()
    loss_sum(model, collate(rows, pad_id=0)).backward()
    want = gradients(model)
    model.zero_grad()
    loss_sum(model, collate([*silent, *rows], pad_id=0)).backward()
    for name, gradient in gradients(model).items():
        close(gradient, want[name], SINGLE.get(family, 1e-10))


@pytest.mark.parametrize(
    ("family", "name", "flat"),
    [
        (family, name, flat)
        for family in (*APART, *BOTH)
        for name in ("full", *OPTIONS)
        for flat in ((False, True) if family in BOTH and "packing" not in find(name).cannot else (False,))
        if (family, name) != ("gpt2", "oft")
    ],
    indirect=["family"],
)
def test_where_no_target_is_the_gradient_is_exactly_zero(family, name, flat, make_model, make_rows):
    """Of the output layer's input: it has a gradient at each prediction of a completion's token and nowhere else."""
    model = put_on(make_model(family), name)
    rows = make_rows(1 if name == "prefix-tuning" and family not in BOTH else 6, pairs=family in BOTH)
    if family in BOTH:  # what stands before an answer on the decoder's side is given, as BART's <s> is
        rows = [replace(row, ids=(3, *row.ids), loss_mask=(False, *row.loss_mask)) for row in rows]
    seen = []

    def note(_module, args):
        args[0].retain_grad()
        seen.append(args[0])

    body = model.get_base_model() if name != "full" else model
    body.get_output_embeddings().register_forward_pre_hook(note)
    loss_sum(model, collate(rows, pad_id=0, flat=flat)).backward()
    reached = (seen[0].grad.abs().sum(-1) > 0).tolist()
    if family not in BOTH:  # other places do not get that far
        assert reached == [[True] * sum(row.n_loss for row in rows)]
    elif flat:
        assert reached == [[bears for row in rows for bears in row.loss_mask]]
    else:
        longest = max(len(row.ids) for row in rows)
        assert reached == [[*row.loss_mask, *[False] * (longest - len(row.ids))] for row in rows]
    assert all(row.loss_mask[0] is False for row in rows)


def test_padding_of_pairs_changes_nothing(make_model, make_rows):
    model = make_model("bart")
    short, long = make_rows(1, pairs=True)[0], Encoded("l", "t", (5,) * 30, (True,) * 30, source=(6,) * 30)
    both = loss_sum(model, collate([short, long], pad_id=0))
    each = loss_sum(model, collate([short], pad_id=0)) + loss_sum(model, collate([long], pad_id=0))
    assert both.item() == pytest.approx(each.item(), rel=1e-10)


def test_what_stands_before_the_answer_is_read_but_not_learned(make_model, reference_loss):
    model = make_model("bart")
    row = Encoded("a", "t", (1, 7, 8, 2), (False, True, True, True), source=(1, 9, 2))
    got = loss_sum(model, collate([row], pad_id=0))
    assert got.item() == pytest.approx(reference_loss(model, row).item(), rel=1e-10)


def test_half_precision_logits_are_summed_in_single(make_model, make_rows):
    model = make_model("llama", dtype=torch.bfloat16)
    assert loss_sum(model, collate(make_rows(2), pad_id=0)).dtype == torch.float32
