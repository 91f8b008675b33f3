"""Reads a GGUF file's header, metadata and positions of tensors, with bounds and before any library reads the file.

Every count and length is checked against the rest of the file before memory is allocated for it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_GGUF_ELEMENTS, MAX_SETTINGS_BYTES

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_DIMENSIONS = 4
MAX_ARRAY_VALUES = 4096
"""The longest array of numbers that is read; of longer ones, and of arrays of texts, only the length is."""
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_BLOCK = re.compile(r"(?:enc\.|dec\.)?blk\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """The header's entry for one tensor.

    Attributes:
        name: as llama.cpp names it.
        shape: in ggml's order, the fastest-moving dimension first.
        kind: ggml's number of its type; 0 is float32.
        start, end: its bytes in the file.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    end: int

    @property
    def elements(self) -> int:
        """The number of values in it."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The metadata and the table of tensors of a GGUF file.

    Attributes:
        architecture: llama.cpp's name of the architecture, the prefix of its keys.
        metadata: numbers, texts and short lists of numbers by key; of other arrays the length.
        tensors: all tensors by name.
    """

    architecture: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]

    def setting(self, key: str) -> Any:
        """A setting of the architecture, such as `block_count`; None when the file does not state it."""
        return self.metadata.get(f"{self.architecture}.{key}")


class _DamageError(Exception):
    """A mistake in the file's header; its arguments are what was found and what is expected."""


def read(path: Path) -> GgufHeader:
    """Read and check a GGUF file's header.

    Raises:
        InputError: the file is not GGUF, of a version that is not read, cut off, or its counts, lengths or offsets
            do not fit its size; or the layers that it states are not those whose tensors it holds.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if magic != MAGIC:
                raise InputError(
                    "the file is not GGUF",
                    where=str(path),
                    found=f"it begins with {magic!r}",
                    expected=f"it begins with {MAGIC!r}",
                    fix="fetch the file again: a download that ended early or a page saved in its place look like this",
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _HeaderReader(data).header()
        _check_layers(header)
    except _DamageError as damage:
        raise InputError(
            "the GGUF file is damaged, or not made for use",
            where=str(path),
            found=damage.args[0],
            expected=damage.args[1],
            fix="fetch the file again, or convert the model again; else name the same model as safetensors",
        ) from None
    return header


class _HeaderReader:
    """Reads values one after the other, and never past the end of the file."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.size = len(data)
        self.position = 4
        self.elements = 0

    def header(self) -> GgufHeader:
        version, n_tensors, n_keys = self.numbers("IQQ")
        if version not in VERSIONS:
            raise _DamageError(f"version {version}", "version 2 or 3, little-endian")
        # A key takes at least 13 bytes: its length, its type, and one byte of value; a tensor at least 24.
        self.require(n_keys * 13, f"{n_keys:,} keys")
        metadata: dict[str, Any] = {}
        for _ in range(n_keys):
            key = self.text()
            if key in metadata:
                raise _DamageError(f"the key {key!r} twice", "every key once")
            (kind,) = self.numbers("I")
            metadata[key] = self.value(kind, key)
            if self.position > MAX_SETTINGS_BYTES:
                raise _DamageError(f"metadata of more than {MAX_SETTINGS_BYTES:,} bytes", "less")
        architecture = metadata.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise _DamageError(
                f"general.architecture: {architecture!r}", "the name of an architecture, such as llama"
            )
        self.require(n_tensors * 24, f"{n_tensors:,} tensors")
        if not n_tensors:
            raise _DamageError("no tensors", "the model's weights")
        entries = [self.entry() for _ in range(n_tensors)]
        return GgufHeader(architecture, metadata, self.located(entries, metadata))

    def require(self, length: int, content: str) -> None:
        remaining = self.size - self.position
        if length > remaining:
            raise _DamageError(
                f"{content} at byte {self.position:,}, where {remaining:,} bytes are left",
                "counts and lengths that fit the file's size",
            )

    def numbers(self, kinds: str) -> tuple[Any, ...]:
        length = struct.calcsize(f"<{kinds}")
        self.require(length, f"{length} bytes of a number")
        values = struct.unpack_from(f"<{kinds}", self.data, self.position)
        self.position += length
        return values

    def text(self) -> str:
        (length,) = self.numbers("Q")
        self.require(length, f"a text of {length:,} bytes")
        content = self.data[self.position : self.position + min(length, MAX_SETTINGS_BYTES)]
        self.position += length
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _DamageError(
                f"a text that is not UTF-8 at byte {self.position - length:,}", "UTF-8"
            ) from error

    def value(self, kind: int, key: str) -> Any:
        if kind in _SCALARS:
            return self.numbers(_SCALARS[kind])[0]
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            raise _DamageError(f"{key}: a value of type {kind}", "one of the types of GGUF")
        item_kind, count = self.numbers("IQ")
        self.elements += count
        if self.elements > MAX_GGUF_ELEMENTS:
            raise _DamageError(
                f"{key}: {count:,} entries", f"at most {MAX_GGUF_ELEMENTS:,} entries in all arrays"
            )
        if item_kind in _SCALARS:
            length = struct.calcsize(f"<{_SCALARS[item_kind]}") * count
            self.require(length, f"{key}, {count:,} numbers,")
            if count <= MAX_ARRAY_VALUES:
                return list(self.numbers(_SCALARS[item_kind] * count))
            self.position += length
            return count
        if item_kind != _STRING:
            raise _DamageError(
                f"{key}: an array of values of type {item_kind}", "an array of numbers or texts"
            )
        self.require(8 * count, f"{key}, {count:,} texts,")
        for _ in range(count):
            (length,) = self.numbers("Q")
            self.require(length, f"{key}, a text of {length:,} bytes,")
            self.position += length
        return count

    def entry(self) -> tuple[str, tuple[int, ...], int, int]:
        """Read a tensor's name, shape, type and offset in the file's data."""
        name = self.text()
        (n,) = self.numbers("I")
        if not 1 <= n <= MAX_DIMENSIONS:
            raise _DamageError(f"{name}: {n:,} dimensions", f"1 to {MAX_DIMENSIONS}")
        shape = self.numbers("Q" * n)
        kind, offset = self.numbers("IQ")
        return name, shape, kind, offset

    def located(
        self, entries: list[tuple[str, tuple[int, ...], int, int]], metadata: Mapping[str, Any]
    ) -> dict[str, TensorEntry]:
        """The tensors by name, each checked to lie within the file."""
        from gguf import GGML_QUANT_SIZES

        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise _DamageError(f"general.alignment: {alignment}", "a power of two")
        start = -(-self.position // alignment) * alignment
        blocks = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
        tensors: dict[str, TensorEntry] = {}
        for name, shape, kind, offset in entries:
            if name in tensors:
                raise _DamageError(f"the tensor {name} twice", "every tensor once")
            if kind not in blocks:
                raise _DamageError(f"{name}: numbers of type {kind}", "a type that the package gguf knows")
            per_block, block_bytes = blocks[kind]
            if 0 in shape or shape[0] % per_block:
                raise _DamageError(f"{name}: shape {list(shape)}", f"rows of whole blocks of {per_block}")
            begin = start + offset
            end = begin + prod(shape) // per_block * block_bytes
            if end > self.size:
                raise _DamageError(
                    f"{name}: shape {list(shape)}, up to byte {end:,} of {self.size:,}",
                    "tensors that lie within the file",
                )
            tensors[name] = TensorEntry(name, shape, kind, begin, end)
        return tensors


def _check_layers(header: GgufHeader) -> None:
    """Check that the file has tensors of all layers that it states, and of no others."""
    n_layers = header.setting("block_count")
    if not isinstance(n_layers, int) or isinstance(n_layers, bool) or n_layers < 1:
        raise _DamageError(f"{header.architecture}.block_count: {n_layers}", "the number of layers")
    stored = {int(match[1]) for name in header.tensors if (match := _BLOCK.match(name))}
    # A file of n tensors holds at most n layers: no range is built for a huge number.
    if n_layers > len(header.tensors) or stored != set(range(n_layers)):
        shown = f"{min(stored)} to {max(stored)}" if stored else "none"
        raise _DamageError(
            f"{header.architecture}.block_count is {n_layers:,}, and the tensors are of layers {shown}",
            "tensors of every stated layer, and of no other",
        )
