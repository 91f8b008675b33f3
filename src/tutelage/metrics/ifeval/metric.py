"""IFEval's four metrics: followed strictly or loosely, counted by prompt or by instruction."""

from __future__ import annotations

import numpy as np

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.ifeval.instructions import Instruction, read_instructions
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.stats.arrays import Floats


def _count_prompts(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """A prompt counts as followed when all of its instructions are."""
    return of_means(np.array([all(row) for row in _verdicts(batch, spec)], np.float64))


def _count_instructions(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """Statistics of shape (n, 2): how many instructions of a prompt are followed, and how many it has."""
    verdicts = _verdicts(batch, spec)
    counts: Floats = np.array([[sum(row), len(row)] for row in verdicts], np.float64).reshape(-1, 2)
    return ItemStatistics(np.arange(len(verdicts)), counts[:, 0] / counts[:, 1], counts)


def _verdicts(batch: ScoringBatch, spec: MetricSpec) -> list[list[bool]]:
    """Whether each row's prediction follows each of the row's instructions; computed once for all metrics."""
    responses = str(spec.options["responses"])
    verdicts: list[list[bool]] | None = batch.cache.get(("ifeval", responses))
    if verdicts is None:
        verdicts = [
            [instruction.is_followed(row.prediction, responses) for instruction in instructions]
            for row, instructions in zip(batch.rows, _instructions(batch), strict=True)
        ]
        batch.cache["ifeval", responses] = verdicts
    return verdicts


def _instructions(batch: ScoringBatch) -> list[tuple[Instruction, ...]]:
    """The instructions of each row; an InputErrors with the mistakes of all rows."""
    instructions: list[tuple[Instruction, ...]] = []
    errors: list[InputError] = []
    for index, row in enumerate(batch.rows):
        row_instructions = read_instructions(row.fields, f"row {index + 1}")
        if isinstance(row_instructions, list):
            errors += row_instructions
            if len(errors) >= MAX_MISTAKES:
                break
        else:
            instructions.append(row_instructions)
    raise_all("IFEval's instructions", errors[:MAX_MISTAKES])
    return instructions


prompt_level = MetricImplementation(_count_prompts)
instruction_level = MetricImplementation(_count_instructions)
