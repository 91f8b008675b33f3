"""200 random shapes: families, methods, cuts, packs and activation checkpointing against one row at a time."""

from __future__ import annotations

import random
from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional

from tutelage.core.types import Encoded
from tutelage.models import methods
from tutelage.tokens.batch import collate
from tutelage.tokens.packing import Packing, Packs, packed_micro_batches
from tutelage.training.completion_loss import loss_sum
from tutelage.training.gradients import in_place

from .plain import BARTS, BOUND, OPTIONS, PAIRS, Double, logits_alone, put_on

FAMILIES = ("llama", "gpt2", "qwen2", "gemma", "gemma2", "gemma3", *PAIRS)
NAMES = ("full", *OPTIONS)
SIZES = (1, 2, 4, 8)  # rows a micro-batch: 8x1, 4x2, 2x4, 1x8 of eight rows, with a ragged last one of fewer


def drawn(seed):
    """The case of a seed; families, methods, precisions and checkpointing meet in turn."""
    draw = random.Random(seed)
    family, name = FAMILIES[seed % len(FAMILIES)], NAMES[seed // 2 % len(NAMES)]
    if (family, name) == ("gpt2", "oft"):
        name = "full"  # its transposed layers are refused
    cannot = methods.find(name).cannot
    size = draw.choice(SIZES)
    if name == "prefix-tuning" and family not in PAIRS:
        size = 1
    return {
        "family": family,
        "name": name,
        "dtype": torch.float32 if seed % 5 == 4 else torch.float64,
        "attention": "sdpa"
        if draw.random() < 0.5 and family != "gemma2"
        else "eager",  # a soft cap is not in sdpa
        "packed": draw.random() < 0.4 and "packing" not in cannot,
        "recomputed": draw.random() < 0.4 and "activation_checkpointing" not in cannot,
        "size": size,
        "rows": rows_of(draw, pairs=family in PAIRS),
    }


def rows_of(draw, *, pairs):
    """Five to eight rows of random lengths; loss on all of the answer, on a part of it, or on one token.

    The first is long: where every text is one token, attention has nothing to choose and its weights no gradient.
    """
    rows = []
    for i in range(draw.randint(5, 8)):
        prompt, answer = draw.choice([1, 2, 5, 11, 26]), draw.choice([1, 2, 3, 9, 17])
        prompt, answer = (prompt, answer) if i else (11, 9)
        ids = [draw.randrange(3, 40) for _ in range(prompt + answer)]
        bears = [True] * answer if i % 2 else [draw.random() < 0.6 for _ in range(answer - 1)] + [True]
        source, target = (tuple(ids[:prompt]), ids[prompt:]) if pairs else (None, ids)
        mask = bears if pairs else [False] * prompt + bears
        rows.append(Encoded(f"row{i}", "t", tuple(target), tuple(mask), source=source))
    return rows


def micro_batches(rows, size, *, packed):
    """Rows by their number, or the packs of a window."""
    if not packed:
        return [rows[start : start + size] for start in range(0, len(rows), size)]
    packing = Packing(60, 40 if rows[0].source else 0, len(rows))
    packs = Packs(rows.__getitem__, packing, batch_size=len(rows), steps=1).of_step(0)
    return packed_micro_batches(packs, tokens=30 * size)


def as_trained(model, micro, *, packed):
    wanted = sum(row.n_loss for rows in micro for row in rows)
    total = 0.0
    with in_place(model):
        for rows in micro:
            loss = loss_sum(model, collate(rows, pad_id=0, flat=packed)) / wanted
            loss.backward()
            total += loss.item()
    return total, taken(model)


def one_by_one(model, rows):
    wanted = sum(row.n_loss for row in rows)
    total = 0.0
    for row in rows:
        logits, targets, bears = logits_alone(model, row)
        loss = functional.cross_entropy(logits, targets, reduction="none")[bears].sum() / wanted
        loss.backward()
        total += loss.item()
    return total, taken(model)


def taken(model):
    found = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    model.zero_grad(set_to_none=True)
    return found


# 112 seeds bring every family together with every method; the rest are more of the same.
SEEDS = [*range(112), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(112, 200))]


@pytest.mark.parametrize("seed", SEEDS)
def test_loss_and_gradients_are_those_of_one_row_at_a_time(seed, make_model):
    case = drawn(seed)
    model, dtype = make_model(case["family"], dtype=case["dtype"]), case["dtype"]
    model.set_attn_implementation(case["attention"])
    model = put_on(model, case["name"])
    rows = case["rows"]
    double = Double if dtype == torch.float64 else nullcontext
    with double():
        want, wants = one_by_one(model, rows)
    if case["recomputed"]:
        model.activation_checkpointing_enable(
            {"use_reentrant": False, "context_fn": lambda: (nullcontext(), double())}
        )
    with double():
        loss, gradients = as_trained(
            model, micro_batches(rows, case["size"], packed=case["packed"]), packed=case["packed"]
        )
    assert loss == pytest.approx(want, rel=BOUND[dtype])
    largest = max(gradient.norm().item() for gradient in wants.values())
    for name, gradient in wants.items():
        # Without rotation, a bias of all keys alike moves no softmax: its gradient is rounding of the others'.
        idle = case["family"] in (*BARTS, "gpt2") and name.endswith("k_proj.bias")
        scale = largest if idle else gradient.norm().item()
        assert scale > 0, name
        assert (gradients[name] - gradient).norm().item() <= BOUND[dtype] * scale, name


def test_the_shapes_hold_every_family_and_method_in_every_form():
    cases = [drawn(seed) for seed in range(200)]
    assert {case["family"] for case in cases} == set(FAMILIES)
    assert {case["name"] for case in cases} == set(NAMES)
    for form in ("packed", "recomputed"):
        able = {
            name
            for name in NAMES
            if {"packed": "packing", "recomputed": "activation_checkpointing"}[form]
            not in methods.find(name).cannot
        }
        assert {case["name"] for case in cases if case[form]} == able
        assert {case["family"] for case in cases if case[form]} == set(FAMILIES)
    batched = [case for case in cases if not case["packed"]]
    for size in SIZES:
        assert sum(case["size"] == size for case in batched) > 10
    assert sum(len(case["rows"]) % case["size"] > 0 for case in batched) > 20, "ragged last micro-batches"
    assert sum(case["dtype"] == torch.float32 for case in cases) == 40
