"""The little of HTTP/1.1 that a page on this machine needs: one request a connection, read strictly, within limits.

What is not exactly right is refused with a 4xx status: there is nothing that two readers could understand differently.
"""

from __future__ import annotations

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

ASKED = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.[01]")
NAMED = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}):[ \t]*([\x20-\x7e\t]*?)[ \t]*")
LENGTH = re.compile(r"[0-9]{1,12}")

ALWAYS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients may send, hold and wait for: bytes, seconds, connections.

    `connections` are those that have shown the key, `without_key` all others. `at_once` new ones are taken in a turn of the
    loop, few enough that a request that has come is read before its connection is the oldest without the key, and closed.
    """

    line: int = 4_096
    head: int = 16_384
    headers: int = 64
    body: int = 262_144
    reading: float = 10.0
    writing: float = 30.0
    lingering: float = 1.0
    connections: int = 32
    without_key: int = 128
    at_once: int = 8


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


class Refused(Exception):
    """A request that is not served: the status, and why in one sentence."""

    def __init__(self, status: HTTPStatus, problem: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.status = status
        self.headers = headers or {}


class Gone(Exception):
    """The client has closed the connection, or does not read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response."""

    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


async def read_head(reader: StreamReader, limits: Limits) -> Head:
    """Read the request line and the headers.

    Raises:
        Refused: they are malformed or too long.
        Gone: the client closed without a word, as browsers do that connect in advance.
    """
    line = await _line(reader, HTTPStatus.REQUEST_URI_TOO_LONG)
    asked = ASKED.fullmatch(line)
    if asked is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "the request line is malformed")
    headers: dict[str, str] = {}
    size = len(line)
    while line := await _line(reader, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE):
        size += len(line)
        if size > limits.head or len(headers) >= limits.headers:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")
        named = NAMED.fullmatch(line)
        if named is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "a header is malformed")
        name = named[1].decode("ascii").lower()
        if name in headers:
            raise Refused(HTTPStatus.BAD_REQUEST, "a header stands twice")
        headers[name] = named[2].decode("ascii")
    return Head(asked[1].decode("ascii"), asked[2].decode("ascii"), headers)


async def read_body(reader: StreamReader, head: Head, limits: Limits) -> bytes:
    """Read the body of a POST; other methods have none.

    Raises:
        Refused: it has no stated length, is too long, is not there in full, or is not JSON by its header.
    """
    stated = head.headers.get("content-length")
    if "transfer-encoding" in head.headers or (stated is None and head.method == "POST"):
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length of the body must be stated")
    if "expect" in head.headers:
        raise Refused(HTTPStatus.EXPECTATION_FAILED, "nothing is promised before the body is here")
    if stated is None:
        return b""
    if not LENGTH.fullmatch(stated):
        raise Refused(HTTPStatus.BAD_REQUEST, "the length of the body is malformed")
    if int(stated) > limits.body:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")
    if head.method != "POST":
        if int(stated):
            raise Refused(HTTPStatus.BAD_REQUEST, "this request has no body")
        return b""
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
    try:
        return await reader.readexactly(int(stated))
    except asyncio.IncompleteReadError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is cut off") from None


async def send(writer: StreamWriter, reply: Reply, limits: Limits) -> None:
    """Send a whole response. Raises Gone."""
    own = {"Content-Type": reply.kind, "Content-Length": str(len(reply.body)), **reply.headers}
    await _write(writer, _head(reply.status, own) + reply.body, limits)


class Stream:
    """A response that is sent line by line, in chunks, so that its reader knows whether it is whole."""

    def __init__(self, writer: StreamWriter, limits: Limits) -> None:
        self._writer = writer
        self._limits = limits

    async def begin(self, kind: str) -> None:
        """Send the head. Raises Gone."""
        own = {"Content-Type": kind, "Transfer-Encoding": "chunked"}
        await _write(self._writer, _head(HTTPStatus.OK, own), self._limits)

    async def send(self, line: bytes) -> None:
        """Send one chunk that is not empty. Raises Gone."""
        await _write(self._writer, b"%x\r\n%b\r\n" % (len(line), line), self._limits)

    async def end(self) -> None:
        """Say that this was all. Raises Gone."""
        await _write(self._writer, b"0\r\n\r\n", self._limits)


async def finish(reader: StreamReader, writer: StreamWriter, limits: Limits) -> None:
    """Say that no more will come, and read what was sent in vain: else the client might lose the response."""
    with suppress(OSError, TimeoutError):
        writer.write_eof()
        async with asyncio.timeout(limits.lingering):
            left = 4 * limits.body
            while left > 0 and (read := await reader.read(65_536)):
                left -= len(read)


async def _line(reader: StreamReader, too_long: HTTPStatus) -> bytes:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise Refused(too_long, "a line of the request is too long") from None
    except asyncio.IncompleteReadError as error:
        if not error.partial and too_long is HTTPStatus.REQUEST_URI_TOO_LONG:
            raise Gone from None
        raise Refused(HTTPStatus.BAD_REQUEST, "the request is cut off") from None
    if not line.endswith(b"\r\n"):
        raise Refused(HTTPStatus.BAD_REQUEST, "a line does not end with CR LF")
    return line[:-2]


def _head(status: HTTPStatus, own: Mapping[str, str]) -> bytes:
    headers = "".join(f"{name}: {value}\r\n" for name, value in {**ALWAYS, **own}.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{headers}\r\n".encode("ascii")


async def _write(writer: StreamWriter, data: bytes, limits: Limits) -> None:
    try:
        writer.write(data)
        async with asyncio.timeout(limits.writing):
            await writer.drain()
    except (OSError, TimeoutError):
        raise Gone from None
