"""Rows as bytes for `spill`: JSON without line ends for rows of text, packed numbers for rows of tokens."""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Sequence
from itertools import pairwise

from tutelage.core.spill import RowFormat
from tutelage.core.types import Encoded, Example, Origin, Prompted

# ASCII: a text may hold half of a surrogate pair, which is no UTF-8.
_encode_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


def _history(messages: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((role, text) for role, text in messages)


def _write_example(row: Example) -> bytes:
    return _encode_json([row.id, dict(row.fields), row.origin, row.history]).encode("ascii")


def _read_example(content: bytes) -> Example:
    id_, fields, origin, history = json.loads(content)
    return Example(id_, fields, Origin(*origin), _history(history))


def _write_prompted(row: Prompted) -> bytes:
    return _encode_json(
        [
            row.id,
            row.task,
            row.prompt,
            row.completion,
            row.template,
            row.origin,
            dict(row.fields),
            row.spans,
            row.shots,
            row.references,
            row.choices,
            row.history,
            row.source,
            row.listed,
            row.group,
        ]
    ).encode("ascii")


def _read_prompted(content: bytes) -> Prompted:
    id_, task, prompt, completion, template, origin, *values = json.loads(content)
    fields, spans, shots, references, choices, history, source, listed, group = values
    return Prompted(
        id=id_,
        task=task,
        prompt=prompt,
        completion=completion,
        template=template,
        origin=Origin(*origin),
        fields=fields,
        spans=tuple(tuple(span) for span in spans),
        shots=shots,
        references=tuple(references),
        choices=tuple(choices),
        history=_history(history),
        source=source,
        listed=listed,
        group=group,
    )


_HEAD = struct.Struct(
    "<IIIiI"
)  # bytes of the id, bytes of the task, ids, ids of the source (-1: none), dropped


def _write_encoded(row: Encoded) -> bytes:
    id_, task = (text.encode("utf-8", "surrogatepass") for text in (row.id, row.task))
    source = row.source
    head = _HEAD.pack(len(id_), len(task), len(row.ids), -1 if source is None else len(source), row.dropped)
    return b"".join(
        (
            head,
            id_,
            task,
            array("i", row.ids).tobytes(),
            bytes(row.loss_mask),
            array("i", source or ()).tobytes(),
        )
    )


def _read_encoded(content: bytes) -> Encoded:
    n_id, n_task, n_ids, n_source, dropped = _HEAD.unpack_from(content)
    ends = [_HEAD.size]
    for size in (n_id, n_task, 4 * n_ids, n_ids, 4 * max(n_source, 0)):
        ends.append(ends[-1] + size)
    id_, task, ids, mask, source = (content[start:end] for start, end in pairwise(ends))
    return Encoded(
        id=id_.decode("utf-8", "surrogatepass"),
        task=task.decode("utf-8", "surrogatepass"),
        ids=_numbers(ids),
        loss_mask=tuple(map(bool, mask)),
        source=None if n_source < 0 else _numbers(source),
        dropped=dropped,
    )


def _numbers(content: bytes) -> tuple[int, ...]:
    numbers = array("i")
    numbers.frombytes(content)
    return tuple(numbers)


EXAMPLE = RowFormat(_write_example, _read_example)
PROMPTED = RowFormat(_write_prompted, _read_prompted)
ENCODED = RowFormat(_write_encoded, _read_encoded)
