"""The process that renders templates that are not ours: it bounds its own memory and time, then answers until its input ends.

A line in is a batch of one kind, with `"singly": bool`; a line out is one answer, or a failure as an object:

    {"sources": [...], "rows": [[fields, [[source, extra], ...]], ...]}      prompts: [text, [span, ...]] for each source
    {"chat": template, "beside": {...}, "instant": "...", "talks": [...]}    conversations: [text, {format: text read}] for each
    {"verbatim": template}                                                   true or false

The first line out says which limits hold.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import orjson

from tutelage.core.clock import Instant
from tutelage.templates import chat_environment
from tutelage.templates.sandbox import Failure, attempt, filter_names
from tutelage.templates.verbatim import verbatim

TOO_MUCH = {"why": "memory", "found": "", "name": "", "inside": False}
FLUSH = 0.02
"""Seconds of work after which finished texts are handed over, so that the keeper sees that something moves."""


def main(memory: int, seconds: int) -> None:
    """Answer batches until standard input ends.

    Args:
        memory: bytes of address space that this process may have.
        seconds: processor time for one text.
    """
    _warm_up()
    _write(limit(memory))
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        batch: Any = json.loads(line)
        waits = 0.0 if batch["singly"] else FLUSH
        flushed = 0.0
        for text in _texts(batch):
            if time.monotonic() - flushed >= waits:
                sys.stdout.buffer.flush()
                flushed = time.monotonic()
                allow(seconds)
            try:
                _write(_sent(text()))
            except MemoryError:
                _write(TOO_MUCH)
        sys.stdout.buffer.flush()


def _texts(batch: dict[str, Any]) -> Iterator[Callable[[], Any]]:
    """What is to be done for a batch, in order."""
    if "chat" in batch:
        instant = Instant.parse(batch["instant"])
        for messages in batch["talks"]:
            yield partial(chat_environment.attempt, batch["chat"], messages, batch["beside"], instant)
    elif "verbatim" in batch:
        yield partial(verbatim, batch["verbatim"])
    else:
        for fields, asks in batch["rows"]:
            for source, extra in asks:
                yield partial(attempt, batch["sources"][source], fields, extra)


def _sent(outcome: Any) -> Any:
    """A text or failure as it goes over the pipe."""
    if isinstance(outcome, Failure):
        return {"why": outcome.why, "found": outcome.found, "name": outcome.name, "inside": outcome.inside}
    return tuple(outcome) if isinstance(outcome, tuple) else outcome


def limit(memory: int) -> dict[str, bool]:
    """Bound this process for good where the system can; says what it could."""
    try:
        import resource
    except ImportError:  # Windows
        return {"memory": False, "time": False}
    held = {"memory": False, "time": True}
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        held["memory"] = True
    for name, value in (("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 3)):
        with suppress(ValueError, OSError):  # nothing here opens a file, a socket or a process
            resource.setrlimit(getattr(resource, name), (value, value))
    return held


def allow(seconds: int) -> None:
    """Let the next text have so much processor time; the system ends the process that takes more."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, hard))


def _warm_up() -> None:
    """Use every filter once, and fail once: what Python imports only when it is needed cannot be opened later."""
    for name in filter_names():
        attempt(f"{{{{ a | {name} }}}}", {"a": "<b>x &amp; y</b> http://a.b"})
    for source in ("{{ a.b }}", "{{ 1 / 0 }}{{ 'x' }}", "{{ a.encode('latin-1') }}"):
        attempt(source, {"a": "x"})
    instant = Instant.now()
    for source in (
        "{{ 1 / 0 }}",
        "{{",
        "{{ messages | tojson }}{{ strftime_now('%c %x %X %p') }}",
    ):
        chat_environment.attempt(source, [{"role": "user", "content": "x"}], {}, instant)
    verbatim("{{ messages }}")


def _write(value: Any) -> None:
    try:
        line = orjson.dumps(value)
    except TypeError:  # half a character in what is told of a failure
        line = json.dumps(value).encode("ascii")
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.write(b"\n")
