"""The re-alignment probe: a copy of a model learns ten of the base's own everyday answers, and what that brings back is measured.

A model that forgets "spuriously" has lost the way to its knowledge and not the knowledge: a few rows that have nothing to do with what
it is tested on restore it (J. Zheng et al., "Spurious Forgetting in Continual Learning of Language Models", 2025, arXiv 2501.13453).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.core.types import Encoded, Origin, Prompted, Request, Response
from tutelage.data.duplicates import contaminated_items
from tutelage.models import LoadedModel
from tutelage.protection.prompts import FILE, Prompt
from tutelage.protection.sample_quality import NEAR, reason_to_drop
from tutelage.tokens.encoder import Encoder

NAME = "re-alignment"


@dataclass(frozen=True, slots=True)
class RealignmentSettings:
    """How the copy is trained: always so, that figures of two runs can be compared.

    Attributes:
        rows: how many of the base's answers are learned.
        max_new_tokens: the most tokens of an answer.
        steps: optimizer steps, each over all rows.
        learning_rate: of AdamW, constant; all weights are trained.
        seed: of the choice of prompts.
    """

    rows: int = 10
    max_new_tokens: int = 96
    steps: int = 10
    learning_rate: float = 2e-5
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """As in diagnosis.json."""
        return asdict(self)


SETTINGS = RealignmentSettings()


@dataclass(frozen=True, slots=True)
class AlignmentRow:
    """One of the base's own answers: the prompt's id, the prompt, the answer."""

    id: str
    prompt: str
    completion: str


def candidate_rounds(
    prompts: Sequence[Prompt], benchmarks: Sequence[Benchmark], settings: RealignmentSettings = SETTINGS
) -> Iterator[list[Request]]:
    """Yield prompts in the order in which they are tried: in each round one of every kind, the kinds in a fixed random order.

    Args:
        prompts: all that there are.
        benchmarks: what is watched; prompts that stand in it, exactly or nearly, are passed over.
        settings: of the probe.
    """
    items = [item.prompt for benchmark in benchmarks for item in benchmark.items]
    watched = {match.row for match in contaminated_items(items, [each.prompt for each in prompts], NEAR)}
    by_kind: dict[str, list[Prompt]] = {}
    for index, prompt in enumerate(prompts):
        if index not in watched:
            by_kind.setdefault(prompt.kind, []).append(prompt)
    kinds = list(by_kind)
    order = seeds.generator(settings.seed, NAME).permutation(len(kinds)).tolist()
    for number in range(max(map(len, by_kind.values()), default=0)):
        of_round = [by_kind[kinds[kind]][number] for kind in order if number < len(by_kind[kinds[kind]])]
        yield [
            Request(prompt.id, "generate", prompt.prompt, max_new_tokens=settings.max_new_tokens)
            for prompt in of_round
        ]


def alignment_rows(
    rounds: Iterator[list[Request]],
    ask: Callable[[Sequence[Request]], Mapping[str, Response]],
    fits: Callable[[Sequence[Request]], Sequence[bool]],
    settings: RealignmentSettings = SETTINGS,
) -> tuple[AlignmentRow, ...]:
    """Take the first of the base's greedy answers that end and are fit to be learned, until there are enough.

    Args:
        rounds: of `candidate_rounds`.
        ask: gives the base's responses by id.
        fits: says of each request whether it fits into the model's context; others are passed over.
        settings: of the probe.

    Returns:
        As many rows as the settings say, or all fit ones of fewer.

    Raises:
        InputError: no answer is fit.
    """
    rows: list[AlignmentRow] = []
    asked = 0
    for of_round in rounds:
        requests = [request for request, fit in zip(of_round, fits(of_round), strict=True) if fit]
        responses = ask(requests)
        asked += len(requests)
        rows += [
            AlignmentRow(request.id, request.prompt, responses[request.id].text.strip())
            for request in requests
            if not reason_to_drop(responses[request.id])
        ]
        if len(rows) >= settings.rows:
            break
    if not rows:
        raise InputError(
            "the base answers none of the everyday prompts to an end, so nothing of it can be learned again",
            where="diagnose",
            found=f"{asked} answers, each cut off, empty or repeating itself",
            expected="a base that answers prompts",
            fix="diagnose a run whose base was tuned on instructions",
        )
    return tuple(rows[: settings.rows])


def encode(rows: Sequence[AlignmentRow], loaded: LoadedModel) -> list[Encoded]:
    """The rows as the model reads them in its own chat template."""
    encoder = Encoder(loaded.tokenizer, encoder_decoder=loaded.encoder_decoder, max_length=loaded.context)
    return [
        encoder.encode(
            Prompted(row.id, NAME, row.prompt, row.completion, template="", origin=Origin(FILE, number))
        )
        for number, row in enumerate(rows, 1)
    ]


def realign(
    loaded: LoadedModel,
    rows: Sequence[AlignmentRow],
    folder: Path,
    *,
    on_event: Callable[[Any], None],
    settings: RealignmentSettings = SETTINGS,
) -> LoadedModel:
    """Train a model in place on the rows; a stopped training resumes from its folder.

    Args:
        loaded: the model; all its weights in floating point are trained, those of an adapter and its base alike.
        rows: what it learns.
        folder: of the checkpoints.
        on_event: receives the events of the training.
        settings: of the probe.

    Returns:
        The model under a fingerprint of its new weights.
    """
    from tutelage.training.loop import Loop
    from tutelage.training.settings import LoopSettings

    encoded = encode(rows, loaded)
    for parameter in loaded.model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    Loop(
        loaded.model,
        pad_id=loaded.pad,
        row_at=lambda position: encoded[position % len(encoded)],
        validation=(),
        settings=LoopSettings(
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            validate_every=settings.steps,
            batch_size=len(encoded),
            schedule="constant",
            warmup=0.0,
            checkpoint_every=settings.steps,
            keep="last",
            seed=settings.seed,
        ),
        folder=folder,
        needs={"model": loaded.fingerprint, "rows": [asdict(row) for row in rows]},
        on_event=on_event,
    ).tune()
    loaded.model.requires_grad_(False)
    return replace(loaded, fingerprint=weights_fingerprint(loaded))


def weights_fingerprint(loaded: LoadedModel) -> str:
    """The sha256 of a model's weights as they are in memory, and of what it was loaded from."""
    import torch

    digest = hashlib.sha256(loaded.fingerprint.encode())
    for name, tensor in loaded.model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
