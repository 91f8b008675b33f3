from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest

from tutelage.chat import ChatInput, ChatSession, ChatSettings, TerminalChat, web, wire


class FakeResponder:
    """Answers from a list, piece by piece, and remembers what it was asked and how often it was closed early.

    A piece may be text, an exception to raise, or an event to wait for.
    """

    remembers = True
    context = None

    def __init__(self, *answers, label="answer"):
        self.label = label
        self.model = f"model of {label}"
        self.prompts = []
        self.seeds = []
        self.closed = 0
        self._answers = iter(answers)

    def count(self, messages):
        return sum(len(message["content"].split()) for message in messages)

    def stream(self, messages, *, seed, **how):
        self.prompts.append([(m["role"], m["content"]) for m in messages])
        self.seeds.append(seed)
        self.how = how
        try:
            for piece in next(self._answers):
                if isinstance(piece, threading.Event):
                    assert piece.wait(20)
                elif isinstance(piece, str):
                    yield piece
                else:
                    raise piece
        except GeneratorExit:
            self.closed += 1
            raise


@pytest.fixture
def responder():
    """Make a scripted model."""
    return FakeResponder


def entries(lines):
    return (
        line if isinstance(line, ChatInput) else ChatInput(n, line.strip()) for n, line in enumerate(lines, 1)
    )


@pytest.fixture
def chat():
    """Let a terminal take lines, and give it and what it wrote."""

    def run(lines, *responders, interactive=False, show=True, out=None, console=None, **settings):
        out = out or io.StringIO()
        session = ChatSession(responders, ChatSettings(**settings))
        terminal = TerminalChat(session, out=out, interactive=interactive, show=show, console=console)
        terminal.run(entries(lines))
        return terminal, out.getvalue()

    return run


@dataclass(frozen=True)
class Got:
    """A response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Here:
    """A server in a thread, and a client that sends exactly what it is told to."""

    def __init__(self, session, limits, monkeypatch):
        self.session = session
        self.site = None
        self.address = None
        ready = threading.Event()
        made = web.ChatServer

        def remember(*args, **kwargs):
            self.site = made(*args, **kwargs)
            return self.site

        def tell(address):
            self.address = address
            ready.set()

        async def run():
            self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
            with suppress(asyncio.CancelledError):
                await web.serve(session, ready=tell, limits=limits)

        monkeypatch.setattr(web, "ChatServer", remember)
        self.thread = threading.Thread(target=asyncio.run, args=(run(),))
        self.thread.start()
        assert ready.wait(20)
        start, _, self.token = self.address.partition("/#")
        self.port = int(start.rpartition(":")[2])
        self.own = f"127.0.0.1:{self.port}"

    def end(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.task.cancel)
            self.thread.join(20)

    def head(self, method, path, *, host=..., origin=..., key=..., kind=None, length=None, more=b""):
        own = {
            "Host": self.own if host is ... else host,
            "Origin": (f"http://{self.own}" if method == "POST" else None) if origin is ... else origin,
            "Authorization": f"Bearer {self.token}" if key is ... else key,
            "Content-Type": kind,
            "Content-Length": length,
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in own.items() if v is not None)]
        return "\r\n".join(lines).encode() + b"\r\n" + more + b"\r\n"

    def get(self, path, **how):
        return self.raw(self.head("GET", path, **how))

    def post(self, path, body, *, kind="application/json", length=..., **how):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        length = len(body) if length is ... else length
        return self.raw(self.head("POST", path, kind=kind, length=length, **how) + body)

    def raw(self, data):
        """Send bytes and read all that comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            read = b""
            while part := connection.recv(65_536):
                read += part
        return self._got(read)

    def ask(self, question):
        return self.events(self.post("/api/ask", {"question": question}))

    @staticmethod
    def events(got):
        return [json.loads(line) for line in got.body.splitlines()]

    @contextmanager
    def asking(self, question):
        """Ask, and read the answer's events as they come; leaving the block closes the connection."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Origin": f"http://{self.own}", "Authorization": f"Bearer {self.token}"}
        headers["Content-Type"] = "application/json"
        connection.request("POST", "/api/ask", json.dumps({"question": question}), headers)
        response = connection.getresponse()
        try:
            yield map(json.loads, response)
        finally:
            response.close()
            connection.close()

    def state(self):
        return self.get("/api/talk").json

    @staticmethod
    def wait_until(true):
        end = time.monotonic() + 20
        while not true():
            assert time.monotonic() < end
            time.sleep(0.01)

    @staticmethod
    def _got(read):
        head, _, body = read.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            whole, rest = b"", body
            while size := int(rest[: rest.index(b"\r\n")], 16):
                start = rest.index(b"\r\n") + 2
                whole, rest = whole + rest[start : start + size], rest[start + size + 2 :]
            body = whole
        return Got(int(first.split()[1]), headers, body)


@pytest.fixture
def site(monkeypatch):
    """Serve scripted responders."""
    served = []

    def serve(*responders, limits=wire.LIMITS, **settings):
        served.append(Here(ChatSession(responders, ChatSettings(**settings)), limits, monkeypatch))
        return served[-1]

    yield serve
    for here in served:
        here.end()
        assert not here.thread.is_alive()
