"""Seeded permutations of range(n) that are computed at one place or at many: nothing is stored, whatever n is.

A Feistel network permutes the next power of four; a value outside of range(n) is put through it again until it falls inside
(cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). On average that takes fewer than four
rounds through the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ROUNDS = 8
_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


def mix(value: int) -> int:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): 64 bits in, 64 well-mixed bits out."""
    value = (value + _STEP) & _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def mix_all(values: Words) -> Words:
    """`mix` of each."""
    values = values + np.uint64(_STEP)
    other = values >> np.uint64(30)
    other ^= values
    other *= np.uint64(_FIRST)
    np.right_shift(other, np.uint64(27), out=values)
    values ^= other
    values *= np.uint64(_SECOND)
    np.right_shift(values, np.uint64(31), out=other)
    other ^= values
    return other


def round_keys(base: int, *numbers: int) -> tuple[int, ...]:
    """A permutation's round keys: `numbers` say which one of the family `base`."""
    seed = base
    for number in numbers:
        seed = mix(seed ^ number)
    return tuple(mix(seed ^ turn) for turn in range(ROUNDS))


def round_keys_all(base: int, *numbers: Ints) -> Words:
    """`round_keys` of many: (rounds, n)."""
    seed: Words = np.full(len(numbers[0]), base, np.uint64)
    for number in numbers:
        seed = mix_all(seed ^ number.astype(np.uint64))
    return np.stack([mix_all(seed ^ np.uint64(turn)) for turn in range(ROUNDS)])


def permuted(size: int, keys: Sequence[int], offset: int) -> int:
    """Where a permutation of range(size) takes `offset`.

    Args:
        size: at least 1.
        keys: 64-bit integers, one a round.
        offset: in range(size).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    value = offset
    # The network permutes range(4 ** half), which holds range(size): walk until the value falls into it again.
    while True:
        left, right = value >> half, value & low
        for key in keys:
            left, right = right, left ^ (mix(right ^ key) & low)
        value = left << half | right
        if value < size:
            return value


def permutation(size: int, keys: Sequence[int]) -> Ints:
    """`permuted` of all of range(size): (size). For small sizes: it makes a table of the next power of four."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    halves = np.arange(1 << half, dtype=np.uint64)
    turned = mix_all(halves ^ np.array(keys, np.uint64)[:, None]).astype(np.int64) & low
    values = np.arange(1 << 2 * half)
    left, right = values >> half, values & low
    for one in turned:
        left, right = right, left ^ one[right]
    network = left << half | right
    found = network[:size].copy()
    while (outside := found >= size).any():
        found[outside] = network[found[outside]]
    return found


def permuted_all(sizes: Ints, keys: Words, offsets: Ints) -> Ints:
    """`permuted` of many, each with its own size and keys.

    Args:
        sizes: (n), each at least 1 and below 2 ** 53.
        keys: (rounds, n).
        offsets: (n), each in range(size).
    """
    # frexp gives the number of bits, exactly for integers that a float holds
    bits = np.frexp((sizes - 1).astype(np.float64))[1].astype(np.int64)
    halves = np.maximum(1, (bits + 1) // 2).astype(np.uint64)
    values = offsets.astype(np.uint64)
    bounds = sizes.astype(np.uint64)
    out = np.empty(len(values), np.int64)
    places = np.arange(len(values))
    while len(places):
        low = (np.uint64(1) << halves) - np.uint64(1)
        left, right = values >> halves, values & low
        for key in keys:
            left, right = right, left ^ (mix_all(right ^ key) & low)
        values = left << halves | right
        inside = values < bounds
        out[places[inside]] = values[inside]
        again = ~inside
        places, values, halves, bounds = places[again], values[again], halves[again], bounds[again]
        keys = keys[:, again]
    return out
