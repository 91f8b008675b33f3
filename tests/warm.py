"""A server that starts the program quickly: it imports the libraries once and forks for every command.

What it forks is a process like any other: it has its own streams, folder, environment and signals, and may be killed. Only the seconds
that importing torch takes are saved. The server itself never computes, so that no thread of torch's is lost in a fork.
Tests ask for it by the fixture `warm` (conftest.py); started as a program, this file is the server.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import IO, Any, Self

LARGEST = 1 << 17  # bytes of a request: words and environment


class Warm:
    """The server's client; it is started by the first command."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(
        self,
        words: list[Any],
        *,
        cwd: Path,
        code: str | None = None,
        env: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
        session: bool = False,
    ) -> Process:
        """Start `tutelage` with these words, or other code; streams as `subprocess.Popen` takes them, PIPEs as text."""
        request = {
            "words": [str(word) for word in words],
            "code": code or "from tutelage.cli.main import entry; entry()",
            "cwd": str(cwd),
            "env": dict(os.environ) if env is None else env,
            "session": session,
        }
        ours: list[IO[str] | None] = []
        theirs = []
        for number, stream in enumerate((stdin, stdout, stderr)):
            if stream == subprocess.PIPE:
                reader, writer = os.pipe()
                ours.append(os.fdopen(reader if number else writer, "r" if number else "w"))
                theirs.append(writer if number else reader)
            else:
                ours.append(None)
                theirs.append(
                    os.open(os.devnull, os.O_RDWR) if stream == subprocess.DEVNULL else os.dup(stream)
                )
        try:
            pid = self.ask(request, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return Process(self, pid, *ours)

    def run(
        self,
        words: list[Any],
        *,
        input: str = "",  # noqa: A002 - as subprocess.run calls it
        timeout: float = 120,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with what it wrote."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with self.start(words, **pipes, **options) as process:
            out, err = process.communicate(input, timeout)
            return subprocess.CompletedProcess(words, process.wait(timeout), out, err)

    def ask(self, request: dict[str, Any], descriptors: list[int]) -> Any:
        if self._socket is None:
            self._socket, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            words = [sys.executable, "-W", "ignore", __file__, str(far.fileno())]
            self._server = subprocess.Popen(words, pass_fds=[far.fileno()])
            far.close()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
        answer = self._socket.recv(LARGEST)
        assert answer, "the server has ended"
        return json.loads(answer)

    def close(self) -> None:
        if self._socket is not None and self._server is not None:
            self._socket.close()
            self._server.wait(60)


class Process:
    """A command that runs: what tests use of `subprocess.Popen`."""

    def __init__(
        self, warm: Warm, pid: int, stdin: IO[str] | None, stdout: IO[str] | None, stderr: IO[str] | None
    ) -> None:
        self.pid, self.returncode = pid, None
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._warm = warm

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            self.kill()
        self.wait()
        self._close()

    def poll(self) -> int | None:
        if self.returncode is None:
            status = self._warm.ask({"pid": self.pid}, [])
            self.returncode = None if status is None else os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 120) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.005)
        return self.returncode

    def communicate(self, input: str = "", timeout: float = 120) -> tuple[str, str]:  # noqa: A002 - the same
        """Write to it, read both streams to their ends, and close them."""
        if self.stdin is not None:
            self.stdin.write(input)  # less than a pipe holds
            self.stdin.close()
        texts = {self.stdout: "", self.stderr: ""}
        readers = [
            threading.Thread(target=lambda one=stream: texts.update({one: one.read()}), daemon=True)
            for stream in texts
            if stream is not None
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        self._close()
        return texts[self.stdout], texts[self.stderr]

    def _close(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # it is not waited for before, so the number is still its own
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; in the child, give the request."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 3)
        if not message:
            return None
        request = json.loads(message)
        if "pid" in request:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = status if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                connection.close()
                for number, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                return request
            for descriptor in descriptors:
                os.close(descriptor)
        connection.send(json.dumps(answer).encode())


def import_everything() -> None:
    """All of the program, and the parts of transformers that are imported when they are first used."""
    import importlib
    import pkgutil

    import peft  # noqa: F401
    import transformers as tf

    import tutelage

    for module in pkgutil.walk_packages(tutelage.__path__, "tutelage."):
        if not module.name.endswith(("__main__", "harness.model")):  # the latter needs lm-eval
            importlib.import_module(module.name)
    tf.AutoTokenizer, tf.AutoModelForCausalLM, tf.LlamaForCausalLM, tf.PreTrainedTokenizerFast  # noqa: B018


def become(request: dict[str, Any]) -> int:
    """Run a request's code in this process; its exit code."""
    if request["session"]:
        os.setsid()
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stdout = sys.__stdout__ = open(1, "w", 1 if os.isatty(1) else -1, encoding="utf-8", closefd=False)  # noqa: SIM115 - the same
    sys.stderr = sys.__stderr__ = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115 - the same
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["tutelage", *request["words"]]
    try:
        exec(request["code"], {"__name__": "__main__"})  # noqa: S102 - the test's own
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter ends
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    import_everything()
    gc.freeze()  # what the children share is not copied by their collections
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    code = 0 if request is None else become(request)
    # The end of an interpreter, but for taking all the modules apart, which takes longer than most commands.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)
