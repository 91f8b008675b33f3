"""Packed rows learn what they would learn alone: losses, gradients, and nothing of one another."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded
from tutelage.models.library_calls import quiet
from tutelage.tokens.batch import collate
from tutelage.tokens.packing import Packing, Packs, packed_micro_batches
from tutelage.training import encoder_decoder_packing as flat_pairs
from tutelage.training.completion_loss import loss_sum, require_packable
from tutelage.training.events import StepDone
from tutelage.training.gradients import in_place
from tutelage.training.loop import Loop
from tutelage.training.settings import LoopSettings

from .plain import BARTS, BOUND, PAIRS, Double, changed

CPU = torch.device("cpu")
ROWS = ["llama", "gpt2", "qwen2", "gemma", "gemma2", "gemma3"]


@pytest.fixture
def make_packable(make_model):
    """A tiny model in training mode without dropout, with one attention implementation."""

    def make(family, dtype=torch.float64, attention=None):
        model = make_model(family, dtype=dtype)
        if attention is not None:
            model.set_attn_implementation(attention)
        return model.train()

    return make


def shapes(seed, *, pairs):
    """Rows of random lengths; loss on all of the answer, a part of it, or one token."""
    draw = random.Random(seed)
    rows = []
    for i in range(draw.randint(2, 9)):
        prompt, answer = draw.choice([1, 2, 5, 11, 26]), draw.choice([1, 2, 3, 9, 17])
        if (
            i == 0
        ):  # were all sides one token long, attention would choose nothing, and its true gradient be 0
            prompt, answer = max(prompt, 5), max(answer, 3)
        ids = [draw.randrange(3, 40) for _ in range(prompt + answer)]
        bears = [True] * answer if i % 2 else [draw.random() < 0.6 for _ in range(answer - 1)] + [True]
        source = tuple(ids[:prompt]) if pairs else None
        mask = bears if pairs else [False] * prompt + bears
        rows.append(
            Encoded(f"row{i}", "t", tuple(ids[prompt:] if pairs else ids), tuple(mask), source=source)
        )
    return rows


def packed_gradients(model, rows, *, room=60):
    """Loss and gradients as the loop makes them: window, packs, micro-batches, gradients in place."""
    packing = Packing(room, 40 if rows[0].source else 0, len(rows))
    packs = Packs(rows.__getitem__, packing, batch_size=len(rows), steps=1).of_step(0)
    wanted = sum(row.n_loss for row in rows)
    model.zero_grad()
    total = 0.0
    with in_place(model):
        for micro in packed_micro_batches(packs, tokens=50):
            loss = loss_sum(model, collate(micro, pad_id=0, flat=True)) / wanted
            loss.backward()
            total += loss.item()
    return total, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def alone_gradients(model, rows, reference_loss):
    """One row at a time: no packs, no positions given, no masks, plain autograd."""
    wanted = sum(row.n_loss for row in rows)
    model.zero_grad()
    total = 0.0
    for row in rows:
        loss = reference_loss(model, row) / wanted
        loss.backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def check_equal(found, wanted, bound, *, idle):
    """The bound holds for each weight alone; of the `idle` ones gradients are 0, and what comes is rounding."""
    (loss, gradients), (want, wants) = found, wanted
    assert loss == pytest.approx(want, rel=bound)
    assert gradients.keys() == wants.keys()
    largest = max(g.norm().item() for g in wants.values())
    for name, gradient in wants.items():
        difference = (gradients[name] - gradient).norm().item()
        if name.endswith(idle):
            assert difference <= bound * largest, name
            assert gradient.norm().item() <= bound * largest, name
        else:
            assert difference <= bound * gradient.norm().item(), name


def check(family, model, seed, reference_loss):
    rows = shapes(seed, pairs=family in PAIRS)
    dtype = next(model.parameters()).dtype
    if dtype == torch.float64:
        with Double():
            found, want = packed_gradients(model, rows), alone_gradients(model, rows, reference_loss)
    else:
        found, want = packed_gradients(model, rows), alone_gradients(model, rows, reference_loss)
    # Without rotation, a bias of all keys alike moves no softmax.
    check_equal(found, want, BOUND[dtype], idle=("k_proj.bias",) if family in BARTS else ())


@pytest.mark.parametrize("family", [*ROWS, *PAIRS])
@pytest.mark.parametrize("how", ["recomputed", "single"])
def test_loss_and_gradients_are_those_of_the_rows_alone(family, how, make_packable, reference_loss):
    model = make_packable(family, torch.float32 if how == "single" else torch.float64)
    if how == "recomputed":
        model.activation_checkpointing_enable(
            {"use_reentrant": False, "context_fn": lambda: (nullcontext(), Double())}
        )
    check(family, model, 1, reference_loss)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(200))
def test_more_random_shapes(seed, make_packable, reference_loss):
    """Every family, attention and precision in turn; tests/training/test_invariance.py has 200 more, with methods."""
    family = [*ROWS, *PAIRS][seed % 14]
    dtype = (torch.float64, torch.float32)[seed // 28 % 2]
    model = make_packable(family, dtype, attention_of(family, seed // 14))
    if seed // 56 % 2:
        again = Double if dtype == torch.float64 else nullcontext
        model.activation_checkpointing_enable(
            {"use_reentrant": False, "context_fn": lambda: (nullcontext(), again())}
        )
    check(family, model, 1000 + seed, reference_loss)


def attention_of(family, turn):
    return "sdpa" if turn % 2 and family != "gemma2" else "eager"  # its soft cap is not in sdpa


@pytest.mark.parametrize("family", [*ROWS, *PAIRS])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_no_row_moves_another_rows_loss(family, attention, make_packable):
    model = make_packable(family, attention="eager" if family == "gemma2" else attention)
    rows = shapes(7, pairs=family in PAIRS)
    chosen = 2
    only = [r if i == chosen else replace(r, loss_mask=(False,) * len(r.ids)) for i, r in enumerate(rows)]
    seen = []

    def note(_module, _args, out):
        out.retain_grad()
        seen.append(out)

    parts = [model.get_encoder(), model.get_decoder()] if family in PAIRS else [model]
    for module in {id(m): m for m in (part.get_input_embeddings() for part in parts)}.values():
        module.register_forward_hook(note)
    batch = collate(only, pad_id=0, flat=True)
    assert batch.n_loss == rows[chosen].n_loss
    loss_sum(model, batch).backward()
    sides = [[len(r.source or ()) for r in rows], [len(r.ids) for r in rows]]
    sides = sides if family in PAIRS else sides[1:]
    assert len(seen) == len(sides)
    for lengths, out in zip(sides, seen, strict=True):
        for i, gradient in enumerate(out.grad[0].split(lengths)):
            moved = float(gradient.abs().max())
            assert (moved > 0) if i == chosen else (moved == 0), (i, moved)


@pytest.mark.parametrize("family", ["opt", "bloom", "longt5"])
def test_models_that_cannot_keep_rows_apart_are_refused_by_name(family, make_model):
    with pytest.raises(InputError, match=f"the rows of {family} models cannot be packed") as caught:
        require_packable(make_model(family), CPU)
    assert caught.value.where == "tune.packing"


@pytest.mark.parametrize("family", [*ROWS, *PAIRS])
def test_the_others_are_tried_and_left_as_they_were(family, make_model):
    for dtype in (torch.float32, torch.bfloat16):
        model = make_model(family, dtype=dtype).train()
        require_packable(model, CPU)
        assert model.training
        assert not any("forward" in vars(module) for module in model.modules())


def test_the_trial_finds_lost_positions_and_lost_masks(make_model, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(flat_pairs, "_positions", lambda *_: nullcontext())
        require_packable(make_model("t5"), CPU)  # needs none
        with pytest.raises(InputError, match="bart models cannot be packed") as caught:
            require_packable(make_model("bart"), CPU)
        assert "do not come out as they do alone" in caught.value.found
    monkeypatch.setattr(
        flat_pairs, "_additive", lambda visible, dtype: torch.zeros(visible.shape, dtype=dtype)[None, None]
    )
    for family in ("t5", "bart"):
        with pytest.raises(InputError, match="cannot be packed"):
            require_packable(make_model(family), CPU)


def test_a_wrapped_position_table_is_still_called_and_put_back(make_model, make_rows):
    model, batch = make_model("bart"), collate(make_rows(4, pairs=True), pad_id=0, flat=True)
    want = loss_sum(model, batch)
    table, calls = model.get_encoder().embed_positions, []
    plain = table.forward

    def wrapped(*args, **kwargs):
        calls.append(kwargs)
        return plain(*args, **kwargs)

    table.forward = wrapped
    assert torch.equal(loss_sum(model, batch), want)
    assert len(calls) == 1
    assert table.forward is wrapped


@pytest.mark.parametrize("family", ["llama", "t5", "bart"])
def test_with_adapters_too(family, make_model, reference_loss):
    names = ["q", "v"] if family == "t5" else ["q_proj", "v_proj"]
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(5)
        lora = LoraConfig(r=4, target_modules=names, init_lora_weights=False)
        model = get_peft_model(make_model(family), lora)
    require_packable(model, CPU)
    check(family, model.train(), 3, reference_loss)


def test_a_row_without_source_is_no_row_of_a_pack():
    rows = [Encoded("a", "t", (3,), (True,), source=()), Encoded("b", "t", (3,), (True,), source=(4,))]
    with pytest.raises(ValueError, match="without source"):
        collate(rows, pad_id=0, flat=True)


SETTINGS = LoopSettings(
    steps=6,
    batch_size=4,
    micro_batch_tokens=30,
    learning_rate=0.02,
    validate_every=50,
    checkpoint_every=9,
    keep="last",
)


@pytest.fixture
def make_loop(tmp_path, make_model, make_rows):
    """A loop over ten rows with packing; its events are in `loop.events`."""

    def make(family="llama", *, settings=SETTINGS, folder="checkpoints", **changes):
        pairs = family in PAIRS
        rows, events = make_rows(10, pairs=pairs), []
        settings = changed(settings, packing=Packing(30, 20 if pairs else 0, 10), **changes)
        loop = Loop(
            make_model(family),
            pad_id=0,
            row_at=lambda position: rows[(7 * position + 3) % 10],
            validation=rows[:2],
            settings=settings,
            folder=tmp_path / folder,
            needs={"identity": "x"},
            on_event=events.append,
        )
        loop.events, loop.all_rows = events, rows
        return loop

    return make


@pytest.mark.parametrize("family", ["llama", "t5", "bart"])
def test_a_packed_tuning_equals_a_plain_loop_over_the_packs(family, make_loop, make_model, reference_loss):
    loop = make_loop(family, max_grad_norm=0.0, schedule="constant", warmup=0.0)
    told = [[row for pack in loop.packs.of_step(step) for row in pack] for step in range(6)]
    plain = make_model(family)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.02, weight_decay=0.0)
    with Double():
        loop.tune()
    steps = [event for event in loop.events if isinstance(event, StepDone)]
    seen = []
    for rows, step in zip(told, steps, strict=True):
        optimizer.zero_grad()
        with Double():
            loss = sum(reference_loss(plain, row) for row in rows) / sum(row.n_loss for row in rows)
            loss.backward()
        optimizer.step()
        seen += [row.id for row in rows]
        assert step.loss == pytest.approx(loss.item(), rel=1e-9)
        assert (step.rows, step.loss_tokens) == (len(rows), sum(row.n_loss for row in rows))
        assert step.packs >= 1
        room = step.packs * 30
        assert step.fill[-1] == sum(len(row.ids) for row in rows) / room
        assert len(step.fill) == (1 if family == "llama" else 2)
    counts = {row.id: seen.count(row.id) for row in loop.all_rows}
    assert len(seen) == 24
    assert set(counts.values()) == {2, 3}  # two epochs of ten rows and four rows of a third
    for name, parameter in plain.named_parameters():
        if family == "bart" and name.endswith("k_proj.bias"):
            continue  # AdamW makes steps of rounding
        assert (loop.trained[name] - parameter).norm() <= 1e-7 * parameter.norm(), name


def test_without_packing_no_fill_is_told(make_loop):
    packed = make_loop()
    loop = Loop(
        packed.model,
        pad_id=0,
        row_at=packed.row_at,
        validation=(),
        settings=SETTINGS,
        folder=packed.folder,
        needs={"identity": "x"},
        on_event=packed.events.append,
    )
    loop.tune()
    assert {(e.packs, e.fill) for e in packed.events if isinstance(e, StepDone)} == {(0, ())}
    assert sum(isinstance(e, StepDone) for e in packed.events) == 6


def test_a_loop_refuses_a_model_that_cannot_be_packed(make_loop):
    with pytest.raises(InputError, match="opt models cannot be packed"):
        make_loop("opt")


def test_packing_is_part_of_what_is_learned(make_loop):
    assert SETTINGS.identity() != make_loop().settings.identity()
    make_loop().tune()
    with pytest.raises(InputError, match="another tuning"):
        make_loop(settings=changed(SETTINGS, batch_size=5)).tune()
    other = make_loop()
    other.settings = changed(other.settings, packing=None)
    with pytest.raises(InputError, match="another tuning"):
        Loop(
            other.model,
            pad_id=0,
            row_at=other.row_at,
            validation=other.validation,
            settings=other.settings,
            folder=other.folder,
            needs={"identity": "x"},
            on_event=other.on_event,
        ).tune()
