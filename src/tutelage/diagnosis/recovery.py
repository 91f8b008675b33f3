"""How much of a loss came back: base, tuned and re-aligned model compared item by item, so that chance flips cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tutelage.comparison.pairing import pair_evaluations
from tutelage.comparison.task_comparison import Estimate, gain_in_points
from tutelage.comparison.wording import format_number
from tutelage.results.store import Evaluation


@dataclass(frozen=True, slots=True)
class Recovery:
    """A watched benchmark before and after the tuning, and after the re-alignment, in points of 0 to 100.

    Attributes:
        loss: from base to tuned; negative for a gain.
        recovered: from tuned to re-aligned; positive is better.
        remaining: the loss from base to re-aligned.
        items: independent items.
        control: from the base to the base that learned the same rows, positive is better; None where it was not asked for.
    """

    loss: Estimate
    recovered: Estimate
    remaining: Estimate
    items: int
    control: Estimate | None = None

    def as_json(self) -> dict[str, Any]:
        """As in diagnosis.json."""
        changes = {"loss": self.loss, "recovered": self.recovered, "remaining": self.remaining}
        values: dict[str, Any] = {name: change._asdict() for name, change in changes.items()}
        if self.control is not None:
            values["control"] = self.control._asdict()
        return {**values, "items": self.items}

    def sentence(self, name: str, rows: int) -> str:
        """What came back, for people.

        Args:
            name: the benchmark's.
            rows: how many of the base's answers were learned.
        """
        back = self.recovered
        interval = f"95 % interval {_signed(back.low)} to {_signed(back.high)}"
        learned = f"after learning {rows} of the base's own everyday answers"
        if self.loss.value <= 0:
            text = (
                f"{name}: nothing was lost ({_signed(-self.loss.value)} points), and {learned} it changed by "
                f"{_signed(back.value)} points ({interval})"
            )
        else:
            verb = f"{format_number(back.value)} came back" if back.value >= 0 else "nothing came back"
            text = f"{name}: of the loss of {format_number(self.loss.value)} points {verb} {learned} ({interval})"
            if back.low <= 0 <= back.high:
                text += ", which chance may explain"
        if self.control is not None:
            control = self.control
            text += (
                f"; the same rows changed the base by {_signed(control.value)} "
                f"({_signed(control.low)} to {_signed(control.high)})"
            )
        return f"{text}."


def recovery(
    *, base: Evaluation, tuned: Evaluation, realigned: Evaluation, control: Evaluation | None = None
) -> Recovery | None:
    """Compare the models on one benchmark; None where its primary metric has no scale of 0 to 100.

    Args:
        base: the base's scored evaluation.
        tuned: the tuned model's, of the same items.
        realigned: that of the tuned model that learned the rows.
        control: that of the base that learned them.
    """
    lost, back, left = (
        _gain(first, second) for first, second in ((base, tuned), (tuned, realigned), (base, realigned))
    )
    if lost is None or back is None or left is None:
        return None
    of_base = None if control is None else _gain(base, control)
    return Recovery(
        _as_loss(lost[0]), back[0], _as_loss(left[0]), back[1], None if of_base is None else of_base[0]
    )


def _gain(first: Evaluation, second: Evaluation) -> tuple[Estimate, int] | None:
    scores, _ = pair_evaluations(first, second, base=first.model, tuned=second.model)
    return gain_in_points(scores)


def _as_loss(gain: Estimate) -> Estimate:
    return Estimate(-gain.value, -gain.high, -gain.low)


def _signed(value: float) -> str:
    return format_number(value, sign=True)
