"""Templates that are not ours, of prompts and of chats, are rendered in a child process with bounded memory and time.

One child serves a whole run. It is started when it is first needed, has no environment, an empty folder and no way to
open a file, and ends with its keeper. A text that takes too much ends the child and is told as a failure of its row.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from tutelage.core.errors import MachineError
from tutelage.core.limits import MAX_RENDERED_CHARACTERS, MAX_TEMPLATE_BYTES, MAX_TEMPLATE_SECONDS
from tutelage.templates import sandbox
from tutelage.templates.jobs import Job, Outcome
from tutelage.templates.sandbox import Failure, Rendered

ROWS = 256
"""Rows of a batch, at most."""
CHARACTERS = 2_000_000
"""JSON of a batch, at most, where it has more than one row."""
LINE = 12 * MAX_RENDERED_CHARACTERS + 1_000_000
"""Bytes of one answer, at most: each character may need two escapes, and spans come on top."""
CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from tutelage.templates.child import main; main(*json.loads(sys.argv[2]))"


J = TypeVar("J")
O = TypeVar("O")  # noqa: E741  # job and outcome


@dataclass(frozen=True, slots=True)
class Work(Generic[J, O]):
    """How jobs of one kind go over the pipe.

    Attributes:
        size: about how many characters a job is.
        texts: how many answers it gets.
        written: jobs as the line that the child reads, and whether it hands each answer over at once.
        read: an answer that is no failure, from its JSON.
    """

    size: Callable[[J], int]
    texts: Callable[[J], int]
    written: Callable[[Sequence[J], bool], bytes]
    read: Callable[[Any], O]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a text may take: bytes of memory, seconds of processor time, and seconds by the clock."""

    memory: int = MAX_TEMPLATE_BYTES
    seconds: int = MAX_TEMPLATE_SECONDS
    clock: float = 6.0 * MAX_TEMPLATE_SECONDS


class Keeper:
    """Starts one child, gives it work, watches the clock, and ends it.

    Args:
        limits: for each text.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.held: Mapping[str, bool] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.RLock()
        self._since: float | None = None  # when the text under way began
        self._late = False
        self._unsent: Exception | None = None

    def __call__(self, jobs: Sequence[Job]) -> list[list[Outcome]]:
        """Render all prompts; after a text that ended the child, the rest is left out."""
        return self.work(jobs, PROMPTS)

    def work(self, jobs: Sequence[J], work: Work[J, O]) -> list[list[O | Failure]]:
        """Do all jobs: for each, in order, its outcomes. After one that ended the child, the rest is left out."""
        done: list[list[O | Failure]] = []
        with self._lock:
            while len(done) < len(jobs):
                before = len(done)
                done += self._stream(jobs[before:], work)
                if len(done) == len(jobs):
                    break
                # The child ended with at most a batch of texts not handed over: one by one it shows at which.
                done += self._stream(jobs[len(done) : len(done) + ROWS], work, singly=True)
                if _ended(done[-1]):
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

    def words(self) -> str:
        """The limits that hold, for the card; '' before the first text."""
        if not self.held:
            return ""
        memory = f"at most {self.limits.memory >> 20:,} MB of memory" if self.held["memory"] else ""
        cpu = f"{self.limits.seconds} s of processor time a text" if self.held["time"] else ""
        held = [memory, cpu, f"{self.limits.clock:g} s by the clock"]
        weak = "" if all(self.held.values()) else "; this system sets no limit to a process's memory"
        return "in a process of its own: " + ", ".join(filter(None, held)) + weak

    def _stream(
        self, jobs: Sequence[J], work: Work[J, O], *, singly: bool = False
    ) -> list[list[O | Failure]]:
        """The rows that the child finished; when it is asked singly, with the one that ended it."""
        process = self._process or self._start()
        lines = (work.written(batch, singly) for batch in batches(jobs, work.size))
        first = next(lines)
        more = next(lines, None)
        done: list[list[O | Failure]] = []
        row: list[O | Failure] = []
        sender = None
        self._since = time.monotonic()
        try:
            if more is None:
                # The child reads a line to its end before it answers: one batch can be written from here.
                _put(process, first)
            else:
                # What is to be done is written beside: the child renders while this process reads what is done.
                send = partial(self._send, process, chain((first, more), lines))
                sender = threading.Thread(target=send, daemon=True, name="template rows")
                sender.start()
            for job in jobs:
                row = []
                for _ in range(work.texts(job)):
                    told = self._answer(process)
                    row.append(_failure(told) if isinstance(told, dict) else work.read(told))
                    self._since = time.monotonic()
                done.append(row)
        except (OSError, ValueError):  # the pipe is broken, or what came is no answer
            failure = self._ended(process, sender)
            if self._unsent is not None:
                raise self._unsent from None
            if singly:
                short = work.texts(jobs[len(done)]) - len(row)
                done.append([*row, *[failure] * short])
        except BaseException:
            # Ctrl-C in the middle of a stream: what is still in the pipe belongs to no later job
            self._ended(process, sender)
            raise
        finally:
            self._since = None
            if sender is not None:
                sender.join()
        return done

    def _send(self, process: subprocess.Popen[bytes], lines: Iterator[bytes]) -> None:
        """Write all batches to the child. It may be gone, which whoever reads from it will see."""
        try:
            for line in lines:
                _put(process, line)
        except OSError:
            return
        except (TypeError, ValueError) as error:
            # A field is no JSON value: the reader must not wait for its text.
            self._unsent = error
            process.kill()

    def _answer(self, process: subprocess.Popen[bytes]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline(LINE)
        if not line.endswith(b"\n"):
            raise ValueError(line[:60])
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError:
            return json.loads(line)  # half a character, which JSON's own escapes carry

    def _ended(self, process: subprocess.Popen[bytes], sender: threading.Thread | None) -> Failure:
        """Why the child is gone, or of no more use; a new one will do what comes next."""
        late = self._late
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        process.kill()
        code = process.wait()
        if sender is not None:
            sender.join()
        self.close()
        import signal

        if late:
            return Failure("time", f"more than {self.limits.clock:g} s")
        if code == -getattr(signal, "SIGXCPU", 0):
            return Failure("time", f"more than {self.limits.seconds} s of processor time")
        return Failure("died", f"exit code {code}")

    def _start(self) -> subprocess.Popen[bytes]:
        self._folder = tempfile.TemporaryDirectory(prefix="tutelage-templates-", ignore_cleanup_errors=True)
        package = str(Path(__file__).parents[2])
        paths = [package, *(path for path in sys.path if path not in ("", package))]
        words = [json.dumps(paths), json.dumps([self.limits.memory, self.limits.seconds])]
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and our own code
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", CODE, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is this process's business, which then ends the child
        )
        self._process, self._late, self._unsent = process, False, None
        assert process.stdout is not None
        hello = process.stdout.readline(1000)
        if not hello:
            self.close()
            raise MachineError(
                "the process that renders templates does not start",
                found=f"exit code {process.returncode}",
                fix="look at `tutelage doctor`; memory may be short",
            )
        self.held = json.loads(hello)
        threading.Thread(target=self._watch, args=(process,), daemon=True, name="template clock").start()
        return process

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            since = self._since
            if (
                self._process is process
                and since is not None
                and time.monotonic() - since > self.limits.clock
            ):
                self._late = True
                process.kill()
                return
            time.sleep(min(0.2, self.limits.clock / 4))


def batches(jobs: Sequence[J], size_of: Callable[[J], int]) -> Iterator[list[J]]:
    """Jobs in pieces of bounded rows and characters."""
    batch: list[J] = []
    size = 0
    for job in jobs:
        own = size_of(job)
        if batch and (len(batch) == ROWS or size + own > CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += own
    if batch:
        yield batch


def characters(job: Job) -> int:
    """About how many characters a row is."""
    return sum(len(value) if isinstance(value, str) else 100 for value in job.fields.values())


def written(jobs: Sequence[Job], singly: bool = False) -> bytes:  # noqa: FBT001, FBT002  # as `Work` calls it
    """A batch as the child reads it: each template once, and of the fields those that its row's templates read."""
    places: dict[str, int] = {}
    rows = []
    for job in jobs:
        asks = [(places.setdefault(source, len(places)), dict(extra)) for source, extra in job.asks]
        rows.append((_needed(job), asks))
    batch = {"sources": list(places), "rows": rows, "singly": singly}
    return json.dumps(batch, allow_nan=False).encode("ascii") + b"\n"


def _needed(job: Job) -> dict[str, Any]:
    sources = [source for source, _ in job.asks]
    if any(sandbox.reads_all(source) for source in sources):
        return dict(job.fields)
    read = {name for source in sources for name in sandbox.reads(source)}
    return {name: value for name, value in job.fields.items() if name in read}


def _rendered(told: Any) -> Rendered:
    text, spans = told
    return Rendered(text, tuple((name, start, end) for name, start, end in spans))


def _failure(told: Mapping[str, Any]) -> Failure:
    return Failure(told["why"], told["found"], told["name"], told["inside"])


def _put(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def _ended(row: Sequence[object]) -> bool:
    return any(isinstance(one, Failure) and one.why in ("time", "died") for one in row)


def _environment() -> dict[str, str]:
    """Nothing of ours; Windows starts no process without its root."""
    import os

    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}


PROMPTS: Work[Job, Rendered] = Work(characters, lambda job: len(job.asks), written, _rendered)
render = Keeper()
"""The run's one child."""
close = render.close
atexit.register(close)
