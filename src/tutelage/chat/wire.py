"""The part of HTTP/1.1 that a page on this machine needs: one request a connection, read strictly and within limits.

A request that is not exactly right is refused with a 4xx status, so that no two programs can read it differently.
"""

from __future__ import annotations

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.[01]")
HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}):[ \t]*([\x20-\x7e\t]*?)[ \t]*")
CONTENT_LENGTH = re.compile(r"[0-9]{1,12}")

SECURITY_HEADERS = {
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
class HttpLimits:
    """Bounds on what clients may send, keep open and wait for.

    Attributes:
        line: bytes of a line of the head.
        head: bytes of the request line and all headers.
        headers: their number.
        body: bytes of the body.
        reading: seconds for a whole request.
        writing: seconds for each piece of a response.
        lingering: seconds to read what is still sent after the response.
        connections: open connections that have shown the key.
        without_key: all other open connections.
        at_once: connections accepted in one turn of the event loop: few enough that a request that has arrived is read before
            its connection becomes the oldest without the key, which is closed.
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


LIMITS = HttpLimits()


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


class RequestRefused(Exception):
    """A request that is refused: the status, and the reason in one sentence."""

    def __init__(self, status: HTTPStatus, problem: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.status = status
        self.headers = headers or {}


class ClientGone(Exception):
    """The client has closed the connection, or does not read."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response."""

    body: bytes
    content_type: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


async def read_head(reader: StreamReader, limits: HttpLimits) -> RequestHead:
    """Read the request line and the headers.

    Raises:
        RequestRefused: they are malformed or too long.
        ClientGone: the client closed the connection without a request, as browsers do that connect in advance.
    """
    line = await _line(reader, HTTPStatus.REQUEST_URI_TOO_LONG)
    request = REQUEST_LINE.fullmatch(line)
    if request is None:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the request line is malformed")
    headers: dict[str, str] = {}
    size = len(line)
    while line := await _line(reader, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE):
        size += len(line)
        if size > limits.head or len(headers) >= limits.headers:
            raise RequestRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")
        header = HEADER.fullmatch(line)
        if header is None:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "a header is malformed")
        name = header[1].decode("ascii").lower()
        if name in headers:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "a header is repeated")
        headers[name] = header[2].decode("ascii")
    return RequestHead(request[1].decode("ascii"), request[2].decode("ascii"), headers)


async def read_body(reader: StreamReader, head: RequestHead, limits: HttpLimits) -> bytes:
    """Read the body of a POST; other methods have none.

    Raises:
        RequestRefused: it has no stated length, is too long, incomplete, or not JSON by its header.
    """
    length = head.headers.get("content-length")
    if "transfer-encoding" in head.headers or (length is None and head.method == "POST"):
        raise RequestRefused(HTTPStatus.LENGTH_REQUIRED, "the length of the body must be stated")
    if "expect" in head.headers:
        raise RequestRefused(HTTPStatus.EXPECTATION_FAILED, "no promise is made before the body arrives")
    if length is None:
        return b""
    if not CONTENT_LENGTH.fullmatch(length):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the length of the body is malformed")
    if int(length) > limits.body:
        raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")
    if head.method != "POST":
        if int(length):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "this request has no body")
        return b""
    content_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise RequestRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
    try:
        return await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the body is cut off") from None


async def send(writer: StreamWriter, response: HttpResponse, limits: HttpLimits) -> None:
    """Send a whole response. Raises ClientGone."""
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        **response.headers,
    }
    await _write(writer, _head(response.status, headers) + response.body, limits)


async def send_lines(
    writer: StreamWriter, lines: AsyncIterator[bytes], content_type: str, limits: HttpLimits
) -> None:
    """Send lines as they come, in chunks, so that the client knows whether the response is complete. Raises ClientGone."""
    headers = {"Content-Type": content_type, "Transfer-Encoding": "chunked"}
    await _write(writer, _head(HTTPStatus.OK, headers), limits)
    async for line in lines:
        await _write(writer, b"%x\r\n%b\r\n" % (len(line), line), limits)
    await _write(writer, b"0\r\n\r\n", limits)


async def finish(reader: StreamReader, writer: StreamWriter, limits: HttpLimits) -> None:
    """Close the sending side and read what the client still sends: otherwise it might lose the response."""
    with suppress(OSError, TimeoutError):
        writer.write_eof()
        async with asyncio.timeout(limits.lingering):
            remaining = 4 * limits.body
            while remaining > 0 and (data := await reader.read(65_536)):
                remaining -= len(data)


async def _line(reader: StreamReader, too_long: HTTPStatus) -> bytes:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise RequestRefused(too_long, "a line of the request is too long") from None
    except asyncio.IncompleteReadError as error:
        if not error.partial and too_long is HTTPStatus.REQUEST_URI_TOO_LONG:
            raise ClientGone from None
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the request is cut off") from None
    if not line.endswith(b"\r\n"):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "a line does not end with CR LF")
    return line[:-2]


def _head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**SECURITY_HEADERS, **headers}.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode("ascii")


async def _write(writer: StreamWriter, data: bytes, limits: HttpLimits) -> None:
    try:
        writer.write(data)
        async with asyncio.timeout(limits.writing):
            await writer.drain()
    except (OSError, TimeoutError):
        raise ClientGone from None
