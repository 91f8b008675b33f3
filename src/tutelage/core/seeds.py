"""Random choices as pure functions of (seed, purpose, position): there is no generator state to save."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose; different purposes give unrelated seeds."""
    text = "\x1f".join([str(seed), *(str(part) for part in purpose)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for one purpose."""
    import numpy as np

    return np.random.default_rng(derive(seed, *purpose))


def legacy_generator(seed: int) -> np.random.RandomState:
    """Numpy's frozen generator of before 1.17, for draws that must equal those of another program."""
    import numpy as np

    return np.random.RandomState(seed)
