"""Limits the parameters that a model may register by the numbers that its weights hold.

Settings that ask for a far larger model are refused while it is built, before memory is filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError

FACTOR = 8
"""How often a loader may register each stored number: it builds the model up to three times, and registers tied weights twice."""
PACKED = {"U8": 4, "I32": 16}
"""Numbers of 2 bits that one stored number may hold in quantised weights, by safetensors' name of its type."""
FREE_NUMBERS = 1_000_000
FREE_PARAMETERS = 20_000
"""What a model may have beyond that: parameters of its code, and experts that are stored as one tensor."""


def max_numbers(tensor: Any) -> int:
    """The most numbers of a model that a stored tensor may hold: `tensor` is a slice of safetensors, which is not read."""
    return int(prod(tensor.get_shape())) * PACKED.get(tensor.get_dtype(), 1)


@contextmanager
def limit_parameters(path: Path, *, tensors: int, stored: int) -> Iterator[None]:
    """Stop the construction of a model that grows far beyond its weights.

    Args:
        path: the settings that ask for it, for the error.
        tensors: how many tensors its weights hold.
        stored: how many numbers these hold together.

    Raises:
        InputError: inside the block, from within the model's constructor.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    count = size = 0

    def register(module: Any, name: str, parameter: Any) -> None:
        nonlocal count, size
        if parameter is None:
            return
        count += 1
        size += parameter.numel()
        if count > FACTOR * tensors + FREE_PARAMETERS or size > FACTOR * stored + FREE_NUMBERS:
            raise InputError(
                "the settings ask for a far larger model than the weights hold",
                where=str(path),
                found=f"{name} of {type(module).__name__} and more than {size:,} numbers, where {stored:,} are stored",
                expected="layers and sizes that fit the weights",
                fix="fetch or save the model again: settings and weights must belong together",
            )

    handle = register_module_parameter_registration_hook(register)
    try:
        yield
    finally:
        handle.remove()
