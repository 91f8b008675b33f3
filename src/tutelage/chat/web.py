"""The same conversation in a browser: a page that only this machine and only this browser can reach.

The server listens on 127.0.0.1 alone. A request is served when it names this server as its host, comes from no other
page, and, for everything but the page's three fixed files, carries the key of the address. A path from a request is
only looked up in a table; no file is opened after the start.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from tutelage.chat import wire
from tutelage.chat.turns import Asking, Talk
from tutelage.core import strictjson
from tutelage.core.errors import InputError, MachineError, TutelageError
from tutelage.core.types import Json

ADDRESS = "127.0.0.1"
MAX_CHARACTERS = 50_000
"""Of a question or a system prompt, long before a model's context is looked at."""

STATE = "/api/talk"

PAGES = {
    "/": ("chat.html", "text/html; charset=utf-8"),
    "/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
}

Fields = dict[str, Json]
Make = Callable[[], Asking]
Event = dict[str, Any]


class Site:
    """What is served: the page, and the talk behind it.

    Args:
        talk: who answers, and what is remembered.
        port: where it listens, for the check of hosts and origins.
        token: the key that every call must carry.
        limits: of requests.
    """

    def __init__(self, talk: Talk, *, port: int, token: str, limits: wire.Limits = wire.LIMITS) -> None:
        self.talk = talk
        self._key = f"Bearer {token}".encode("ascii")
        self._limits = limits
        self._hosts = {f"{ADDRESS}:{port}", f"localhost:{port}"}
        folder = files("tutelage.chat") / "static"
        self._pages = {
            path: wire.Reply((folder / name).read_bytes(), kind) for path, (name, kind) in PAGES.items()
        }
        self._acts: dict[str, Callable[[Fields], Event]] = {
            "/api/stop": self._stop_answer,
            "/api/reset": self._reset,
            "/api/system": self._system,
            "/api/temperature": self._temperature,
        }
        self._asks: dict[str, Callable[[Fields], Make]] = {
            "/api/ask": self._ask,
            "/api/retry": self._retry,
        }
        self._stop: threading.Event | None = None  # of the answer that is being made
        self._open: set[asyncio.Task[None]] = set()
        self._with_key: set[asyncio.Task[None]] = set()
        # Those that have not shown the key, the oldest first, and whether a whole request for a page has come.
        self._without_key: dict[asyncio.Task[None], bool] = {}

    def accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection in a task of its own."""
        if len(self._without_key) >= self._limits.without_key:
            self._close_one()
        task = asyncio.create_task(self._connection(reader, writer))
        self._open.add(task)
        self._without_key[task] = False

        # Not in the task itself: one that is cancelled before its first step would leave the connection open.
        def done(task: asyncio.Task[None]) -> None:
            writer.transport.abort()
            self._open.discard(task)
            self._with_key.discard(task)
            self._without_key.pop(task, None)

        task.add_done_callback(done)

    def _close_one(self) -> None:
        """Make room for a connection, so that nobody without the key keeps out who has it.

        The oldest that has not shown the key is closed: one that has sent no whole request, or if there is none, one to which
        a page is being sent.
        """
        oldest = min(self._without_key, key=self._without_key.__getitem__)
        del self._without_key[oldest]
        oldest.cancel()

    async def end(self) -> None:
        """Stop what is being answered and close all connections."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: StreamReader, writer: StreamWriter) -> None:
        # What is sent is then really out of this process, and a client that does not read is noticed.
        writer.transport.set_write_buffer_limits(high=0)
        with suppress(wire.Gone):
            await self._answered(reader, writer)
            await wire.finish(reader, writer, self._limits)

    async def _answered(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            head, body = await self._request(reader)
            if head.path in self._asks:
                await self._stream(self._asks[head.path](_fields(body)), reader, writer)
                return
            reply = self._reply(head.path, body)
        except wire.Refused as refused:
            reply = _problem(refused.status, {"problem": str(refused)}, refused.headers)
        except TutelageError as error:
            reply = _problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.as_json())
        await wire.send(writer, reply, self._limits)

    async def _request(self, reader: StreamReader) -> tuple[wire.Head, bytes]:
        try:
            async with asyncio.timeout(self._limits.reading):
                head = await wire.read_head(reader, self._limits)
                self._check(head)
                self._admit(head)
                return head, await wire.read_body(reader, head, self._limits)
        except TimeoutError:
            raise wire.Refused(HTTPStatus.REQUEST_TIMEOUT, "the request took too long") from None

    def _check(self, head: wire.Head) -> None:
        host = head.headers.get("host", "").lower()
        if host not in self._hosts:
            raise wire.Refused(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")
        origin = head.headers.get("origin")
        if origin != f"http://{host}" and (origin is not None or head.method == "POST"):
            raise wire.Refused(HTTPStatus.FORBIDDEN, "the request comes from another page")
        posted = head.path in self._acts or head.path in self._asks
        if not posted and head.path not in self._pages and head.path != STATE:
            raise wire.Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        method = "POST" if posted else "GET"
        if head.method != method:
            raise wire.Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"this takes {method}", {"Allow": method})
        key = head.headers.get("authorization", "").encode("ascii")
        if head.path not in self._pages and not secrets.compare_digest(key, self._key):
            raise wire.Refused(
                HTTPStatus.UNAUTHORIZED, "the key of the address is missing", {"WWW-Authenticate": "Bearer"}
            )

    def _admit(self, head: wire.Head) -> None:
        """Count a checked request's connection among those with the key, unless it is one for a page, which needs none."""
        task = asyncio.current_task()
        assert task is not None
        if head.path in self._pages:
            if task in self._without_key:
                self._without_key[task] = True
            return
        if len(self._with_key) >= self._limits.connections:
            raise wire.Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many connections at once")
        self._without_key.pop(task, None)
        self._with_key.add(task)

    def _reply(self, path: str, body: bytes) -> wire.Reply:
        if path in self._pages:
            return self._pages[path]
        if path == STATE:
            return wire.Reply(_json(self._state()))
        return wire.Reply(_json(self._acts[path](_fields(body))))

    def _state(self) -> Event:
        talk = self.talk
        return {
            "voices": [{"label": voice.label, "model": voice.model} for voice in talk.voices],
            "system": talk.settings.system,
            "temperature": talk.settings.temperature,
            "busy": self._stop is not None,
            "turns": [
                {
                    "question": turn.question,
                    "answers": [turn.answers.get(label, "") for label in talk.labels],
                    "forgotten": max(turn.dropped.values()),
                    "interrupted": turn.interrupted,
                }
                for turn in talk.history
            ],
        }

    def _stop_answer(self, fields: Fields) -> Event:
        _exactly(fields)
        if self._stop is not None:
            self._stop.set()
        return {"stopped": self._stop is not None}

    def _reset(self, fields: Fields) -> Event:
        _exactly(fields)
        self._idle()
        self.talk.reset()
        return self._state()

    def _system(self, fields: Fields) -> Event:
        _exactly(fields, "system")
        self._idle()
        self.talk.set_system(_text(fields["system"], "the system prompt").strip())
        return self._state()

    def _temperature(self, fields: Fields) -> Event:
        _exactly(fields, "temperature")
        self._idle()
        wanted = fields["temperature"]
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise wire.Refused(HTTPStatus.BAD_REQUEST, "the temperature must be a number")
        self.talk.set_temperature(wanted)
        return self._state()

    def _ask(self, fields: Fields) -> Make:
        _exactly(fields, "question")
        question = _text(fields["question"], "the question").strip()
        if not question:
            raise InputError("the question is empty", where="question")
        return partial(self.talk.ask, question)

    def _retry(self, fields: Fields) -> Make:
        _exactly(fields)
        return self.talk.ask_again

    def _idle(self) -> None:
        if self._stop is not None:
            raise wire.Refused(HTTPStatus.CONFLICT, "an answer is being made: stop it, or wait")

    async def _stream(self, make: Make, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer while the client listens. When it closes the connection, or `stop` is set, no more is generated."""
        self._idle()
        self._stop = stop = threading.Event()
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        def tell(event: Event | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        working = loop.run_in_executor(None, self._work, make, stop, tell)
        watching = asyncio.create_task(_closed(reader, stop))
        try:
            first = await events.get()
            if first is None or "error" in first:
                told = {} if first is None else first["error"]
                await wire.send(writer, _problem(HTTPStatus.UNPROCESSABLE_ENTITY, told), self._limits)
                return
            stream = wire.Stream(writer, self._limits)
            await stream.begin("application/x-ndjson")
            event: Event | None = first
            while event is not None:
                await stream.send(_json(event))
                event = await events.get()
            await stream.end()
        finally:
            stop.set()
            watching.cancel()
            await asyncio.wait([working, watching])
            self._stop = None

    def _work(self, make: Make, stop: threading.Event, tell: Callable[[Event | None], None]) -> None:
        """Generate, in a thread of its own: what happens goes out through `tell`, None is the end."""
        places = {label: place for place, label in enumerate(self.talk.labels)}
        try:
            asking = make()
            tell({"question": asking.question, "forgotten": asking.forgotten})
            with closing(self.talk.answer(asking)) as pieces:
                for piece in pieces:
                    if stop.is_set():
                        break
                    tell({"voice": places[piece.label], "text": piece.text})
            tell({"end": True, "interrupted": self.talk.turns[-1].interrupted})
        except TutelageError as error:
            tell({"error": error.as_json()})
        except Exception as error:  # noqa: BLE001 - whatever stops a model is told on the page, and the server lives on
            found = f"{type(error).__name__}: {error}"[:2000]
            tell({"error": {"problem": "the model could not answer", "found": found}})
        finally:
            tell(None)


async def serve(
    talk: Talk, *, ready: Callable[[str], None], port: int = 0, limits: wire.Limits = wire.LIMITS
) -> None:
    """Serve a talk on this machine until the task is cancelled.

    Args:
        talk: the talk.
        ready: is told the address with its key, once.
        port: where to listen; 0 is any free one.
        limits: of requests.

    Raises:
        MachineError: the port is taken.
    """
    listening = _listen(port)
    with listening:
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        site = Site(talk, port=port, token=token, limits=limits)
        server = await asyncio.start_server(
            site.accept, sock=listening, limit=limits.line, backlog=limits.at_once
        )
        listening.listen(
            limits.without_key
        )  # asyncio's backlog is also the system's queue, which may be longer
        try:
            ready(f"http://{ADDRESS}:{port}/#{token}")
            await asyncio.Event().wait()
        finally:
            server.close()
            await site.end()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        raise MachineError(
            "cannot listen on the port",
            where="--port",
            found=f"{port}: {error.strerror}",
            fix="leave --port out: a free one is taken",
        ) from error


async def _closed(reader: StreamReader, stop: threading.Event) -> None:
    """Set `stop` when the client closes the connection, or sends what it was not asked for."""
    with suppress(OSError):
        await reader.read(1)
    stop.set()


def _json(document: Event) -> bytes:
    return json.dumps(document, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def _problem(
    status: HTTPStatus, told: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> wire.Reply:
    return wire.Reply(_json({"error": dict(told)}), status=status, headers=headers or {})


def _fields(body: bytes) -> Fields:
    """The body as an object. Raises Refused."""
    try:
        value = strictjson.loads(body.decode("utf-8"), where="the request")
    except (UnicodeDecodeError, InputError):
        raise wire.Refused(HTTPStatus.BAD_REQUEST, "the body is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise wire.Refused(HTTPStatus.BAD_REQUEST, "the body must be an object")
    return value


def _exactly(fields: Fields, *names: str) -> None:
    if set(fields) != set(names):
        raise wire.Refused(HTTPStatus.BAD_REQUEST, f"the body must have {', '.join(names) or 'no fields'}")


def _text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise wire.Refused(HTTPStatus.BAD_REQUEST, f"{what} must be text")
    if len(value) > MAX_CHARACTERS:
        raise InputError(
            f"{what} is too long",
            found=f"{len(value):,} characters",
            expected=f"at most {MAX_CHARACTERS:,} characters",
        )
    return value
