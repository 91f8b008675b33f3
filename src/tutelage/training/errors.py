"""Errors that stop a tuning: losses and weights that are not finite, and rows without loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded

_MOST = 20  # rows and weights that an error names


def not_finite(where: str, values: str, rows: Sequence[Encoded]) -> InputError:
    """The error for a loss or a gradient that is NaN or infinite: `values` has it, and `rows` led to it."""
    return InputError(
        "the loss is no longer a finite number",
        where=where,
        found=f"{values}; {_row_names(rows)}",
        fix="lower tune.learning_rate or tune.max_grad_norm, and look at these rows; the last checkpoint is kept",
    )


def require_finite(state: Mapping[str, torch.Tensor], step: int) -> None:
    """Refuse to save weights or moments that are not finite: they can diverge while the loss is still finite.

    Raises:
        InputError: a number in it is NaN or infinite.
    """
    names = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if names:
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        raise InputError(
            "the weights are no longer finite numbers",
            where=f"after step {step}",
            found=", ".join(names[:_MOST]) + more,
            fix="lower tune.learning_rate or tune.max_grad_norm; no checkpoint of this state was written, the last one is kept",
        )


def no_loss(where: str, rows: Sequence[Encoded]) -> InputError:
    """The error for rows whose loss mask is empty."""
    return InputError(
        "nothing in these rows bears loss, so there is nothing to learn from them",
        where=where,
        found=_row_names(rows),
        expected="at least one completion token",
        fix="remove these rows, or give them a completion",
    )


def _row_names(rows: Sequence[Encoded]) -> str:
    """Rows by their ids, which have file and line, and by their tasks."""
    ids_by_task: dict[str, list[str]] = {}
    for row in rows[:_MOST]:
        ids_by_task.setdefault(row.task, []).append(row.id)
    names = "; ".join(f"{', '.join(ids)} of the task {task}" for task, ids in ids_by_task.items())
    return f"rows {names}" + (f"; and {len(rows) - _MOST} more" if len(rows) > _MOST else "")
