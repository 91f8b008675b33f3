"""IFEval explained: which instructions of its row a prediction follows."""

from __future__ import annotations

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.ifeval.instructions import Instruction, read_instructions
from tutelage.metrics.score import Row
from tutelage.metrics.scoring import score_rows
from tutelage.scoring.explain.explanation import InstructionsExplanation, InstructionVerdict


def explain_instructions(spec: MetricSpec, row: Row) -> InstructionsExplanation:
    """Each instruction with its arguments and its verdict."""
    value = score_rows([spec.text], [row])[spec.text].score.value
    instructions = read_instructions(row.fields, "row 1")
    assert isinstance(instructions, tuple), "score_rows has read them"
    verdicts = tuple(
        InstructionVerdict(
            _in_words(instruction), instruction.is_followed(row.prediction, str(spec.options["responses"]))
        )
        for instruction in instructions
    )
    return InstructionsExplanation(spec.text, value, row.prediction, verdicts)


def _in_words(instruction: Instruction) -> str:
    arguments = ", ".join(
        f"{name}: {value if isinstance(value, int | str) else ', '.join(value)}"
        for name, value in instruction.arguments.items()
    )
    return f"{instruction.kind} ({arguments})" if arguments else instruction.kind
