"""What is added to the loss of completions: against a plain reference, whatever the cuts, and that it is learned."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.tokens.batch import collate
from tutelage.training.completion_loss import loss_sum, predictions
from tutelage.training.events import ReferenceCopied, StepDone, ValidationDone
from tutelage.training.loop import _recompute_activations
from tutelage.training.objective import TrainingLoss, require_prompt_loss
from tutelage.training.reference_model import ReferenceModel
from tutelage.training.settings import LoopSettings, Objective

from .plain import (
    BOUND,
    FORMS,
    OPTIONS,
    PAIRS,
    Double,
    assert_gradients,
    changed,
    grads,
    logits_alone,
    put_on,
)

ALL = Objective(prompt_loss_weight=0.3, label_smoothing=0.1, kl_to_base=0.7, l2_to_base=0.05)
OFF = "dora", "ia3", "oft", "prompt-tuning", "prefix-tuning"  # no distance of weights
LONG = pytest.mark.long


def objective_for(family, name):
    objective = changed(ALL, l2_to_base=0.0) if name in OFF else ALL
    return changed(objective, prompt_loss_weight=0.0) if family in PAIRS else objective


@pytest.fixture
def make_loop(moved_loop):
    """A loop whose model has moved away from its base, with all parts of the objective unless another is given."""

    def make(family="llama", name="full", *, objective=None, **changes):
        return moved_loop(family, name, objective or objective_for(family, name), **changes)

    return make


def as_trained(loop):
    """A step's parts and gradients as the loop makes them."""
    batch = loop._rows(0)
    loop.model.zero_grad()
    sums = loop._add_gradients(0, batch)
    parts = loop.training_loss.parts(sums, batch.rows, loop.training_loss.add_distance())
    completion = sums.completion / sum(row.n_loss for row in batch.rows)
    return {
        "completion": completion,
        "objective": parts.total,
        "prompt": parts.prompt,
        "kl": parts.kl,
        "l2": parts.l2,
    }, grads(loop.model)


def distance(model, base):
    """The squared distance of what is trained, with what LoRA adds multiplied out."""
    if hasattr(model, "peft_config"):
        layers = [module for module in model.modules() if hasattr(module, "get_delta_weight")]
        return sum(layer.get_delta_weight("default").pow(2).sum() for layer in layers)
    before = dict(base.named_parameters())
    return sum((p - before[n]).pow(2).sum() for n, p in model.named_parameters() if p.requires_grad)


def as_defined(model, base, rows, objective):
    """The same by the formula: one row at a time, every term from torch's own functions, plain autograd."""
    sums = dict.fromkeys(("smooth", "completion", "prompt", "kl"), 0.0)
    count = {"completion": 0, "prompt": 0}
    for row in rows:
        logits, targets, bears = logits_alone(model, row)
        weights = torch.where(bears, 1.0, objective.prompt_loss_weight).to(logits.dtype)
        plain = functional.cross_entropy(logits, targets, reduction="none")
        smooth = functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=objective.label_smoothing
        )
        with torch.no_grad():
            before = logits_alone(base, row)[0].log_softmax(-1)
        kl = functional.kl_div(logits.log_softmax(-1), before, log_target=True, reduction="none").sum(-1)
        sums["smooth"] += (weights * smooth).sum()
        sums["kl"] += (weights * kl).sum()
        sums["completion"] += plain[bears].sum().item()
        sums["prompt"] += plain[~bears].sum().item()
        count["completion"] += int(bears.sum())
        count["prompt"] += int((~bears).sum())
    whole = count["completion"] + objective.prompt_loss_weight * count["prompt"]
    l2 = distance(model, base) if objective.l2_to_base else torch.zeros(())
    objective_value = (sums["smooth"] + objective.kl_to_base * sums["kl"]) / whole + objective.l2_to_base * l2
    model.zero_grad()
    objective_value.backward()
    return {
        "completion": sums["completion"] / count["completion"],
        "objective": objective_value.item(),
        "prompt": sums["prompt"] / count["prompt"] if objective.prompt_loss_weight else None,
        "kl": sums["kl"].item() / whole,
        "l2": l2.item() if objective.l2_to_base else None,
    }, grads(model)


def assert_equal(found, wanted, bound):
    (parts, gradients), (want, wants) = found, wanted
    for name, value in want.items():
        # A divergence is a difference of logarithms as large as the loss, and rounded as they are.
        rounding = bound * want["objective"] if name == "kl" and bound == BOUND[torch.float32] else 0.0
        assert parts[name] == (None if value is None else pytest.approx(value, rel=bound, abs=rounding)), name
    # A bias of all keys alike moves no softmax: its gradient is the distance's alone, or rounding.
    assert_gradients(gradients, wants, bound, idle="k_proj.bias")


ALL_FORMS = {**FORMS, "recomputed": {"micro_batch_tokens": 30, "activation_checkpointing": True}}
CASES = [
    ("llama", "full", "one by one"),
    ("llama", "full", "cut"),
    ("llama", "full", "packed"),
    ("llama", "lora", "together"),
    ("llama", "lora", "packed"),
    ("llama", "lora", "recomputed"),
    ("llama", "prompt-tuning", "cut"),
    ("llama", "prefix-tuning", "cut"),
    ("gpt2", "rslora", "cut"),
    ("gemma2", "full", "recomputed"),
    ("qwen2", "dora", "packed"),
    ("t5", "full", "cut"),
    ("t5", "lora", "packed"),
    ("t5-v1.1", "ia3", "together"),
    ("mt5", "prompt-tuning", "cut"),
    ("bart", "full", "packed"),
    ("bart", "oft", "recomputed"),
    ("bart", "prefix-tuning", "together"),
]
REST = [
    (family, name, form)
    for family in ("llama", "gpt2", "qwen2", "gemma2", "t5", "t5-v1.1", "mt5", "bart")
    for name in (*OPTIONS, "full")
    for form in ALL_FORMS
    if (family, name, form) not in CASES
    and (family, name) != ("gpt2", "oft")
    and not (form == "packed" and name.startswith("pr"))
    and not (form == "recomputed" and name == "prefix-tuning")
]


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(case, marks=LONG) for case in REST)], ids=" ".join)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_parts_and_gradients_are_those_of_the_formula(make_loop, make_model, case, dtype):
    family, name, form = case
    loop = make_loop(family, name, dtype=dtype, **ALL_FORMS[form])
    base = make_model(family, dtype=dtype)
    rows = loop._rows(0).rows
    double = dtype == torch.float64
    if loop.settings.activation_checkpointing:
        _recompute_activations(loop.model)
    if double and not loop.settings.activation_checkpointing:
        with Double():
            found = as_trained(loop)
            wanted = as_defined(loop.model, base, rows, loop.settings.objective)
    else:
        found = as_trained(loop)
        wanted = as_defined(loop.model, base, rows, loop.settings.objective)
    island = family == "gemma2" and loop.settings.activation_checkpointing  # norms in fp32, seen undoubled
    assert_equal(found, wanted, 1e-5 if island else BOUND[dtype])


def test_a_prompt_that_weighs_as_much_is_the_loss_that_transformers_takes_of_all_tokens(make_loop):
    loop = make_loop(objective=Objective(prompt_loss_weight=1.0))
    row = loop.row_at(0)
    batch = collate([row], pad_id=0, prompts=True)
    assert batch.n_loss == row.n_loss
    assert len(batch.targets) == len(row.ids) - 1
    loss, _ = loop.training_loss.loss(batch)
    ids = torch.tensor([row.ids])
    want = loop.model(input_ids=ids, labels=ids).loss
    assert loss.item() / loop.training_loss.weight([row]) == pytest.approx(want.item(), rel=1e-6)


def test_smoothing_is_torchs(make_loop, make_rows):
    loop = make_loop(objective=Objective(label_smoothing=0.2))
    batch = collate(make_rows(5), pad_id=0)
    loss, sums = loop.training_loss.loss(batch)
    logits, targets = predictions(loop.model, batch)
    want = functional.cross_entropy(logits, targets, label_smoothing=0.2, reduction="sum")
    assert loss.item() == pytest.approx(want.item(), rel=1e-12)
    assert sums.completion == pytest.approx(loss_sum(loop.model, batch).item(), rel=1e-12)
    assert sums.completion != pytest.approx(loss.item(), rel=1e-3)


def test_the_divergence_is_of_the_model_from_its_base_and_not_the_other_way_round(make_loop, make_model):
    loop = make_loop(objective=Objective(kl_to_base=1.0))
    batch = collate([loop.row_at(i) for i in range(5)], pad_id=0)
    loss, sums = loop.training_loss.loss(batch)
    with torch.no_grad():
        before = predictions(make_model(), batch)[0].log_softmax(-1)
        after = predictions(loop.model, batch)[0].log_softmax(-1)
    want, other = ((a.exp() * (a - b)).sum().item() for a, b in ((before, after), (after, before)))
    assert sums.kl == pytest.approx(want, rel=1e-10)
    assert abs(want - other) > 1e-3 * want
    assert loss.item() == pytest.approx(sums.completion + want, rel=1e-10)


def test_at_the_start_nothing_differs_from_the_base(make_model, make_rows):
    for name in ("full", "lora"):
        model = make_model(dropout=0.3)
        if name == "lora":
            model = put_on(model, "lora")
            torch.nn.init.zeros_(
                model.base_model.model.model.layers[0].self_attn.q_proj.lora_B.default.weight
            )
            for module in model.modules():
                for layer in getattr(module, "lora_B", {}).values():
                    torch.nn.init.zeros_(layer.weight)
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        training_loss = TrainingLoss(model, trained, Objective(kl_to_base=1.0, l2_to_base=1.0))
        batch = collate(make_rows(4), pad_id=0)
        model.eval()
        assert training_loss.loss(batch)[1].kl == pytest.approx(0.0, abs=1e-12)
        assert training_loss.add_distance() == 0.0
        model.train()
        assert training_loss.loss(batch)[1].kl > 1e-6, "dropout is the model's, and not the base's"


@pytest.mark.parametrize("name", [*OPTIONS, "full"])
def test_asking_the_base_leaves_the_model_as_it_was(make_model, make_rows, name):
    model = make_model(dropout=0.3)
    plain = make_model().eval()
    model = put_on(model, name) if name != "full" else model.train()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    base = ReferenceModel(model, trained, with_distance=False)
    if name == "full":
        put_on(model, "full")
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    batch = collate(make_rows(1 if name == "prefix-tuning" else 4), pad_id=0)
    state = torch.get_rng_state()
    found = base.predictions(batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert not found.requires_grad
    torch.testing.assert_close(found, predictions(plain, batch)[0].detach(), rtol=1e-12, atol=1e-12)
    assert model.training
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(trained)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert (predictions(model, batch)[0] - found).abs().max() > 1e-3, (
        "the model has moved, and answers as it is"
    )


@pytest.mark.parametrize("name", list(OPTIONS))
def test_with_an_adapter_there_is_no_second_copy(make_model, name):
    model = put_on(make_model(), name)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    base = ReferenceModel(model, trained, with_distance=name not in OFF)
    assert (base.copied_bytes, base._copy) == (0, None)


def test_of_a_whole_model_only_what_is_trained_is_kept_twice(make_model):
    model = make_model()
    model.requires_grad_(requires_grad=False)
    model.model.layers[1].requires_grad_(requires_grad=True)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    size = sum(p.numel() * 8 for p in trained.values())
    both = ReferenceModel(model, trained, with_distance=True)
    assert both.copied_bytes == size
    for name, weight in both._copy.named_parameters():
        shared = weight.data_ptr() == model.get_parameter(name).data_ptr()
        assert shared == (name not in trained), name
        assert not weight.requires_grad
    with torch.no_grad():
        for weight in trained.values():
            weight.add_(1.0)
    assert both.add_distance(0.5) == pytest.approx(size / 8)


def test_a_weight_that_no_row_reaches_is_pulled_all_the_same(make_model, make_rows):
    model = make_model()
    model.unused = torch.nn.Linear(3, 2).double()
    trained = dict(model.named_parameters())
    training_loss = TrainingLoss(model, trained, Objective(l2_to_base=0.5))
    with torch.no_grad():
        model.unused.weight += 2.0
    loss_sum(model, collate(make_rows(3), pad_id=0)).backward()
    assert training_loss.add_distance() == pytest.approx(4.0 * 6)
    assert model.unused.weight.grad.tolist() == [[2.0] * 3] * 2
    assert model.unused.bias.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("family", ["t5", "mt5", "bart"])
def test_prompts_that_an_encoder_reads_have_no_loss(make_model, family):
    with pytest.raises(InputError, match=r"the prompts of (t5|mt5|bart) models have no loss") as caught:
        require_prompt_loss(make_model(family), 0.1)
    assert caught.value.where == "tune.prompt_loss_weight"
    require_prompt_loss(make_model(family), 0.0)
    with pytest.raises(InputError, match="have no loss"):
        TrainingLoss(make_model(family), {}, Objective(prompt_loss_weight=0.1))


@pytest.mark.parametrize("name", OFF)
def test_a_distance_that_is_not_defined_is_refused_by_name(make_model, name):
    model = put_on(make_model(), name)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    with pytest.raises(InputError, match=f"{name} cannot be combined with l2_to_base"):
        TrainingLoss(model, trained, Objective(l2_to_base=0.1))


def test_every_part_changes_what_is_learned_and_the_log_tells_it(tuned):
    plain, events = tuned(Objective(), dropout=0.1)
    steps = [e for e in events if isinstance(e, StepDone)]
    assert all(step.parts is None for step in steps)
    assert not any(isinstance(e, ReferenceCopied) for e in events)
    told = {"prompt_loss_weight": "prompt", "label_smoothing": None, "kl_to_base": "kl", "l2_to_base": "l2"}
    seen = [plain]
    for field, part in told.items():
        weights, events = tuned(Objective(**{field: 0.3}), dropout=0.1)
        assert all(any(not torch.equal(weights[n], other[n]) for n in plain) for other in seen), field
        seen.append(weights)
        last = [e for e in events if isinstance(e, StepDone)][-1]
        assert {n for n in ("prompt", "kl", "l2") if getattr(last.parts, n) is not None} == {part} - {None}
        assert last.parts.total != last.loss
        kept = [e.size for e in events if isinstance(e, ReferenceCopied)]
        whole = sum(weight.numel() * 8 for weight in plain.values())
        assert kept == ([whole] if field.endswith("_to_base") else [])
        for event in events:
            if isinstance(event, ValidationDone):
                assert 0 < event.loss < math.inf


@pytest.mark.parametrize("name", ["full", "lora"])
@pytest.mark.parametrize(("field", "part"), [("kl_to_base", "kl"), ("l2_to_base", "l2")])
def test_more_weight_keeps_the_model_nearer_to_its_base(tuned, name, field, part):
    ends = []
    for weight in (1e-9, 3.0, 30.0):
        _, events = tuned(Objective(**{field: weight}), name, dropout=0.0, steps=20)
        ends.append(getattr([e for e in events if isinstance(e, StepDone)][-1].parts, part))
    assert ends[0] > 2 * ends[1] > 2 * ends[2] > 0


def test_completions_alone_are_named_and_learned_as_before_there_was_an_objective(make_model, make_rows):
    settings = LoopSettings(steps=5, micro_batch_tokens=512, learning_rate=5e-4, validate_every=50)
    assert "objective" not in settings.identity()
    assert hashing.of_json(settings.identity()) == PINNED
    for field in ("prompt_loss_weight", "label_smoothing", "kl_to_base", "l2_to_base"):
        other = changed(settings, objective=Objective(**{field: 0.1}))
        assert other.identity() != settings.identity()
    model = make_model()
    training_loss = TrainingLoss(model, dict(model.named_parameters()), Objective())
    batch = collate(make_rows(4), pad_id=0)
    loss, sums = training_loss.loss(batch)
    assert torch.equal(loss, loss_sum(model, batch))
    assert (sums.total, sums.completion) == (loss.item(), loss.item())
    assert training_loss.weight(make_rows(4)) == batch.n_loss


# Of the same settings before the field was there: a run's checkpoints are found again under this name.
PINNED = "9f07b818e7f9147b7579f47e48c4f7db78b4c2bf8fc9ee465c437378596bd183"
