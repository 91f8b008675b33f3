"""Refuses settings of models and adapters that would take endless time or fill memory, before a library follows them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError

MAX_COUNT = 100_000
"""Layers, labels, experts and the like that a config may ask for; configurations make lists of that length."""
MAX_POSITIONS = 1 << 27
"""Positions that a config may state; the longest in use are about ten million."""
MAX_REPLICATED = 1024
"""Layers that an adapter's `layer_replication` may make in all."""
FREE_SIZE = 1024
"""Ranks and numbers of virtual tokens that need no tensor of that size: small enough to be built and then compared."""
MAX_PATTERN_SECONDS = 1
"""Processor time for matching an adapter's patterns with all names of a model's layers."""
MAX_PATTERN_BYTES = 1 << 30
"""Memory of the process that matches them."""

_COUNTS = re.compile(r"(^|_)(layers?|blocks?|labels?|experts?|heads?|depth|stages?|stacks?)(_|$)")
_PROBABILITIES = re.compile(r"dropout|pdrop|drop_rate|drop_path")
_POSITIONS = re.compile(r"position|seq_len|n_ctx|context_len")
_SIZES = (
    "r",
    "num_virtual_tokens",
    "num_transformer_submodules",
    "num_layers",
    "num_attention_heads",
    "token_dim",
    "oft_block_size",
)
"""Settings of an adapter that are sizes of its tensors."""
_PLAIN_NAME = re.compile(r"[\w.-]*", re.ASCII)

_MATCHER = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({MAX_PATTERN_SECONDS}, {MAX_PATTERN_SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({MAX_PATTERN_BYTES}, {MAX_PATTERN_BYTES}))
names, patterns = json.load(sys.stdin)
for pattern in patterns:
    print(json.dumps(pattern), flush=True)
    compiled = re.compile(pattern)
    for name in names:
        compiled.fullmatch(name), compiled.match(name)
"""


def check_config(path: Path, settings: Any) -> None:
    """Refuse a model's settings with absurd numbers of layers, labels, positions and the like, or impossible dropout.

    Args:
        path: of config.json, for the error.
        settings: what it holds; nested settings count too.

    Raises:
        InputError: with the key.
    """
    numbers = (
        (key, item)
        for key, value in walk(settings)
        for item in (value if isinstance(value, list) else [value])
        if isinstance(item, int | float)
    )
    for key, value in numbers:
        limit = MAX_POSITIONS if _POSITIONS.search(key) else MAX_COUNT if _COUNTS.search(key) else None
        if limit is not None and value > limit:
            raise _too_large_error(path, key, value, f"at most {limit:,}")
        if _PROBABILITIES.search(key) and not 0 <= value <= 1:
            raise InputError(
                "the setting is no share of what is dropped",
                where=str(path),
                found=f"{key}: {value}"[:200],
                expected="0 to 1",
                fix="correct it, or fetch the model again",
            )


def check_adapter(path: Path, settings: dict[str, Any], widest: int) -> None:
    """Refuse an adapter's settings that ask for more than its tensors can hold.

    Args:
        path: of adapter_config.json, for the error.
        settings: what it holds.
        widest: the largest dimension of the adapter's tensors.

    Raises:
        InputError: with the key.
    """
    limit = max(widest, FREE_SIZE)
    ranks = settings.get("rank_pattern")
    sizes = {key: settings.get(key) for key in _SIZES}
    if isinstance(ranks, dict):
        sizes |= {f"rank_pattern: {name}": rank for name, rank in ranks.items()}
    for key, value in sizes.items():
        if isinstance(value, int | float) and value > limit:
            raise _too_large_error(
                path, key, value, f"at most {limit:,}: the adapter's tensors are no larger"
            )
    _check_replication(path, settings.get("layer_replication"))
    check_config(path, {"lora_dropout": settings.get("lora_dropout")})


def _check_replication(path: Path, ranges: Any) -> None:
    if not ranges:
        return
    try:
        total = sum(max(0, int(end) - int(start)) for start, end in ranges)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the setting is no list of ranges of layers",
            where=str(path),
            found=f"layer_replication: {str(ranges)[:100]}",
            expected="[[0, 4], [2, 5]]: from each first layer up to each last",
            fix="save the adapter again",
        ) from error
    if total > MAX_REPLICATED:
        raise _too_large_error(path, "layer_replication", total, f"at most {MAX_REPLICATED:,} layers in all")


def check_patterns(path: Path, settings: dict[str, Any], names: Sequence[str]) -> None:
    """Match an adapter's patterns with the names of a model's layers, in a child process with bounded processor time.

    peft matches them with Python's `re`, where a pattern such as `(.*.*.*.*)=x` practically never ends.

    Args:
        path: of adapter_config.json, for the error.
        settings: what it holds.
        names: of the modules of the model that the adapter is for.

    Raises:
        InputError: a pattern is invalid or takes too long.
    """
    patterns = list(_patterns(settings))
    if not patterns:
        return
    process = subprocess.run(  # noqa: S603  # this Python and a fixed text
        [sys.executable, "-I", "-S", "-c", _MATCHER],
        input=json.dumps([list(names), patterns]),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        tried = process.stdout.splitlines()
        pattern = json.loads(tried[-1]) if tried else patterns[0]
        message = process.stderr.strip().splitlines()[-1:] if process.returncode > 0 else []
        raise InputError(
            "a pattern of the adapter's settings cannot be used",
            where=str(path),
            found=f"{pattern[:200]}: "
            + (message[0] if message else f"not matched with the layers' names in {MAX_PATTERN_SECONDS} s"),
            expected="a short pattern, or a list of layers' names",
            fix="name the layers in a list in place of the pattern",
        )


def _patterns(settings: dict[str, Any]) -> Iterator[str]:
    """The patterns as peft composes them, without those that have no special character."""
    for key in ("target_modules", "exclude_modules", "feedforward_modules"):
        if isinstance(settings.get(key), str) and not _PLAIN_NAME.fullmatch(settings[key]):
            yield settings[key]
    forms = {"modules_to_save": r"(^|.*\.){}($|\..*)", "layers_pattern": r"(?:^|.*?\.){}\.(?P<idx>\d+)\."}
    forms |= dict.fromkeys(("rank_pattern", "alpha_pattern"), r"(.*\.)?({})$")
    for key, form in forms.items():
        value = settings.get(key)
        for name in [value] if isinstance(value, str) else value if isinstance(value, list | dict) else ():
            if isinstance(name, str) and not _PLAIN_NAME.fullmatch(name):
                yield form.replace("{}", name)


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from walk(inner)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def _too_large_error(path: Path, key: str, value: float, expected: str) -> InputError:
    return InputError(
        "a setting asks for far too much",
        where=str(path),
        found=f"{key}: {value:,}"[:200],
        expected=expected,
        fix="fetch or save it again: settings and weights must belong together",
    )
