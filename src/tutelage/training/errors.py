"""What stops a tuning: losses and weights that are not finite, and rows from which nothing can be learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded

_MOST = 20  # rows and weights that are named


def not_finite(where: str, found: str, rows: Sequence[Encoded]) -> InputError:
    """The error for a loss or a gradient that is NaN or infinite."""
    return InputError(
        "the loss is no longer a finite number",
        where=where,
        found=f"{found}; {named(rows)}",
        fix="lower tune.learning_rate or tune.max_grad_norm, and look at these rows; the last checkpoint is kept",
    )


def require_finite(state: Mapping[str, torch.Tensor], step: int) -> None:
    """Refuse to keep a state from which every later loss would be NaN: weights can run away while losses are finite.

    Raises:
        InputError: a number in it is NaN or infinite.
    """
    bad = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        more = f" and {len(bad) - _MOST} more" if len(bad) > _MOST else ""
        raise InputError(
            "the weights are no longer finite numbers",
            where=f"after step {step}",
            found=", ".join(bad[:_MOST]) + more,
            fix="lower tune.learning_rate or tune.max_grad_norm; no checkpoint of this state was written, the last one is kept",
        )


def no_loss(where: str, rows: Sequence[Encoded]) -> InputError:
    """The error for rows of which no token bears loss."""
    return InputError(
        "nothing in these rows bears loss, so there is nothing to learn from them",
        where=where,
        found=named(rows),
        expected="at least one completion token",
        fix="remove these rows, or give them a completion",
    )


def named(rows: Sequence[Encoded]) -> str:
    """Rows by their ids, which say file and line, and by their tasks."""
    tasks: dict[str, list[str]] = {}
    for row in rows[:_MOST]:
        tasks.setdefault(row.task, []).append(row.id)
    told = "; ".join(f"{', '.join(ids)} of the task {task}" for task, ids in tasks.items())
    return f"rows {told}" + (f"; and {len(rows) - _MOST} more" if len(rows) > _MOST else "")
