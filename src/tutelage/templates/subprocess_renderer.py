"""Renders untrusted templates, of prompts and of chats, in a child process with bounded memory and time.

One child serves a whole run. It starts when it is first needed, has no environment variables, an empty folder and no way to open a
file, and ends with its parent. A text that exceeds the limits ends the child and is reported as a failure of its row.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from tutelage.core.errors import MachineError
from tutelage.core.limits import MAX_RENDERED_CHARACTERS, MAX_TEMPLATE_BYTES, MAX_TEMPLATE_SECONDS
from tutelage.templates import sandbox
from tutelage.templates.render_jobs import RenderJob, RenderOutcome
from tutelage.templates.sandbox import RenderedText, RenderFailure

MAX_BATCH_ROWS = 256
"""Rows of a batch, at most."""
MAX_BATCH_CHARACTERS = 2_000_000
"""JSON of a batch, at most, where it has more than one row."""
MAX_ANSWER_BYTES = 12 * MAX_RENDERED_CHARACTERS + 1_000_000
"""Bytes of one answer, at most: a character may need two escapes, and spans are added."""
CHILD_CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from tutelage.templates.subprocess_main import main; main(*json.loads(sys.argv[2]))"


J = TypeVar("J")
O = TypeVar("O")  # noqa: E741  # job and outcome


@dataclass(frozen=True, slots=True)
class PipeFormat(Generic[J, O]):
    """How jobs of one kind are sent to the child, and how its answers are read.

    Attributes:
        size: the approximate number of characters of a job.
        answer_count: the number of answers to a job.
        write: encodes jobs as the line that the child reads, and whether it flushes after each answer.
        read: decodes an answer that is not a failure from its JSON.
    """

    size: Callable[[J], int]
    answer_count: Callable[[J], int]
    write: Callable[[Sequence[J], bool], bytes]
    read: Callable[[Any], O]


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Limits for one text: bytes of memory, seconds of processor time, and seconds of wall time."""

    memory: int = MAX_TEMPLATE_BYTES
    cpu_seconds: int = MAX_TEMPLATE_SECONDS
    wall_seconds: float = 6.0 * MAX_TEMPLATE_SECONDS


class SubprocessRenderer:
    """Runs render jobs in one child process, which it starts, watches, restarts after a failure, and ends.

    Args:
        limits: for each text.
    """

    def __init__(self, limits: RenderLimits | None = None) -> None:
        self.limits = limits or RenderLimits()
        self.limits_held: Mapping[str, bool] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.RLock()
        self._text_started: float | None = None  # when the text under way began
        self._timed_out = False
        self._send_error: Exception | None = None

    def __call__(self, jobs: Sequence[RenderJob]) -> list[list[RenderOutcome]]:
        """Render task templates in order; after a text that exceeds the limits, the rest is left out."""
        return self.render(jobs, PROMPT_FORMAT)

    def render(self, jobs: Sequence[J], pipe_format: PipeFormat[J, O]) -> list[list[O | RenderFailure]]:
        """Run jobs of any kind: the outcomes of each, in order; after one that exceeds the limits, the rest is left out."""
        done: list[list[O | RenderFailure]] = []
        with self._lock:
            while len(done) < len(jobs):
                first = len(done)
                done += self._stream_jobs(jobs[first:], pipe_format)
                if len(done) == len(jobs):
                    break
                # The child died with up to a batch of unflushed texts: rendering them one by one shows which text it was.
                done += self._stream_jobs(
                    jobs[len(done) : len(done) + MAX_BATCH_ROWS], pipe_format, singly=True
                )
                failures = [outcome for outcome in done[-1] if isinstance(outcome, RenderFailure)]
                if any(failure.kind in ("time", "died") for failure in failures):
                    break
        return done

    def close(self) -> None:
        """End the child and wait for it."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                assert process.stdin is not None
                assert process.stdout is not None
                with suppress(OSError):
                    process.stdin.close()
                try:
                    process.wait(timeout=2)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                process.stdout.close()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def describe_limits(self) -> str:
        """The enforced limits, for the data card; '' before the first text."""
        if not self.limits_held:
            return ""
        memory = f"at most {self.limits.memory >> 20:,} MB of memory" if self.limits_held["memory"] else ""
        cpu = f"{self.limits.cpu_seconds} s of processor time a text" if self.limits_held["time"] else ""
        parts = [memory, cpu, f"{self.limits.wall_seconds:g} s by the clock"]
        caveat = "" if all(self.limits_held.values()) else "; this system sets no limit to a process's memory"
        return "in a process of its own: " + ", ".join(filter(None, parts)) + caveat

    def _stream_jobs(
        self, jobs: Sequence[J], pipe_format: PipeFormat[J, O], *, singly: bool = False
    ) -> list[list[O | RenderFailure]]:
        """The outcomes of the jobs that the child finished; if `singly` is set, also of the job that ended it."""
        process = self._process or self._start()
        batches = list(split_batches(jobs, pipe_format.size))
        lines = (pipe_format.write(batch, singly) for batch in batches)
        done: list[list[O | RenderFailure]] = []
        outcomes: list[O | RenderFailure] = []
        # A thread writes the batches, so that the child renders while this one reads its answers. It is not started for a single
        # batch, which the child reads to its end before it answers.
        sender = threading.Thread(target=self._send, args=(process, lines), daemon=True, name="template rows")
        self._text_started = time.monotonic()
        try:
            if len(batches) > 1:
                sender.start()
            else:
                sender.run()
            for job in jobs:
                outcomes = []
                for _ in range(pipe_format.answer_count(job)):
                    answer = self._answer(process)
                    outcomes.append(
                        RenderFailure(**answer) if isinstance(answer, dict) else pipe_format.read(answer)
                    )
                    self._text_started = time.monotonic()
                done.append(outcomes)
        except (OSError, ValueError):  # the pipe is broken, or the line is not an answer
            failure = self._end_child(process, sender)
            if self._send_error is not None:
                raise self._send_error from None
            if singly:
                missing = pipe_format.answer_count(jobs[len(done)]) - len(outcomes)
                done.append([*outcomes, *[failure] * missing])
        except BaseException:
            # After Ctrl-C the pipe still has answers to these jobs: end the child, so that no later job reads them.
            self._end_child(process, sender)
            raise
        finally:
            self._text_started = None
            if sender.ident is not None:  # it was started
                sender.join()
        return done

    def _send(self, process: subprocess.Popen[bytes], lines: Iterator[bytes]) -> None:
        """Write all batches to the child. If it is gone, the reader notices."""
        assert process.stdin is not None
        try:
            for line in lines:
                process.stdin.write(line)
                process.stdin.flush()
        except (TypeError, ValueError) as error:
            # A field is not a JSON value: kill the child, so that the reader does not wait for its text.
            self._send_error = error
            process.kill()
        except OSError:
            return

    def _answer(self, process: subprocess.Popen[bytes]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline(MAX_ANSWER_BYTES)
        if not line.endswith(b"\n"):
            raise ValueError(line[:60])
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError:
            return json.loads(line)  # a lone surrogate, which orjson refuses

    def _end_child(self, process: subprocess.Popen[bytes], sender: threading.Thread) -> RenderFailure:
        """End the child and say why it failed; the next jobs start a new one."""
        timed_out = self._timed_out
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        process.kill()
        code = process.wait()
        if sender.ident is not None:
            sender.join()
        self.close()
        if timed_out:
            return RenderFailure("time", f"more than {self.limits.wall_seconds:g} s")
        if code == -getattr(signal, "SIGXCPU", 0):
            return RenderFailure("time", f"more than {self.limits.cpu_seconds} s of processor time")
        return RenderFailure("died", f"exit code {code}")

    def _start(self) -> subprocess.Popen[bytes]:
        self._folder = tempfile.TemporaryDirectory(prefix="tutelage-templates-", ignore_cleanup_errors=True)
        package = str(Path(__file__).parents[2])
        paths = [package, *(path for path in sys.path if path not in ("", package))]
        arguments = [json.dumps(paths), json.dumps([self.limits.memory, self.limits.cpu_seconds])]
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and our own code
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", CHILD_CODE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            # Empty, except for SYSTEMROOT, without which Windows starts no process.
            env={name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ},
            start_new_session=True,  # Ctrl-C is this process's business, which then ends the child
        )
        self._process, self._timed_out, self._send_error = process, False, None
        assert process.stdout is not None
        limits_line = process.stdout.readline(1000)
        if not limits_line:
            self.close()
            raise MachineError(
                "the process that renders templates does not start",
                found=f"exit code {process.returncode}",
                fix="look at `tutelage doctor`; memory may be short",
            )
        self.limits_held = json.loads(limits_line)
        threading.Thread(target=self._watch, args=(process,), daemon=True, name="template clock").start()
        return process

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            started = self._text_started
            if (
                self._process is process
                and started is not None
                and time.monotonic() - started > self.limits.wall_seconds
            ):
                self._timed_out = True
                process.kill()
                return
            time.sleep(min(0.2, self.limits.wall_seconds / 4))


def split_batches(jobs: Sequence[J], size_of: Callable[[J], int]) -> Iterator[list[J]]:
    """Jobs in batches of bounded numbers of rows and characters."""
    batch: list[J] = []
    size = 0
    for job in jobs:
        job_characters = size_of(job)
        if batch and (len(batch) == MAX_BATCH_ROWS or size + job_characters > MAX_BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += job_characters
    if batch:
        yield batch


def job_size(job: RenderJob) -> int:
    """The approximate number of characters of a job."""
    return sum(len(value) if isinstance(value, str) else 100 for value in job.fields.values())


def write_jobs(jobs: Sequence[RenderJob], singly: bool = False) -> bytes:  # noqa: FBT001, FBT002  # as `PipeFormat` calls it
    """A batch as the child reads it: each template once, and of each row only the fields that its templates read."""
    source_index: dict[str, int] = {}
    rows = []
    for job in jobs:
        requests = [
            (source_index.setdefault(source, len(source_index)), dict(extra))
            for source, extra in job.requests
        ]
        rows.append((_fields_needed(job), requests))
    batch = {"sources": list(source_index), "rows": rows, "singly": singly}
    return json.dumps(batch, allow_nan=False).encode("ascii") + b"\n"


def _fields_needed(job: RenderJob) -> dict[str, Any]:
    sources = [source for source, _ in job.requests]
    if any(sandbox.may_read_any_field(source) for source in sources):
        return dict(job.fields)
    names = {name for source in sources for name in sandbox.fields_read(source)}
    return {name: value for name, value in job.fields.items() if name in names}


def _parse_rendered(answer: Any) -> RenderedText:
    text, spans = answer
    return RenderedText(text, tuple((name, start, end) for name, start, end in spans))


PROMPT_FORMAT: PipeFormat[RenderJob, RenderedText] = PipeFormat(
    job_size, lambda job: len(job.requests), write_jobs, _parse_rendered
)
shared_renderer = SubprocessRenderer()
"""The renderer that the whole run shares."""
close = shared_renderer.close
atexit.register(close)
