"""Which metrics a task takes: likelihoods are asked of plain text alone, and nothing else of it."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage import metrics
from tutelage.core.validation import mistake

METRICS = ("bits_per_byte", "perplexity")
"""The metrics of a task without a prompt; the first is its default."""


def check_metrics(names: Sequence[str], *, of_plain_text: bool) -> None:
    """Raise the mistake of a metric that reads a text's likelihood in a task of answers, or of another one in a task of texts."""
    for metric in metrics.expand(names):
        name = metric.partition(":")[0]
        if (name in METRICS) is of_plain_text:
            continue
        raise mistake(
            "plain text is scored by its likelihood alone"
            if of_plain_text
            else "the metric reads the likelihood of a text, which these answers do not have",
            found=f"the metric {name} of a task {'without' if of_plain_text else 'with'} a prompt",
            expected=" or ".join(METRICS) if of_plain_text else "a metric such as rougeL or accuracy",
            fix="leave metrics out, or write prompt beside completion"
            if of_plain_text
            else "take another metric; for texts to go on with write completion alone",
        )
