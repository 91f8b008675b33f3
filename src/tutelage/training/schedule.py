"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math

from tutelage.training.settings import LoopSettings


def rate(settings: LoopSettings, step: int) -> float:
    """The learning rate of optimizer step `step` (0-based): linear warm-up, then the schedule.

    The first step has a rate above zero, and so has the last.
    """
    warm = math.ceil(settings.warmup * settings.steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    share = (step - warm) / max(1, settings.steps - warm)
    if settings.schedule == "linear":
        return settings.learning_rate * (1.0 - share)
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))
    return settings.learning_rate
