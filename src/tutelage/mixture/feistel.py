"""Seeded permutations of range(n), computed for single positions or for many, without storing anything.

A Feistel network permutes the next power of four; a value outside of range(n) goes through it again until it falls inside (cycle
walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). On average that takes fewer than four passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ROUNDS = 8
_MASK = (1 << 64) - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIER_1 = 0xBF58476D1CE4E5B9
_MULTIPLIER_2 = 0x94D049BB133111EB

Ints = npt.NDArray[np.int64]
UInts = npt.NDArray[np.uint64]


def splitmix64(value: int) -> int:
    """SplitMix64 (Steele, Lea and Flood 2014): a 64-bit hash of a 64-bit integer."""
    value = (value + _GOLDEN_GAMMA) & _MASK
    value = ((value ^ (value >> 30)) * _MULTIPLIER_1) & _MASK
    value = ((value ^ (value >> 27)) * _MULTIPLIER_2) & _MASK
    return value ^ (value >> 31)


def splitmix64_all(values: UInts) -> UInts:
    """`splitmix64` of each element."""
    values = values + np.uint64(_GOLDEN_GAMMA)
    shifted = values >> np.uint64(30)
    shifted ^= values
    shifted *= np.uint64(_MULTIPLIER_1)
    np.right_shift(shifted, np.uint64(27), out=values)
    values ^= shifted
    values *= np.uint64(_MULTIPLIER_2)
    np.right_shift(values, np.uint64(31), out=shifted)
    shifted ^= values
    return shifted


def round_keys(base: int, *indices: int) -> tuple[int, ...]:
    """The round keys of the permutation that `indices` select from the family `base`."""
    seed = base
    for index in indices:
        seed = splitmix64(seed ^ index)
    return tuple(splitmix64(seed ^ round_index) for round_index in range(ROUNDS))


def round_keys_all(base: int, *indices: Ints) -> UInts:
    """`round_keys` for arrays of indices: shape (rounds, n)."""
    seed: UInts = np.full(len(indices[0]), base, np.uint64)
    for index in indices:
        seed = splitmix64_all(seed ^ index.astype(np.uint64))
    return np.stack([splitmix64_all(seed ^ np.uint64(round_index)) for round_index in range(ROUNDS)])


def permute(size: int, keys: Sequence[int], offset: int) -> int:
    """The image of `offset` under a permutation of range(size).

    Args:
        size: at least 1.
        keys: 64-bit integers, one a round.
        offset: in range(size).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    value = offset
    # The network permutes range(4 ** half), which holds range(size): walk until the value falls into it again.
    while True:
        upper, lower = value >> half, value & mask
        for key in keys:
            upper, lower = lower, upper ^ (splitmix64(lower ^ key) & mask)
        value = upper << half | lower
        if value < size:
            return value


def permutation(size: int, keys: Sequence[int]) -> Ints:
    """`permute` of all of range(size): shape (size). For small sizes only: it builds a table of the next power of four."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    halves = np.arange(1 << half, dtype=np.uint64)
    round_outputs = splitmix64_all(halves ^ np.array(keys, np.uint64)[:, None]).astype(np.int64) & mask
    values = np.arange(1 << 2 * half)
    upper, lower = values >> half, values & mask
    for round_output in round_outputs:
        upper, lower = lower, upper ^ round_output[lower]
    network = upper << half | lower
    result = network[:size].copy()
    while (outside := result >= size).any():
        result[outside] = network[result[outside]]
    return result


def permute_all(sizes: Ints, keys: UInts, offsets: Ints) -> Ints:
    """`permute` of many offsets, each with its own size and keys.

    Args:
        sizes: (n), each at least 1 and below 2 ** 53.
        keys: (rounds, n).
        offsets: (n), each in range(size).
    """
    # frexp gives the number of bits, exactly for integers that a float holds
    bit_lengths = np.frexp((sizes - 1).astype(np.float64))[1].astype(np.int64)
    halves = np.maximum(1, (bit_lengths + 1) // 2).astype(np.uint64)
    values = offsets.astype(np.uint64)
    bounds = sizes.astype(np.uint64)
    result = np.empty(len(values), np.int64)
    pending = np.arange(len(values))
    while len(pending):
        mask = (np.uint64(1) << halves) - np.uint64(1)
        upper, lower = values >> halves, values & mask
        for key in keys:
            upper, lower = lower, upper ^ (splitmix64_all(lower ^ key) & mask)
        values = upper << halves | lower
        is_inside = values < bounds
        result[pending[is_inside]] = values[is_inside]
        is_outside = ~is_inside
        pending, values, halves, bounds = (
            pending[is_outside],
            values[is_outside],
            halves[is_outside],
            bounds[is_outside],
        )
        keys = keys[:, is_outside]
    return result
