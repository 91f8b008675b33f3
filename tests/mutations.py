"""Seeded damage to JSON values and to bytes: what a slip of the hand, another program or an attacker leaves in a file.

`damage_json` and `damage_bytes` change one place and say which; the same seed gives the same change on every machine.
`time_limit` turns a hang into a failure.
"""

from __future__ import annotations

import copy
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

Path = tuple[str | int, ...]


class Hang(BaseException):
    """The block inside `time_limit` took too long. No `except Exception` swallows it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise Hang in the main thread when the block runs for longer than `seconds` by the clock."""

    def ring(signum: int, frame: Any) -> None:
        raise Hang(f"more than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    # Rings again every second: a library may swallow the first.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value inside `value`, and of `value` itself (the empty path)."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def at(value: Any, path: Path) -> Any:
    """The value at a path."""
    for step in path:
        value = value[step]
    return value


def _nested(value: Any, random: Random) -> Any:
    for _ in range(random.choice((1, 2, 50, 500))):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def _number(value: Any, random: Random) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return random.choice((3, -3, 0.5))
    return random.choice((-value, value + 1, value - 1, value * 2, value / 3, 10**6 * value))


def _text(value: Any, random: Random) -> Any:
    if not isinstance(value, str):
        return str(value)
    half = len(value) // 2
    return random.choice((value[:half], value + "x", value[::-1], value.upper(), value[:half] + "\x00\n"))


VALUES: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "true": (True,),
    "false": (False,),
    "zero": (0,),
    "minus one": (-1,),
    "huge integer": (10**9, 2**31, 2**63, 2**64, 10**30),
    "huge negative": (-(10**9), -(2**31), -(2**63), -(10**30)),
    "fraction": (0.5,),
    "not a number": (math.nan, math.inf, -math.inf),
    "extreme float": (1e300, -1e300, 1e-300),
    "empty text": ("",),
    "word": ("x", "None", "../x", "a/b", "\ud7ff \u00e9 \u202e", "x" * 10_000),
    "empty list": ([],),
    "empty object": ({},),
}
"""What may stand in a value's place, by name."""

CHANGES: dict[str, Callable[[Any, Random], Any]] = {
    "another number": _number,
    "changed text": _text,
    "inside another": _nested,
}
"""What a value may turn into, by name."""


def damage_json(value: Any, random: Random, *, keys: bool = True) -> tuple[Any, str]:
    """A copy of a JSON value with one change, and the change in words, such as `/model/vocab: null`.

    Args:
        value: of dicts, lists, texts, numbers, booleans and None. It stays as it is.
        random: where to change and how; the caller seeds it.
        keys: whether keys may be deleted, renamed and swapped too, not values alone.

    Returns:
        The damaged value (`json.dumps` writes it, with NaN and Infinity as Python does) and the change.
    """
    copied = copy.deepcopy(value)
    # Short lists of paths near the top are where settings stand: a vocabulary's entries would drown them.
    everywhere = list(places(copied))
    near = [path for path in everywhere if len(path) <= 2]
    path = random.choice(near if random.random() < 0.7 else everywhere)
    parents = [p for p in everywhere if isinstance(at(copied, p), dict | list) and at(copied, p)]
    if keys and parents and random.random() < 0.3:
        parent = random.choice(
            [p for p in parents if len(p) <= 1] if random.random() < 0.7 else parents or [()]
        )
        return _damage_keys(copied, parent, random)
    name = random.choice([*VALUES, *CHANGES])
    if name in VALUES:
        new = copy.deepcopy(random.choice(VALUES[name]))
    else:
        new = CHANGES[name](at(copied, path), random)
    if not path:
        return new, f"/: {name}"
    at(copied, path[:-1])[path[-1]] = new
    return copied, f"{_shown(path)}: {name}"


def _damage_keys(copied: Any, path: Path, random: Random) -> tuple[Any, str]:
    """Delete, rename or add an entry, or swap two, of the dict or list at a path."""
    inner = at(copied, path)
    steps = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    step, other = random.choice(steps), random.choice(steps)
    how = random.choice(("delete", "swap", "rename" if isinstance(inner, dict) else "repeat"))
    if how == "swap":
        inner[step], inner[other] = inner[other], inner[step]
        return copied, f"{_shown((*path, step))}: swapped with {other}"
    if how == "rename":
        inner[f"{step}x"] = inner.pop(step)
    elif how == "repeat":
        inner.insert(step, inner[step])
    else:
        del inner[step]
    return copied, f"{_shown((*path, step))}: {how}"


def _shown(path: Path) -> str:
    return "/" + "/".join(str(step)[:40] for step in path)


def damage_bytes(content: bytes, random: Random) -> tuple[bytes, str]:
    """Bytes with one piece cut off, removed, flipped, repeated or overwritten, and the change in words."""
    if not content:
        return b"\x00", "one zero byte in an empty file"
    start = random.randrange(len(content))
    end = min(len(content), start + random.choice((1, 2, 8, 64, 4096)))
    how = random.choice(
        ("cut off", "removed", "flipped", "repeated", "zeroed", "filled", "random", "prefixed")
    )
    piece = content[start:end]
    new = {
        "cut off": lambda: content[:start],
        "removed": lambda: content[:start] + content[end:],
        "flipped": lambda: (
            content[:start] + bytes([piece[0] ^ (1 << random.randrange(8))]) + content[start + 1 :]
        ),
        "repeated": lambda: content[:end] + piece + content[end:],
        "zeroed": lambda: content[:start] + bytes(len(piece)) + content[end:],
        "filled": lambda: content[:start] + b"\xff" * len(piece) + content[end:],
        "random": lambda: content[:start] + random.randbytes(len(piece)) + content[end:],
        "prefixed": lambda: random.choice((b"\xef\xbb\xbf", b"\x00", b"\xff\xfe", b"<html>")) + content,
    }[how]()
    return new, f"bytes {start} to {end} of {len(content)}: {how}"
