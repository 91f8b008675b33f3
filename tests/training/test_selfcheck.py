"""The self-check before a training: it passes what is right, catches what leaks, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded
from tutelage.models import methods
from tutelage.tokens.packing import Packing
from tutelage.training import encoder_decoder_packing, objective, selfcheck
from tutelage.training.events import SelfChecked, StepDone
from tutelage.training.loop import Loop
from tutelage.training.settings import LoopSettings, Objective

from .plain import OPTIONS, PAIRS, changed, put_on

SETTINGS = LoopSettings(
    steps=3, batch_size=6, micro_batch_tokens=200, learning_rate=0.01, validate_every=50, checkpoint_every=1
)
LONG = pytest.mark.long


@pytest.fixture
def make_loop(tmp_path, make_model, make_rows):
    """A loop over ten rows; its events are in `loop.events`."""

    def make(
        family="llama", name="full", *, dtype=torch.float32, packed=False, settings=SETTINGS, dropout=0.0
    ):
        two = family in PAIRS
        rows, events = make_rows(10, pairs=two), []
        model = make_model(family, dtype=dtype, dropout=dropout)
        loop = Loop(
            put_on(model, name),
            pad_id=0,
            row_at=lambda i: rows[i % 10],
            validation=(),
            settings=changed(settings, packing=Packing(60, 40 if two else 0, 10) if packed else None),
            folder=tmp_path / "checkpoints",
            needs={"identity": "x"},
            on_event=events.append,
        )
        loop.events = events
        return loop

    return make


def checked(loop):
    return [event for event in loop.events if isinstance(event, SelfChecked)]


QUICK = {
    ("llama", "full"),
    ("t5", "full"),
    ("gemma2", "lora"),
    ("bart", "prompt-tuning"),
    ("gpt2", "prefix-tuning"),
}


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (family, name) if (family, name) in QUICK else pytest.param(family, name, marks=LONG)
        for family in ("llama", "gpt2", "qwen2", "gemma2", "gemma3", "opt", "bloom", *PAIRS)
        for name in ("full", *OPTIONS)
        if (family, name) not in (("gpt2", "oft"), ("opt", "ia3"))
    ],
)
def test_what_is_right_differs_by_rounding_alone(make_loop, family, name):
    packable = "packing" not in methods.find(name).cannot and family not in ("opt", "bloom")
    for packed in (False, True) if packable else (False,):
        for dtype, loss, gradient in ((torch.float64, 1e-5, 1e-4), (torch.float32, 1e-5, 1e-4)):
            loop = make_loop(family, name, dtype=dtype, packed=packed)
            loop._begin(0)
            (found,) = checked(loop)
            assert (found.step, found.rows, found.packed) == (0, 4, packed)
            alone = family in ("opt", "bloom") or (name == "prefix-tuning" and family not in PAIRS)
            assert found.batches == (4 if alone else 1)
            assert found.loss < loss
            assert found.gradient < gradient


@pytest.mark.parametrize("family", ["llama", "gemma2", "t5", "bart"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_given_its_rounding(make_loop, family, dtype):
    loop = make_loop(family, dtype=dtype)
    loop._begin(0)
    (found,) = checked(loop)
    loss, gradient = selfcheck.TOLERANCES[dtype]
    assert 0 < found.gradient < gradient / 2
    assert found.loss < loss / 2


def no_positions(model):
    """A model that takes rows that lie end to end for one long row."""
    forward = model.forward

    def leak(*args, position_ids=None, **kwargs):
        return forward(*args, **kwargs)

    model.forward = leak


def no_padding_mask(model):
    """An encoder-decoder that reads the padding of its source."""
    forward = model.forward

    def leak(*args, attention_mask=None, **kwargs):
        return forward(*args, **kwargs)

    model.forward = leak


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("family", "fault"),
    [
        ("llama", no_positions),
        ("qwen2", no_positions),
        ("gpt2", no_positions),
        ("t5", no_padding_mask),
        ("bart", no_padding_mask),
    ],
)
def test_rows_that_read_one_another_are_caught_before_the_first_step(make_loop, family, fault, dtype):
    loop = make_loop(family, dtype=dtype)
    before = weights(loop.model)
    fault(loop.model)
    with pytest.raises(InputError, match="do not come out as they do one by one") as caught:
        loop.tune()
    assert caught.value.where == "self-check before step 1"
    assert "loss differs by" in caught.value.found
    assert "row" in caught.value.found
    assert str(dtype).removeprefix("torch.") in caught.value.expected
    assert "tune.micro_batch_tokens to 1" in caught.value.fix
    assert loop.events == []
    assert weights(loop.model) == before


@pytest.mark.parametrize(("family", "packed"), [("llama", False), ("t5", False), ("llama", True)])
def test_what_the_error_says_to_do_helps(make_loop, family, packed):
    mended = changed(SETTINGS, micro_batch_tokens=1)
    loop = make_loop(family, settings=mended)
    (no_positions if family == "llama" else no_padding_mask)(loop.model)
    loop.tune()
    assert checked(loop)[0].loss < 1e-5
    if packed:
        loop = make_loop(family, packed=True)
        no_positions(loop.model)
        with pytest.raises(InputError, match="one by one") as caught:
            loop._begin(0)
        assert "tune.packing to false" in caught.value.fix


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_pack_whose_mask_is_lost_is_caught(make_loop, monkeypatch, family):
    loop = make_loop(family, packed=True)
    monkeypatch.setattr(
        encoder_decoder_packing,
        "_additive",
        lambda visible, dtype: torch.zeros(visible.shape, dtype=dtype)[None, None],
    )
    with pytest.raises(InputError, match="one by one") as caught:
        loop.tune()
    assert "tune.packing to false" in caught.value.fix


def test_positions_of_a_pack_that_are_lost_are_caught(make_loop, monkeypatch):
    loop = make_loop("bart", packed=True)
    monkeypatch.setattr(encoder_decoder_packing, "_positions", lambda *_: nullcontext())
    with pytest.raises(InputError, match="one by one"):
        loop.tune()


def test_a_wrong_target_is_caught_although_no_row_reads_another(make_loop, monkeypatch):
    right = objective.loss_sum
    loop = make_loop(settings=changed(SETTINGS, micro_batch_tokens=1))
    monkeypatch.setattr(
        objective,
        "loss_sum",
        lambda model, batch: right(model, replace(batch, targets=batch.targets.roll(1))),
    )
    with pytest.raises(InputError, match="one by one"):
        loop.tune()


def test_a_wrong_gradient_behind_a_right_loss_is_caught(make_loop):
    loop = make_loop()
    calls = []

    def first_call_doubles(gradient):
        calls.append(1)
        return gradient * (2 if len(calls) == 1 else 1)

    loop.model.model.norm.weight.register_hook(first_call_doubles)
    with pytest.raises(InputError, match="one by one") as caught:
        loop.tune()
    assert "loss differs by 0" in caught.value.found or "e-" in caught.value.found


def test_the_objectives_own_terms_are_checked_too(make_loop, monkeypatch):
    parts = Objective(prompt_loss_weight=0.5, label_smoothing=0.1, kl_to_base=0.2)
    settings = changed(SETTINGS, objective=parts)
    loop = make_loop(settings=settings)
    loop._begin(0)
    assert checked(loop)[0].gradient < 1e-4
    monkeypatch.setattr(objective, "_completion", lambda _, each: torch.ones_like(each, dtype=torch.bool))
    with pytest.raises(InputError, match="one by one"):
        make_loop(settings=settings)._begin(0)


def weights(model):
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode() + parameter.detach().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", ["full", "lora", "prompt-tuning", "prefix-tuning", "oft"])
def test_it_leaves_weights_gradients_mode_and_generators_as_they_were(make_loop, name):
    loop = make_loop(name=name, dropout=0.3)
    kept = next(iter(loop.trained.values()))
    kept.grad = torch.ones_like(kept)
    own, before = kept.grad, weights(loop.model)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    loop.model.train()
    loop._begin(0)
    assert len(checked(loop)) == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert weights(loop.model) == before
    assert kept.grad is own
    assert bool((own == 1).all())
    assert all(p.grad is None for p in loop.model.parameters() if p is not kept)
    assert loop.model.training
    assert not any("forward" in vars(module) for module in loop.model.modules())
    assert {n for n, p in loop.model.named_parameters() if p.requires_grad} == set(loop.trained)


def test_a_failure_leaves_them_too(make_loop, monkeypatch):
    loop = make_loop()
    monkeypatch.setattr(selfcheck, "_loss_alone", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop._begin(0)
    assert all(p.grad is None for p in loop.model.parameters())
    assert not any("forward" in vars(module) for module in loop.model.modules())


@pytest.mark.parametrize("name", ["full", "lora"])
def test_a_training_is_the_same_with_and_without_it(make_loop, monkeypatch, tmp_path, name):
    with_it = make_loop(name=name, dropout=0.2)
    with_it.tune()
    with monkeypatch.context() as patched:
        patched.setattr(selfcheck, "check", lambda *_, **__: None)
        without = make_loop(name=name, dropout=0.2)
        without.folder = tmp_path / "other"
        without.tune()
    assert len(checked(with_it)) == 1
    assert checked(without) == []
    assert weights(with_it.model) == weights(without.model)


def test_it_comes_before_the_first_step_of_every_process_that_has_one(make_loop):
    loop = make_loop()
    listen = loop.on_event

    def stop(event):
        listen(event)
        if isinstance(event, StepDone) and event.step == 2:
            raise KeyboardInterrupt

    loop.on_event = stop
    with pytest.raises(KeyboardInterrupt):
        loop.tune()
    assert [type(e) for e in loop.events[:2]] == [SelfChecked, StepDone]
    again = make_loop()
    again.tune()
    assert [e.step for e in checked(again)] == [1]
    done = make_loop()
    done.tune()
    assert checked(done) == []


def row(number, length, *, bears=True):
    return Encoded(str(number), "t", (5,) * length, (False,) * (length - 1) + (bears,))


def test_the_shortest_rows_with_loss_of_the_fullest_pack_are_taken():
    few = [row(1, 2), row(2, 2)]
    many = [row(3, 9), row(4, 3, bears=False), row(5, 6), row(6, 7), row(7, 4), row(8, 5)]
    assert [r.id for r in selfcheck.choose_rows([few, many])] == ["7", "8", "5", "6"]
    assert selfcheck.choose_rows([[row(1, 4, bears=False)]]) == []


def test_a_model_that_is_not_finite_is_left_to_the_first_step(make_loop):
    loop = make_loop()
    with torch.no_grad():
        loop.model.lm_head.weight[:] = math.nan
    with pytest.raises(InputError, match="no longer a finite number"):
        loop.tune()
    assert checked(loop) == []


@pytest.mark.parametrize("packed", [False, True])
def test_rows_that_are_known_by_heart_do_not_stop_a_training_and_a_leak_among_them_does(make_loop, packed):
    """Their loss is all rounding; resumed trainings of few rows come here."""
    learn = changed(SETTINGS, steps=150, learning_rate=0.03, batch_size=10, checkpoint_every=1000)
    loop = make_loop(settings=learn)
    loop.tune()
    model = loop.model
    with torch.no_grad():
        model.lm_head.weight *= 3.0
    again = make_loop(packed=packed)
    again.model.load_state_dict(model.state_dict())
    again._begin(0)
    assert len(checked(again)) == 1
    losses = [
        selfcheck._loss_alone(model, again.row_at(i), Objective(), torch.device("cpu")).item()
        for i in range(10)
    ]
    assert sorted(losses)[4] < 1e-4, "the fixture's point is rows without a loss to speak of"
    no_positions(again.model)
    with pytest.raises(InputError, match="one by one"):
        again._begin(0)


def test_what_is_finite_alone_and_not_together_is_caught(make_loop, monkeypatch):
    right = objective.loss_sum
    loop = make_loop()
    monkeypatch.setattr(objective, "loss_sum", lambda *given: right(*given) * math.nan)
    with pytest.raises(InputError, match="one by one") as caught:
        loop.tune()
    assert "loss differs by inf" in caught.value.found


def test_the_least_precise_type_decides_and_an_adapter_beside_half_precision_is_no_exception(make_model):
    model = put_on(make_model(dtype=torch.bfloat16), "lora")
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    assert selfcheck._least_precise(model) is torch.bfloat16
    assert selfcheck._least_precise(make_model()) is torch.float64
    assert selfcheck._least_precise(make_model(dtype=torch.float32)) is torch.float32
