"""The loop against a plain one, and what it does when something is not as it should be."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tutelage.core.errors import InputError, MachineError
from tutelage.core.types import Encoded
from tutelage.training import checkpoint
from tutelage.training.events import Resumed, StepDone, ValidationDone
from tutelage.training.loop import Loop, validation_loss
from tutelage.training.machine import resident_bytes
from tutelage.training.settings import LoopSettings

from .plain import changed

CPU = torch.device("cpu")
BASE = LoopSettings(
    steps=6,
    batch_size=3,
    micro_batch_tokens=30,
    learning_rate=0.02,
    warmup=0.3,
    weight_decay=0.1,
    validate_every=2,
    checkpoint_every=2,
)


@pytest.fixture
def make_loop(tmp_path, make_model, make_rows):
    """A loop over ten rows; its events are in `loop.events`."""

    def make(
        settings=BASE, *, model=None, validation=(), rows=None, order=None, folder="checkpoints", identity="x"
    ):
        rows = rows or make_rows(10)
        events = []
        loop = Loop(
            make_model() if model is None else model,
            pad_id=0,
            row_at=order or (lambda i: rows[(7 * i + 3) % len(rows)]),
            validation=validation,
            settings=settings,
            folder=tmp_path / folder,
            needs={"identity": identity},
            on_event=events.append,
        )
        loop.events = events
        return loop

    return make


def weights(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


@pytest.mark.parametrize("clip", [0.0, 0.05, 1e9])
def test_training_equals_a_plain_torch_loop(make_loop, make_model, make_rows, reference_loss, clip):
    settings = changed(BASE, max_grad_norm=clip, keep="last", betas=(0.8, 0.95))
    loop = make_loop(settings)
    loop.tune()
    plain, rows = make_model(), make_rows(10)
    named = list(plain.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for _, p in named if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for _, p in named if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=1.0,
        betas=(0.8, 0.95),
        fused=False,
    )
    steps = [e for e in loop.events if isinstance(e, StepDone)]
    assert len(steps) == 6
    for step, told in enumerate(steps):
        batch = [rows[(7 * i + 3) % 10] for i in range(3 * step, 3 * step + 3)]
        loss = sum(reference_loss(plain, row) for row in batch) / sum(row.n_loss for row in batch)
        optimizer.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(float(p.grad.pow(2).sum()) for _, p in named))
        if clip and norm > clip:
            for _, parameter in named:
                parameter.grad *= clip / (norm + 1e-6)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(step)
        optimizer.step()
        assert told.loss == pytest.approx(loss.item(), rel=1e-9)
        assert told.grad_norm == pytest.approx(norm, rel=1e-8)
        assert told.learning_rate == settings.learning_rate_at(step)
        assert (told.step, told.steps, told.rows) == (step + 1, 6, 3)
        assert told.tokens == sum(len(row.ids) for row in batch)
        assert told.loss_tokens == sum(row.n_loss for row in batch)
    for name, parameter in plain.named_parameters():
        got = loop.trained[name].detach()
        assert (got - parameter).norm() <= 1e-7 * parameter.norm(), name


def test_the_cuts_do_not_change_what_is_learned(make_loop):
    loops = [make_loop(changed(BASE, micro_batch_tokens=n), folder=str(n)) for n in (1, 25, 10_000)]
    for loop in loops:
        loop.tune()
    want = weights(loops[0].model)
    for loop in loops[1:]:
        for name, got in weights(loop.model).items():
            assert (got - want[name]).norm() <= 1e-7 * want[name].norm(), name


@pytest.mark.parametrize("family", ["opt", "t5"])
def test_other_families_learn_too(make_loop, make_model, make_rows, family):
    rows = make_rows(4, pairs=family == "t5")
    loop = make_loop(
        changed(BASE, steps=15, batch_size=4, learning_rate=0.03), model=make_model(family), rows=rows
    )
    assert loop.micro_batch_tokens == (0 if family == "opt" else 30)
    loop.tune()
    losses = [e.loss for e in loop.events if isinstance(e, StepDone)]
    assert losses[-1] < 0.7 * losses[0]


def test_activation_checkpointing_changes_nothing(make_loop, make_model):
    settings = changed(BASE, keep="last")
    results = []
    for on in (False, True):
        model = make_model(dropout=0.2)
        loop = make_loop(changed(settings, activation_checkpointing=on), model=model, folder=str(on))
        calls = []
        layer = model.model.layers[0].mlp
        layer.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        loop.tune()
        assert not any(getattr(m, "gradient_checkpointing", False) for m in model.modules())
        results.append((weights(model), len(calls)))
    (plain, once), (saved, twice) = results
    assert twice > 1.5 * once, "activations were not computed again"
    for name, want in plain.items():
        assert (saved[name] - want).norm() <= 1e-9 * want.norm(), name


def test_only_what_requires_a_gradient_is_trained(make_loop, make_model):
    model = make_model()
    model.model.layers[0].requires_grad_(requires_grad=False)
    before = weights(model)
    make_loop(model=model).tune()
    for name, after in weights(model).items():
        assert torch.equal(after, before[name]) == name.startswith("model.layers.0."), name


def test_a_model_with_nothing_to_train_is_refused(make_loop, make_model):
    model = make_model()
    model.requires_grad_(requires_grad=False)
    with pytest.raises(InputError, match="nothing of the model is to be trained"):
        make_loop(model=model)


def test_a_weight_that_no_row_reaches_is_saved_and_resumed(make_loop, make_model):
    def with_unused():
        model = make_model()
        model.model.unused = torch.nn.Linear(3, 3).double()
        torch.nn.init.zeros_(model.model.unused.weight)
        return model

    make_loop(changed(BASE, keep="last"), model=with_unused()).tune()
    again = make_loop(changed(BASE, keep="last"), model=with_unused())
    assert again.tune().step == 6
    assert [type(e) for e in again.events] == [Resumed]


def test_validation_loss_is_the_mean_over_all_completion_tokens(make_model, make_rows, reference_loss):
    model, rows = make_model(dropout=0.5), make_rows(11)
    model.train()
    for tokens in (0, 25, 10_000):
        got = validation_loss(model, rows, tokens=tokens, pad_id=0, device=CPU)
        assert not model.training
        with torch.no_grad():
            total = sum(reference_loss(model, row).item() for row in rows)
        assert got == pytest.approx(total / sum(row.n_loss for row in rows), rel=1e-10)


def test_validations_come_at_their_steps_and_after_the_last(make_loop, make_rows):
    loop = make_loop(changed(BASE, steps=5), validation=make_rows(3, seed=9))
    tuned = loop.tune()
    seen = [e for e in loop.events if isinstance(e, ValidationDone)]
    assert [e.step for e in seen] == [2, 4, 5]
    best = math.inf
    for event in seen:
        assert event.best == (event.loss < best)
        best = min(best, event.loss)
    assert tuned.best_loss == best


@pytest.fixture
def overfits(make_rows):
    """A loop's settings with which the best validation loss lies in the middle: then come other rows."""
    alike, other = make_rows(3), make_rows(3, seed=4)
    return {
        "settings": changed(BASE, steps=12, validate_every=1),
        "validation": alike,
        "order": lambda i: (alike if i < 18 else other)[i % 3],
    }


@pytest.mark.parametrize("keep", ["best", "last"])
def test_what_is_kept_is_what_was_asked_for(make_loop, overfits, keep):
    overfits["settings"] = changed(overfits["settings"], keep=keep)
    loop = make_loop(**overfits)
    at_step = {}
    listen = loop.on_event

    def note(event):
        if isinstance(event, StepDone):
            at_step[event.step] = weights(loop.model)
        listen(event)

    loop.on_event = note
    tuned = loop.tune()
    losses = {e.step: e.loss for e in loop.events if isinstance(e, ValidationDone)}
    best = min(losses, key=losses.__getitem__)
    assert 1 < best < 12, "the fixture's point is a best step in the middle"
    assert tuned.step == (best if keep == "best" else 12)
    assert tuned.weights == keep
    assert tuned.best_loss == losses[best]
    for name, want in at_step[tuned.step].items():
        assert torch.equal(loop.trained[name], want), name
    assert not loop.model.training


def test_a_finished_tuning_gives_its_weights_again_without_a_step(make_loop, overfits):
    first = make_loop(**overfits)
    done = first.tune()
    second = make_loop(**overfits)
    assert second.tune() == done
    assert [type(e) for e in second.events] == [Resumed]
    for name, want in weights(first.model).items():
        assert torch.equal(second.trained[name], want), name


@pytest.mark.parametrize("damage", ["gone", "flipped", "older"])
def test_best_weights_that_are_damaged_are_never_replaced_by_others(make_loop, overfits, damage):
    first = make_loop(**overfits)
    first.tune()
    best = first.folder / "best"
    if damage == "gone":
        (best / "state.safetensors").unlink()
    elif damage == "flipped":
        content = bytearray((best / "state.safetensors").read_bytes())
        content[-1] ^= 1
        (best / "state.safetensors").write_bytes(content)
    else:
        position = checkpoint.check(best, first.identity)
        state = checkpoint.load(best)
        checkpoint.save(
            first.folder, "best", state, replace(position, step=position.step - 1), first.identity
        )
    with pytest.raises(MachineError, match="best validation loss are damaged"):
        make_loop(**overfits).tune()


def test_a_loss_that_is_not_finite_stops_with_the_step_and_its_rows(make_loop, make_model):
    model = make_model()
    loop = make_loop(model=model)
    listen = loop.on_event

    def poison(event):
        listen(event)
        if isinstance(event, StepDone) and event.step == 3:
            with torch.no_grad():
                model.lm_head.weight[5] = math.nan

    loop.on_event = poison
    with pytest.raises(InputError) as caught:
        loop.tune()
    assert caught.value.where == "step 4"
    first = loop._rows(3).micro_batches[0]
    assert 0 < len(first) < 3
    assert caught.value.found == f"loss nan; rows {', '.join(row.id for row in first)} of the task t"
    found = checkpoint.newest(loop.folder, loop.identity)
    assert found.position.step == 2
    assert all(torch.isfinite(t).all() for t in checkpoint.load(found.folder).values())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_row_that_spoils_the_loss_is_named_not_its_neighbours(make_loop, make_model, make_rows, value):
    model = make_model()
    with torch.no_grad():
        model.model.embed_tokens.weight[39] = value
    model.model.embed_tokens.requires_grad_(requires_grad=False)  # else the first checkpoint refuses it
    rows = [replace(r, ids=tuple(min(i, 38) for i in r.ids)) for r in make_rows(10)]
    rows[6] = replace(rows[6], id="rows.jsonl:7", task="colours", ids=(39, *rows[6].ids[1:]))
    settings = changed(BASE, micro_batch_tokens=1, weight_decay=0.0)
    with pytest.raises(InputError) as caught:
        make_loop(settings, model=model, rows=rows).tune()
    assert caught.value.where == "step 4"
    assert caught.value.found == "loss nan; rows rows.jsonl:7 of the task colours"


def test_weights_that_ran_away_are_never_kept(make_loop, make_model, make_rows):
    """The loss of step 4 was still finite: only the weights after it are not, and its checkpoint would be poison."""
    model = make_model()
    loop = make_loop(changed(BASE, validate_every=6), model=model)
    listen = loop.on_event

    def poison(event):
        listen(event)
        if isinstance(event, StepDone) and event.step == 4:
            with torch.no_grad():
                model.model.norm.weight[3] = -math.inf

    loop.on_event = poison
    with pytest.raises(InputError, match="the weights are no longer finite numbers") as caught:
        loop.tune()
    assert (caught.value.where, caught.value.found) == ("after step 4", "weight.model.norm.weight")
    assert [p.name for p in loop.folder.iterdir()] == ["step-00000002"]


def test_best_weights_that_are_not_finite_are_never_kept(make_loop, make_model, make_rows):
    model = make_model()
    # Token 39 occurs nowhere, so that its embedding spoils no loss.
    rows = [replace(r, ids=tuple(min(i, 38) for i in r.ids)) for r in make_rows(10)]
    settings = changed(BASE, weight_decay=0.0, checkpoint_every=5)
    loop = make_loop(settings, model=model, rows=rows, validation=rows[:2])
    with torch.no_grad():
        model.model.embed_tokens.weight[39] = math.inf
    with pytest.raises(InputError, match="the weights are no longer finite numbers") as caught:
        loop.tune()
    assert caught.value.where == "after step 2"
    assert list(loop.folder.iterdir()) == []


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone(make_loop, make_model):
    model = make_model()
    model.model.norm.weight.register_hook(lambda g: g * math.inf)
    before = weights(model)
    with pytest.raises(InputError, match="no longer a finite number") as caught:
        make_loop(model=model).tune()
    assert caught.value.where == "step 1"
    assert "rows row3, row0, row7 of the task t" in caught.value.found
    assert all(torch.equal(after, before[n]) for n, after in weights(model).items())
    assert all(p.grad is None for p in model.parameters())


def test_a_validation_loss_that_is_not_finite_stops_and_is_never_the_best(make_loop, make_model, make_rows):
    model = make_model()
    # Token 39 occurs in no training row, so only the validation row meets the poison.
    rows = [replace(r, ids=tuple(min(i, 38) for i in r.ids)) for r in make_rows(10)]
    with torch.no_grad():
        model.model.embed_tokens.weight[39] = math.nan
    loop = make_loop(
        changed(BASE, weight_decay=0.0),
        model=model,
        rows=rows,
        validation=[Encoded("bad", "t", (39, 4), (False, True))],
    )
    with pytest.raises(InputError) as caught:
        loop.tune()
    assert caught.value.where == "validation after step 2"
    assert "rows bad" in caught.value.found
    assert not (loop.folder / "best").exists()


def test_rows_in_which_nothing_bears_loss_are_refused(make_loop, make_rows):
    silent = [replace(r, loss_mask=(False,) * len(r.ids)) for r in make_rows(2)]
    with pytest.raises(InputError, match="bears loss") as caught:
        make_loop(rows=silent).tune()
    assert caught.value.where == "step 1"
    assert "row1, row0" in caught.value.found
    with pytest.raises(InputError, match="bears loss") as caught:
        make_loop(validation=silent)
    assert caught.value.where == "validation"


def test_how_often_is_written_is_no_part_of_what_is_learned():
    assert BASE.identity() == changed(BASE, checkpoint_every=99).identity()
    for change in (
        {"seed": 1},
        {"steps": 7},
        {"keep": "last"},
        {"micro_batch_tokens": 31},
        {"max_grad_norm": 2.0},
    ):
        assert BASE.identity() != changed(BASE, **change).identity()


def test_memory_is_told_in_bytes():
    assert 50_000_000 < resident_bytes() < 100_000_000_000
