"""Weights of single tokens' losses: by the formula, by finite differences, whatever the cuts, and told by the log."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tutelage.core.types import Encoded
from tutelage.tokens.batch import FlatBatch, collate
from tutelage.training.completion_loss import loss_sum
from tutelage.training.events import ReferenceCopied, StepDone, ValidationDone
from tutelage.training.objective import TrainingLoss
from tutelage.training.reference_model import ReferenceModel
from tutelage.training.settings import LoopSettings, Objective

from .plain import FORMS, PAIRS, Double, assert_gradients, changed, grads, logits_alone, put_on


def by(way, **others):
    return Objective.model_validate({"token_weights": way, **others})


DFT, ASFT, STM = by("dft"), by("asft"), by("stm", stm_perplexity=50.0)
REST = {"prompt_loss_weight": 0.3, "label_smoothing": 0.1, "kl_to_base": 0.7}
WAYS = {
    "dft": DFT,
    "asft": ASFT,
    "stm": STM,
    "dft and all the rest": changed(DFT, **REST),
    "stm and all the rest": changed(STM, **REST),
}
MODELS = [("llama", "full"), ("llama", "lora"), ("t5", "full"), ("bart", "lora")]
CASES = [
    *((family, name, "dft", form) for (family, name), form in itertools.product(MODELS, FORMS)),
    *((family, name, "stm", form) for (family, name), form in itertools.product(MODELS, ("cut", "packed"))),
    *((family, name, "asft", "cut") for family, name in MODELS),
    *(("llama", "lora", f"{way} and all the rest", form) for way in ("dft", "stm") for form in FORMS),
    ("t5", "lora", "stm and all the rest", "packed"),
    ("gpt2", "prompt-tuning", "stm", "cut"),
    ("bart", "prefix-tuning", "asft", "together"),
]


@pytest.fixture
def make_loop(moved_loop):
    """A loop whose model has moved away from its base; prompts that an encoder reads bear no loss."""

    def make(family, name, objective, **changes):
        read = changed(objective, prompt_loss_weight=0.0) if family in PAIRS else objective
        return moved_loop(family, name, read, **changes)

    return make


def as_trained(loop):
    """A step's parts and gradients as the loop makes them."""
    batch = loop._rows(0)
    loop.model.zero_grad()
    sums = loop._add_gradients(0, batch)
    return loop.training_loss.parts(sums, batch.rows, 0.0), grads(loop.model)


def weights_of(model, base, rows, objective):
    """Each row's weights of tokens, from probabilities alone."""
    weights = []
    with torch.no_grad():
        for row in rows:
            masks = objective.weighs_tokens_by("stm")
            asked = base if masks else model
            logits, targets, _ = logits_alone(asked, row)
            probabilities = logits.softmax(-1)[torch.arange(len(targets)), targets]
            if masks:
                perplexities = 1 / probabilities
                assert ((perplexities / objective.stm_perplexity).log().abs() > 1e-6).all(), (
                    "none on the edge"
                )
                probabilities = (perplexities <= objective.stm_perplexity).to(logits.dtype)
            weights.append(probabilities)
    return weights


def as_defined(model, base, rows, objective, weights):
    """The objective by its formula: one row at a time, with given weights of tokens. The mean of w times v comes with it."""
    kl_weight = objective.kl_to_base or {"asft": 0.1}.get(objective.token_weights, 0.0)
    total, kept, whole, share = 0.0, 0.0, 0.0, objective.label_smoothing
    for row, v in zip(rows, weights, strict=True):
        logits, targets, bears = logits_alone(model, row)
        w = torch.where(bears, 1.0, objective.prompt_loss_weight).to(logits.dtype)
        logs = logits.log_softmax(-1)
        losses = -logs[torch.arange(len(targets)), targets]
        losses = (1 - share) * losses - share * logs.mean(-1)
        with torch.no_grad():
            before = logits_alone(base, row)[0].log_softmax(-1)
        total = (
            total + (w * v * losses).sum() + kl_weight * (w[:, None] * before.exp() * (before - logs)).sum()
        )
        kept += (w * v).sum().item()
        whole += int(bears.sum()) + objective.prompt_loss_weight * int((~bears).sum())
    return total / whole, kept / whole


@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_gradients_are_those_of_the_formula_whatever_the_cuts(make_loop, make_model, case):
    family, name, way, form = case
    loop = make_loop(family, name, WAYS[way], **FORMS[form])
    rows, objective, base = loop._rows(0).rows, loop.settings.objective, make_model(family)
    with Double():
        parts, found = as_trained(loop)
        weights = weights_of(loop.model, base, rows, objective)
        value, mean = as_defined(loop.model, base, rows, objective, weights)
        loop.model.zero_grad()
        value.backward()
    assert parts.total == pytest.approx(value.item(), rel=1e-10)
    assert parts.token_weight == pytest.approx(mean, rel=1e-10)
    assert 0 < mean < 1
    # A bias of all keys alike moves no softmax: its gradient is rounding.
    assert_gradients(found, grads(loop.model), 1e-10, idle="k_proj.bias")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("family", "name"), [("llama", "lora"), ("t5-v1.1", "full")])  # both smooth
def test_gradients_are_those_of_finite_differences_with_the_weights_held(
    make_loop, make_model, family, name, way
):
    loop = make_loop(family, name, WAYS[way], micro_batch_tokens=30)
    rows, objective, base = loop._rows(0).rows, loop.settings.objective, make_model(family)
    model = loop.model
    trained = [p for p in model.parameters() if p.requires_grad]
    draw = torch.Generator().manual_seed(4)
    direction = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in trained]

    def moved(step):
        with torch.no_grad():
            for parameter, towards in zip(trained, direction, strict=True):
                parameter.add_(towards, alpha=step)
            value, _ = as_defined(model, base, rows, objective, weights)
            for parameter, towards in zip(trained, direction, strict=True):
                parameter.sub_(towards, alpha=step)
        return value.item()

    with Double():
        as_trained(loop)
        slope = sum((p.grad * towards).sum().item() for p, towards in zip(trained, direction, strict=True))
        weights = weights_of(model, base, rows, objective)
        size = 1e-4
        # The error of the five points' rule falls with the fourth power of the step.
        near, far = (moved(k * size) - moved(-k * size) for k in (1, 2))
    assert slope == pytest.approx((8 * near - far) / (12 * size), rel=1e-7)


class Bigrams(nn.Module):
    """A model whose logits are a table, a row for each token that stands before."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(table)
        self.config = SimpleNamespace(is_encoder_decoder=False)

    def forward(self, input_ids, logits_to_keep, **_):
        return SimpleNamespace(logits=self.table[input_ids][:, logits_to_keep])


BASE = [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]]
NOW = [[0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.6, 0.1, 0.3]]
IDS = (0, 1, 2, 0, 2, 1)
PAIRS_OF_IDS = list(itertools.pairwise(IDS))
TOKEN_GRADIENTS = {
    # From the definition: weight * (probability - 1 for the token), for asft and 0.1 * (probability - the base's).
    "dft": lambda p, _, token: [p[token] * (p[i] - (i == token)) for i in range(3)],
    "asft": lambda p, q, token: [p[token] * (p[i] - (i == token)) + 0.1 * (p[i] - q[i]) for i in range(3)],
    "stm": lambda p, q, token: [(1 / q[token] <= 2.5) * (p[i] - (i == token)) for i in range(3)],
}


@pytest.mark.parametrize("way", TOKEN_GRADIENTS)
def test_each_tokens_gradient_is_the_one_of_its_definition(way):
    base, now = (torch.tensor(table, dtype=torch.float64) for table in (BASE, NOW))
    model = Bigrams(base.log())
    training_loss = TrainingLoss(model, dict(model.named_parameters()), by(way))
    with torch.no_grad():
        model.table.copy_(now.log())
    row = Encoded("a", "t", IDS, (False,) + (True,) * 5)
    loss, sums = training_loss.loss(collate([row], pad_id=0))
    (loss / training_loss.weight([row])).backward()
    want = torch.zeros(3, 3, dtype=torch.float64)
    for before, token in PAIRS_OF_IDS:
        gradient = TOKEN_GRADIENTS[way](NOW[before], BASE[before], token)
        want[before] += torch.tensor(gradient, dtype=torch.float64) / 5
    torch.testing.assert_close(model.table.grad, want, rtol=1e-12, atol=1e-14)
    weights = {
        "dft": [NOW[before][token] for before, token in PAIRS_OF_IDS],
        "stm": [float(BASE[before][token] >= 0.4) for before, token in PAIRS_OF_IDS],
    }.get(way)
    if weights is not None:
        wanted = sum(-v * math.log(NOW[a][b]) for v, (a, b) in zip(weights, PAIRS_OF_IDS, strict=True))
        assert loss.item() == pytest.approx(wanted, rel=1e-12)
        assert sums.weight == pytest.approx(sum(weights), rel=1e-12)
    plain = sum(-math.log(NOW[before][token]) for before, token in PAIRS_OF_IDS)
    assert sums.completion == pytest.approx(plain, rel=1e-12), "the log's loss is the plain one"


def test_the_divisor_counts_tokens_that_bear_no_loss(make_model, make_rows):
    """So a step's loss does not grow as tokens are masked, and it is known before the first micro-batch."""
    rows = make_rows(5)
    model = make_model()
    training_loss = TrainingLoss(model, dict(model.named_parameters()), STM)
    assert training_loss.weight(rows) == sum(row.n_loss for row in rows)


def test_a_step_without_a_token_that_bears_loss_moves_nothing(tuned):
    start, _ = tuned(DFT, steps=0)
    weights, events = tuned(by("stm", stm_perplexity=1.0 + 1e-9), steps=2)
    assert all(torch.equal(weights[name], start[name]) for name in start)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [(step.parts.total, step.parts.token_weight, step.grad_norm) for step in steps] == [(0, 0, 0)] * 2


def test_with_an_adapter_stm_asks_the_base_once_and_copies_nothing(make_model, make_rows, monkeypatch):
    model = put_on(make_model(), "lora")
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    objective = changed(STM, kl_to_base=0.5)
    training_loss = TrainingLoss(model, trained, objective)
    assert (training_loss.reference.copied_bytes, training_loss.reference._copy) == (0, None)
    asked = []
    ask = ReferenceModel.predictions
    monkeypatch.setattr(
        ReferenceModel, "predictions", lambda self, batch: asked.append(batch) or ask(self, batch)
    )
    batches = [collate(make_rows(3), pad_id=0), collate(make_rows(4, seed=1), pad_id=0)]
    for batch in batches:
        training_loss.loss(batch)
    assert asked == batches


def test_dft_needs_no_base(make_model):
    model = make_model()
    assert TrainingLoss(model, dict(model.named_parameters()), DFT).reference is None


def test_dft_with_dropout_takes_the_probability_of_the_same_pass(make_model, make_rows):
    model = make_model(dropout=0.3).train()
    training_loss = TrainingLoss(model, dict(model.named_parameters()), DFT)
    batch = collate(make_rows(1)[:1], pad_id=0)
    assert isinstance(batch, FlatBatch)
    torch.manual_seed(5)
    loss, sums = training_loss.loss(batch)
    torch.manual_seed(5)
    logits = model(input_ids=batch.ids, position_ids=batch.positions, use_cache=False).logits[0]
    p = logits[batch.logits_to_keep].softmax(-1)[torch.arange(len(batch.targets)), batch.targets]
    assert loss.item() == pytest.approx(-(p * p.log()).sum().item(), rel=1e-12)
    assert sums.weight == pytest.approx(p.sum().item(), rel=1e-12)


def test_every_way_changes_what_is_learned_and_the_log_tells_it(tuned):
    plain, _ = tuned(Objective())
    seen = [plain]
    for way in ("dft", "asft", "stm"):
        weights, events = tuned(by(way, stm_perplexity=40.0))
        assert all(any(not torch.equal(weights[n], other[n]) for n in plain) for other in seen), way
        seen.append(weights)
        steps = [event for event in events if isinstance(event, StepDone)]
        assert all(0 < step.parts.token_weight < 1 for step in steps)
        assert all((step.parts.kl is None) == (way != "asft") for step in steps)
        assert any(isinstance(event, ReferenceCopied) for event in events) == (way != "dft")
        assert all(0 < event.loss < math.inf for event in events if isinstance(event, ValidationDone))


def test_asft_is_dft_with_a_divergence_of_its_own_or_the_recipes_weight(tuned):
    one, _ = tuned(ASFT)
    same, _ = tuned(changed(DFT, kl_to_base=0.1))
    other, _ = tuned(changed(ASFT, kl_to_base=0.3))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_without_weights_of_tokens_nothing_is_named_or_learned_otherwise(make_model, make_rows):
    settings = LoopSettings(steps=5, learning_rate=5e-4, validate_every=50)
    assert "objective" not in settings.identity()
    names = [
        changed(settings, objective=objective).identity()
        for objective in (Objective(), DFT, ASFT, changed(STM, stm_perplexity=2.5), STM)
    ]
    assert all(a != b for a, b in itertools.combinations(names, 2))
    held = changed(settings, objective=Objective(kl_to_base=0.1)).identity()
    assert set(held["objective"]) == {"prompt_loss_weight", "label_smoothing", "kl_to_base", "l2_to_base"}
    model = make_model()
    batch = collate(make_rows(4), pad_id=0)
    smoothed = TrainingLoss(model, dict(model.named_parameters()), Objective(prompt_loss_weight=1e-9))
    assert smoothed.loss(batch)[0].item() == pytest.approx(loss_sum(model, batch).item(), rel=1e-12)


def test_what_is_minimised_is_told_by_name():
    assert Objective().terms() == {"completion_loss": 1.0}
    assert DFT.terms() == {"completion_loss": 1.0, "token_weights": "dft"}
    assert ASFT.terms() == {"completion_loss": 1.0, "token_weights": "asft", "kl_to_base": 0.1}
    assert STM.terms() == {"completion_loss": 1.0, "token_weights": "stm", "stm_perplexity": 50.0}
    assert Objective(stm_perplexity=9.0).terms() == {"completion_loss": 1.0}
