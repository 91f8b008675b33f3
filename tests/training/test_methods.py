"""Every method on every family: the same loss and gradients however the rows are cut, and nothing learned of nothing."""

from __future__ import annotations

import hashlib

import pytest
import torch

from tutelage.models import methods
from tutelage.tokens.batch import collate
from tutelage.training.completion_loss import isolates_rows, loss_sum
from tutelage.training.events import Resumed, StepDone
from tutelage.training.loop import Loop, _recompute_activations
from tutelage.training.settings import LoopSettings

from .plain import OPTIONS, put_on

CPU = torch.device("cpu")
PAIRS = ("t5", "t5-v1.1", "mt5", "bart")
FAMILIES = ("llama", "gpt2", "qwen2", "gemma2", *PAIRS)
# Gemma's norms and soft caps are computed in fp32 whatever the weights are.
EXACT = {"gemma2": 1e-6}


LONG = pytest.mark.long


def on(*quick):
    """The families; those that are not named are for the long run."""
    return [family if family in quick else pytest.param(family, marks=LONG) for family in FAMILIES]


def through(model, rows, size):
    """Summed loss, and gradients by name, with so many rows a micro-batch."""
    model.zero_grad()
    total = 0.0
    for start in range(0, len(rows), size):
        loss = loss_sum(model, collate(rows[start : start + size], pad_id=0))
        loss.backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


def assert_same(one, other, tolerance):
    (loss, gradients), (again, others) = one, other
    assert abs(loss - again) <= tolerance * loss
    # A key's bias in softmax attention has no gradient but rounding of the others'.
    largest = max(gradients.values(), key=torch.Tensor.norm)
    rounding = torch.finfo(largest.dtype).eps * largest.norm()
    for name, gradient in gradients.items():
        assert (others[name] - gradient).norm() <= max(tolerance * gradient.norm(), rounding), name


@pytest.mark.parametrize("family", on("llama", "t5"))
@pytest.mark.parametrize("name", [*OPTIONS, "full"])
def test_loss_and_gradients_do_not_depend_on_micro_batches(make_model, make_rows, family, name):
    if (family, name) == ("gpt2", "oft"):
        pytest.skip("GPT-2's transposed layers are refused, see tests/models/test_methods.py")
    model = put_on(make_model(family), name)
    rows = make_rows(8, pairs=family in PAIRS)
    alone = through(model, rows, 1)
    assert all(g.abs().max() > 0 for n, g in alone[1].items() if "k_proj.bias" not in n)
    sizes = (2, 4, 8)
    if name == "prefix-tuning" and family not in PAIRS:
        assert not isolates_rows(model, CPU)
        with pytest.raises(ValueError, match="one row only"):
            through(model, rows, 2)
        sizes = ()
    else:
        assert isolates_rows(model, CPU)
    for size in sizes:
        assert_same(alone, through(model, rows, size), EXACT.get(family, 1e-10))
    if "activation_checkpointing" not in methods.find(name).cannot:
        _recompute_activations(model)
        for size in (1, 8):
            assert_same(alone, through(model, rows, size), EXACT.get(family, 1e-10))


@pytest.mark.parametrize("family", ["llama", pytest.param("t5", marks=LONG)])
@pytest.mark.parametrize("name", list(OPTIONS))
def test_in_single_precision_they_agree_to_rounding(make_model, make_rows, family, name):
    model = put_on(make_model(family, dtype=torch.float32), name)
    rows = make_rows(8, pairs=family == "t5")
    alone = through(model, rows, 1)
    for size in () if (name, family) == ("prefix-tuning", "llama") else (4, 8):
        assert_same(alone, through(model, rows, size), 1e-5)


@pytest.mark.parametrize("family", on("llama", "gemma2", "mt5"))
@pytest.mark.parametrize("name", ["prompt-tuning", "prefix-tuning"])
def test_a_prompt_is_put_where_peft_puts_it(make_model, make_rows, family, name):
    model = put_on(make_model(family), name).eval()
    for row in make_rows(3, pairs=family in PAIRS):
        ids, bears = torch.tensor([row.ids]), torch.tensor(row.loss_mask)
        with torch.no_grad():
            if row.source is None:
                logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
                logits, targets, bears = logits[-ids.shape[1] :][:-1], ids[0, 1:], bears[1:]
            else:
                start = torch.tensor([[model.config.decoder_start_token_id]])
                source = torch.tensor([row.source])
                given = {"input_ids": source, "attention_mask": torch.ones_like(source)}
                logits = model(**given, decoder_input_ids=torch.cat([start, ids[:, :-1]], 1)).logits[0]
                targets = ids[0]
            want = torch.nn.functional.cross_entropy(logits, targets, reduction="none")[bears].sum()
            got = loss_sum(model, collate([row], pad_id=0))
        assert got.item() == pytest.approx(want.item(), rel=1e-12)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_virtual_tokens_are_read_and_never_a_target(make_model, make_rows, family):
    """The loss has a gradient at the completion's predictions and exactly none at what predicts virtual tokens."""
    model = put_on(make_model(family), "prompt-tuning")
    rows = make_rows(5)
    batch = collate(rows, pad_id=0)
    hidden = []

    def note(_, __, out):
        out.retain_grad()
        hidden.append(out)

    body = model.get_base_model()
    (body.model.norm if family == "llama" else body.transformer.ln_f).register_forward_hook(note)
    loss_sum(model, batch).backward()
    reached = hidden[0].grad[0].abs().sum(-1) > 0
    assert int(reached.sum()) == batch.n_loss
    place = 0
    for row in rows:
        assert not reached[place : place + 5].any(), "a virtual token's own prediction bears loss"
        own = reached[place + 5 : place + 5 + len(row.ids)]
        assert own.tolist() == [*row.loss_mask[1:], False]
        place += 5 + len(row.ids)


def test_the_loop_gives_a_prefix_one_row_at_a_time_and_others_what_fits(tmp_path, make_model, make_rows):
    rows = make_rows(4)
    for name, want in (("prefix-tuning", 0), ("prompt-tuning", 64), ("lora", 64)):
        model = put_on(make_model(), name)
        settings = LoopSettings(
            steps=1, batch_size=4, micro_batch_tokens=64, learning_rate=5e-4, validate_every=1
        )
        loop = Loop(
            model,
            pad_id=0,
            row_at=lambda i: rows[i % 4],
            validation=rows[:2],
            settings=settings,
            folder=tmp_path / name,
            needs={"identity": "x"},
            on_event=lambda _: None,
        )
        assert loop.micro_batch_tokens == want
        loop.tune()


class Pulled(BaseException):
    """The plug."""


@pytest.mark.parametrize("family", ["llama", pytest.param("t5", marks=LONG)])
@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "lora"])
def test_a_stopped_tuning_goes_on_bit_for_bit(tmp_path, make_model, make_rows, family, name):
    rows = make_rows(6, pairs=family == "t5")

    def tune(folder, stop_after=None):
        events = []

        def listen(event):
            events.append(event)
            if isinstance(event, StepDone) and event.step == stop_after:
                raise Pulled

        settings = LoopSettings(
            steps=5,
            batch_size=3,
            micro_batch_tokens=40,
            learning_rate=0.02,
            validate_every=2,
            checkpoint_every=2,
        )
        model = put_on(make_model(family, dtype=torch.float32, dropout=0.1), name)
        loop = Loop(
            model,
            pad_id=0,
            row_at=lambda i: rows[(5 * i + 1) % 6],
            validation=rows[:3],
            settings=settings,
            folder=tmp_path / folder,
            needs={"identity": "x"},
            on_event=listen,
        )
        loop.tune()
        digest = hashlib.sha256()
        for key, parameter in sorted(model.named_parameters()):
            digest.update(key.encode() + parameter.detach().numpy().tobytes())
        return digest.hexdigest(), [e.step for e in events if isinstance(e, Resumed)]

    want, _ = tune("whole")
    with pytest.raises(Pulled):
        tune("stopped", stop_after=3)
    torch.manual_seed(77)
    assert tune("stopped") == (want, [2])
