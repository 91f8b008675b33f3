"""A chat in a browser, on a page that only this machine and only this browser can reach.

The server listens on 127.0.0.1 alone. It serves a request that names this server as its host, comes from no other page and, unless
it is for one of the page's three fixed files, carries the key of the address. A path of a request is only looked up in a table; no
file is opened after the start.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from tutelage.chat import wire
from tutelage.chat.session import ChatSession, PendingQuestion
from tutelage.core import strictjson
from tutelage.core.errors import InputError, MachineError, TutelageError
from tutelage.core.types import Json

ADDRESS = "127.0.0.1"
MAX_CHARACTERS = 50_000
"""Of a question or a system prompt, checked long before a model's context is."""

PAGES = {
    "/": ("chat.html", "text/html; charset=utf-8"),
    "/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
}
STATE = "/api/talk"
STOP = "/api/stop"
FIELDS = {"/api/ask": "question", "/api/system": "system", "/api/temperature": "temperature"}
"""The one field of a call's body; the body of all other calls is an empty object."""

Event = dict[str, Any]
Ask = Callable[[], PendingQuestion]


class ChatServer:
    """Serves the page, and the chat session behind it.

    Args:
        session: the chat.
        port: where it listens, for the check of hosts and origins.
        token: the key that every call must carry.
        limits: of requests.
    """

    def __init__(
        self, session: ChatSession, *, port: int, token: str, limits: wire.HttpLimits = wire.LIMITS
    ) -> None:
        self.session = session
        self._key = f"Bearer {token}".encode("ascii")
        self._limits = limits
        self._hosts = {f"{ADDRESS}:{port}", f"localhost:{port}"}
        folder = files("tutelage.chat") / "static"
        self._pages = {
            path: wire.HttpResponse((folder / name).read_bytes(), content_type)
            for path, (name, content_type) in PAGES.items()
        }
        self._commands: dict[str, Callable[[Json], Event | None]] = {
            STOP: self._stop_answer,
            "/api/reset": self._reset,
            "/api/system": self._system,
            "/api/temperature": self._temperature,
        }
        self._questions: dict[str, Callable[[Json], Ask]] = {
            "/api/ask": self._ask,
            "/api/retry": lambda _: self.session.ask_again,
        }
        self._stop: threading.Event | None = None  # of the answer that is being generated
        # All connections, also those that are being closed.
        self._open: set[asyncio.Task[None]] = set()
        self._with_key: set[asyncio.Task[None]] = set()
        # Connections that have not shown the key, the oldest first, and whether each has sent a whole request for a page.
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
        """Make room for a connection, so that clients without the key cannot keep out one that has it.

        The oldest without the key is closed: one that has sent no whole request, or if there is none, one to which a page is being
        sent.
        """
        oldest = min(self._without_key, key=self._without_key.__getitem__)
        del self._without_key[oldest]
        oldest.cancel()

    async def end(self) -> None:
        """Stop the answer in progress and close all connections."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: StreamReader, writer: StreamWriter) -> None:
        # With no buffer, what is sent has left this process, and a client that does not read is noticed.
        writer.transport.set_write_buffer_limits(high=0)
        with suppress(wire.ClientGone):
            await self._respond(reader, writer)
            await wire.finish(reader, writer, self._limits)

    async def _respond(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            head, body = await self._request(reader)
            if head.path in self._questions:
                ask = self._questions[head.path](_argument(head.path, body))
                await self._stream(ask, reader, writer)
                return
            response = self._response(head.path, body)
        except wire.RequestRefused as refused:
            response = _problem(refused.status, {"problem": str(refused)}, refused.headers)
        except TutelageError as error:
            response = _problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.as_json())
        await wire.send(writer, response, self._limits)

    async def _request(self, reader: StreamReader) -> tuple[wire.RequestHead, bytes]:
        try:
            async with asyncio.timeout(self._limits.reading):
                head = await wire.read_head(reader, self._limits)
                self._check(head)
                self._admit(head)
                return head, await wire.read_body(reader, head, self._limits)
        except TimeoutError:
            raise wire.RequestRefused(HTTPStatus.REQUEST_TIMEOUT, "the request took too long") from None

    def _check(self, head: wire.RequestHead) -> None:
        host = head.headers.get("host", "").lower()
        if host not in self._hosts:
            raise wire.RequestRefused(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")
        origin = head.headers.get("origin")
        if origin != f"http://{host}" and (origin is not None or head.method == "POST"):
            raise wire.RequestRefused(HTTPStatus.FORBIDDEN, "the request comes from another page")
        posted = head.path in self._commands or head.path in self._questions
        if not posted and head.path not in self._pages and head.path != STATE:
            raise wire.RequestRefused(HTTPStatus.NOT_FOUND, "there is nothing here")
        method = "POST" if posted else "GET"
        if head.method != method:
            raise wire.RequestRefused(
                HTTPStatus.METHOD_NOT_ALLOWED, f"this takes {method}", {"Allow": method}
            )
        key = head.headers.get("authorization", "").encode("ascii")
        if head.path not in self._pages and not secrets.compare_digest(key, self._key):
            raise wire.RequestRefused(
                HTTPStatus.UNAUTHORIZED, "the key of the address is missing", {"WWW-Authenticate": "Bearer"}
            )

    def _admit(self, head: wire.RequestHead) -> None:
        """Count a checked request's connection among those with the key, unless it is for a page, which needs none."""
        task = asyncio.current_task()
        assert task is not None
        if head.path in self._pages:
            if task in self._without_key:
                self._without_key[task] = True
            return
        if len(self._with_key) >= self._limits.connections:
            raise wire.RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, "too many connections at once")
        self._without_key.pop(task, None)
        self._with_key.add(task)

    def _response(self, path: str, body: bytes) -> wire.HttpResponse:
        if path in self._pages:
            return self._pages[path]
        if path == STATE:
            return wire.HttpResponse(_json(self._state()))
        argument = _argument(path, body)
        if path != STOP:
            self._require_idle()
        return wire.HttpResponse(_json(self._commands[path](argument) or self._state()))

    def _state(self) -> Event:
        session = self.session
        return {
            "voices": [
                {"label": responder.label, "model": responder.model} for responder in session.responders
            ],
            "system": session.settings.system,
            "temperature": session.settings.temperature,
            "busy": self._stop is not None,
            "turns": [
                {
                    "question": turn.question,
                    "answers": [turn.answers.get(label, "") for label in session.labels],
                    "forgotten": max(turn.dropped.values()),
                    "interrupted": turn.interrupted,
                }
                for turn in session.history
            ],
        }

    def _stop_answer(self, _argument: Json) -> Event:
        if self._stop is not None:
            self._stop.set()
        return {"stopped": self._stop is not None}

    def _reset(self, _argument: Json) -> None:
        self.session.reset()

    def _system(self, text: Json) -> None:
        self.session.set_system(_text(text, "the system prompt"))

    def _temperature(self, temperature: Json) -> None:
        if isinstance(temperature, bool) or not isinstance(temperature, int | float):
            raise wire.RequestRefused(HTTPStatus.BAD_REQUEST, "the temperature must be a number")
        self.session.set_temperature(temperature)

    def _ask(self, text: Json) -> Ask:
        question = _text(text, "the question")
        if not question:
            raise InputError("the question is empty", where="question")
        return partial(self.session.ask, question)

    def _require_idle(self) -> None:
        if self._stop is not None:
            raise wire.RequestRefused(HTTPStatus.CONFLICT, "an answer is being generated: stop it, or wait")

    async def _stream(self, ask: Ask, reader: StreamReader, writer: StreamWriter) -> None:
        """Send an answer as it is generated. When the client closes the connection, or calls `stop`, generation stops."""
        self._require_idle()
        self._stop = stop = threading.Event()
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        def emit(event: Event | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        generating = loop.run_in_executor(None, self._generate, ask, stop, emit)
        watching = asyncio.create_task(_stop_when_closed(reader, stop))
        try:
            first = await events.get()
            if first is None or "error" in first:
                error = {} if first is None else first["error"]
                await wire.send(writer, _problem(HTTPStatus.UNPROCESSABLE_ENTITY, error), self._limits)
                return
            await wire.send_lines(writer, _lines(first, events), "application/x-ndjson", self._limits)
        finally:
            stop.set()
            watching.cancel()
            await asyncio.wait([generating, watching])
            self._stop = None

    def _generate(self, ask: Ask, stop: threading.Event, emit: Callable[[Event | None], None]) -> None:
        """Generate an answer, in a thread of its own; `emit` gets what happens, and None at the end."""
        positions = {label: position for position, label in enumerate(self.session.labels)}
        try:
            pending = ask()
            emit({"question": pending.question, "forgotten": pending.max_dropped})
            with closing(self.session.answer(pending)) as pieces:
                for piece in pieces:
                    if stop.is_set():
                        break
                    emit({"voice": positions[piece.label], "text": piece.text})
            emit({"end": True, "interrupted": self.session.turns[-1].interrupted})
        except TutelageError as error:
            emit({"error": error.as_json()})
        except Exception as error:  # noqa: BLE001 - whatever stops a model is shown on the page, and the server lives on
            message = f"{type(error).__name__}: {error}"[:2000]
            emit({"error": {"problem": "the model could not answer", "found": message}})
        finally:
            emit(None)


async def serve(
    session: ChatSession,
    *,
    ready: Callable[[str], None],
    port: int = 0,
    limits: wire.HttpLimits = wire.LIMITS,
) -> None:
    """Serve a chat on this machine until the task is cancelled.

    Args:
        session: the chat.
        ready: called once, with the address and its key.
        port: where to listen; 0 is any free one.
        limits: of requests.

    Raises:
        MachineError: the port is taken.
    """
    with _listen(port) as listening:
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        chat_server = ChatServer(session, port=port, token=token, limits=limits)
        server = await asyncio.start_server(
            chat_server.accept, sock=listening, limit=limits.line, backlog=limits.at_once
        )
        # asyncio's backlog also sets the system's queue, which may be longer.
        listening.listen(limits.without_key)
        try:
            ready(f"http://{ADDRESS}:{port}/#{token}")
            await asyncio.Event().wait()
        finally:
            server.close()
            await chat_server.end()


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


async def _stop_when_closed(reader: StreamReader, stop: threading.Event) -> None:
    """Set `stop` when the client closes the connection, or sends anything more."""
    with suppress(OSError):
        await reader.read(1)
    stop.set()


async def _lines(event: Event | None, events: asyncio.Queue[Event | None]) -> AsyncIterator[bytes]:
    """An event and those that follow it as lines of JSON, up to None."""
    while event is not None:
        yield _json(event)
        event = await events.get()


def _json(document: Event) -> bytes:
    return json.dumps(document, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def _problem(
    status: HTTPStatus, error: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> wire.HttpResponse:
    return wire.HttpResponse(_json({"error": dict(error)}), status=status, headers=headers or {})


def _argument(path: str, body: bytes) -> Json:
    """The value of the one field that a call takes; None for a call that takes none. Raises RequestRefused."""
    try:
        document = strictjson.loads(body.decode("utf-8"), where="the request")
    except (UnicodeDecodeError, InputError):
        raise wire.RequestRefused(HTTPStatus.BAD_REQUEST, "the body is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise wire.RequestRefused(HTTPStatus.BAD_REQUEST, "the body must be an object")
    field = FIELDS.get(path)
    if set(document) != ({field} if field else set()):
        raise wire.RequestRefused(HTTPStatus.BAD_REQUEST, f"the body must have {field or 'no fields'}")
    return document[field] if field else None


def _text(value: Json, name: str) -> str:
    """A text without space around it."""
    if not isinstance(value, str):
        raise wire.RequestRefused(HTTPStatus.BAD_REQUEST, f"{name} must be text")
    if len(value) > MAX_CHARACTERS:
        raise InputError(
            f"{name} is too long",
            found=f"{len(value):,} characters",
            expected=f"at most {MAX_CHARACTERS:,} characters",
        )
    return value.strip()
