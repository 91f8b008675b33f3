"""The child process that renders untrusted templates: it limits its own memory and time, then answers until its input ends.

Each input line is a batch of one of these kinds, with `"singly": bool`; each output line is one answer, or a failure as an object:

    {"sources": [...], "rows": [[fields, [[source, extra], ...]], ...]}      prompts: [text, [span, ...]] for each source
    {"chat": template, "beside": {...}, "instant": "...", "talks": [...]}    conversations: [text, {format: text read}] for each
    {"verbatim": template}                                                   true or false

The first output line says which limits the system enforces.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson

from tutelage.core.clock import Instant
from tutelage.templates import chat_environment
from tutelage.templates.environment import ENVIRONMENT
from tutelage.templates.sandbox import RenderFailure, try_render
from tutelage.templates.verbatim_proof import writes_contents_verbatim

OUT_OF_MEMORY = RenderFailure("memory")
FLUSH_SECONDS = 0.02
"""Seconds of work after which finished texts are flushed, so that the parent sees progress."""


def main(memory: int, seconds: int) -> None:
    """Answer batches until standard input ends.

    Args:
        memory: limit of this process's address space, in bytes.
        seconds: limit of processor time for one text.
    """
    _warm_up()
    _write_line(apply_limits(memory))
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        batch: Any = json.loads(line)
        flush_interval = 0.0 if batch["singly"] else FLUSH_SECONDS
        last_flush = 0.0
        for task in _tasks(batch):
            if time.monotonic() - last_flush >= flush_interval:
                sys.stdout.buffer.flush()
                last_flush = time.monotonic()
                allow_cpu_time(seconds)
            try:
                _write_line(task())
            except MemoryError:
                _write_line(OUT_OF_MEMORY)
        sys.stdout.buffer.flush()


def _tasks(batch: dict[str, Any]) -> Iterator[Callable[[], Any]]:
    """The calls that a batch asks for, in order."""
    if "chat" in batch:
        instant = Instant.parse(batch["instant"])
        for messages in batch["talks"]:
            yield partial(chat_environment.try_render_chat, batch["chat"], messages, batch["beside"], instant)
    elif "verbatim" in batch:
        yield partial(writes_contents_verbatim, batch["verbatim"])
    else:
        for fields, requests in batch["rows"]:
            for source, extra in requests:
                yield partial(try_render, batch["sources"][source], fields, extra)


def apply_limits(memory: int) -> dict[str, bool]:
    """Limit this process for good; returns which limits the system supports."""
    try:
        import resource
    except ImportError:  # Windows
        return {"memory": False, "time": False}
    applied = {"memory": False, "time": True}
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        applied["memory"] = True
    for name, value in (("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 3)):
        with suppress(ValueError, OSError):  # rendering needs no file, socket or process
            resource.setrlimit(getattr(resource, name), (value, value))
    return applied


def allow_cpu_time(seconds: int) -> None:
    """Set the processor time for the next text; the system kills the process if it takes more."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, hard))


def _warm_up() -> None:
    """Use every filter and raise some errors once: modules that Python imports lazily cannot be opened under the limits."""
    for name in sorted(ENVIRONMENT.filters):
        try_render(f"{{{{ a | {name} }}}}", {"a": "<b>x &amp; y</b> http://a.b"})
    for source in ("{{ a.b }}", "{{ 1 / 0 }}{{ 'x' }}", "{{ a.encode('latin-1') }}"):
        try_render(source, {"a": "x"})
    instant = Instant.now()
    for source in (
        "{{ 1 / 0 }}",
        "{{",
        "{{ messages | tojson }}{{ strftime_now('%c %x %X %p') }}",
    ):
        chat_environment.try_render_chat(source, [{"role": "user", "content": "x"}], {}, instant)
    writes_contents_verbatim("{{ messages }}")


def _write_line(value: Any) -> None:
    try:
        line = orjson.dumps(value, default=tuple)  # a failure becomes an object, a named tuple a list
    except TypeError:  # a lone surrogate in a failure's detail
        line = json.dumps(value, default=asdict).encode("ascii")
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.write(b"\n")
