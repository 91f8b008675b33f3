"""Requests that no browser sends: each is refused with a 4xx, opens no file, and the server serves on."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from urllib.parse import quote

import pytest

from tutelage.chat import wire

TARGETS = (
    "etc/passwd",
    "chat.html",
    "chat.py",
    "web.py",
    "static/chat.js",
    "proc/self/environ",
    "windows/win.ini",
)
DOTS = (
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..\\",
    "..%5c",
    "..%255c",
    "%252e%252e%252f",
    "....//",
    "..;/",
    "..%c0%af",
)
STARTS = (
    "/",
    "/api/",
    "/api/talk/",
    "/chat.css/",
    "/static/",
    "//",
    "/./",
    "/%2f",
    "/chat.js%00",
    "/~root/",
    "/file:///",
)
ENDS = ("", "%00", "%00.css", "?", "?x=1", ";.css", "/", "/.", "%20", "::$DATA", "%0d%0aX:1")


def traversal(random, _here):
    """A path out of the page's folder, written in one of many ways."""
    dots = random.choice(DOTS) * random.randint(0, 9)
    target = random.choice(TARGETS)
    if random.random() < 0.3:
        target = quote(target, safe="").replace("%", random.choice(("%", "%25")))
    return random.choice(STARTS) + dots + target + random.choice(ENDS)


def ordinary(random, here, path):
    """A request with the right host, origin and key, so that the path alone is wrong."""
    method = random.choice(("GET", "POST"))
    more = {"kind": "application/json", "length": 2} if method == "POST" else {}
    return here.head(method, path, **more) + (b"{}" if more else b"")


def paths(random, here):
    return ordinary(random, here, traversal(random, here))


def forms(random, here):
    """A target that is no path: absolute, authority, asterisk, none, with blanks or letters beyond ASCII."""
    target = random.choice(
        (
            "http://127.0.0.1/",
            f"http://{here.own}/chat.js",
            "127.0.0.1:22",
            "*",
            "",
            "/a b",
            "/\tx",
            "/\xe9",
            "\\",
            "file:///etc/passwd",
        )
    )
    return f"GET {target} HTTP/1.1\r\nHost: {here.own}\r\n\r\n".encode("latin-1")


def methods(random, here):
    method = random.choice(
        (
            "PUT",
            "DELETE",
            "HEAD",
            "OPTIONS",
            "TRACE",
            "CONNECT",
            "PATCH",
            "PROPFIND",
            "get",
            "G\x00T",
            "A" * 40,
        )
    )
    return here.head(method, random.choice(("/", "/chat.js", "/api/talk", "/api/ask", "/etc/passwd")))


def first_lines(random, here):
    line = random.choice(
        ("GET /", "GET / HTTP/0.9", "GET / HTTP/2.0", "GET / HTTP/1.1 x", "GET  / HTTP/1.1", " GET / HTTP/1.1", "GET / http/1.1",
         "GET / HTTP/1.10", "PRI * HTTP/2.0", "\x16\x03\x01\x02\x00", "", "\x00", "GET /\x00 HTTP/1.1", "SSH-2.0-x", "GET /" + "a" * 9_000)
    )  # fmt: skip
    return f"{line}\r\nHost: {here.own}\r\n\r\n".encode("latin-1")


def headers(random, here):
    """A page's request with one header that is malformed, doubled or contradicts another."""
    wrong = random.choice(
        ("Host: {own}", "X", ": x", "X : x", " folded: x", "\tx", "X\x00: x", "X: \x00", "X: a\rb", "X: \xe9", "Content-Length: -1",
         "Content-Length: 1", "Content-Length: +0", "Content-Length: 0x1", "Content-Length: 9999999999999", "Transfer-Encoding: chunked",
         "Transfer-Encoding: identity", "Expect: 100-continue", "Origin: http://evil.example", "Origin: null", "X: " + "a" * 9_000, "X\nY: x")
    )  # fmt: skip
    return here.head("GET", "/chat.js", more=wrong.format(own=here.own).encode("latin-1") + b"\r\n")


def ends_of_line(random, here):
    data = here.head("GET", "/")
    return data.replace(b"\r\n", random.choice((b"\n", b"\n\r", b"\r\r\n", b"\n\n")))


def bodies(random, here):
    """A question whose body is no object of one text, or too much of it."""
    body = random.choice(
        (b"", b"null", b"[]", b'"q"', b"{", b'{"question": 1}', b'{"question": {}}', b'{"q": "x"}', b"\xff\xfe", b"\x00" * 99, b"[" * 5_000,
         b'{"question": "a", "question": "b"}', b'{"question": "q", "path": "../../etc/passwd"}', b'{"question": "\\ud800"}', b'{"question": NaN}',
         b'{"question": "' + b"x" * 60_000 + b'"}', b'{"question": ""}')
    )  # fmt: skip
    return here.head("POST", "/api/ask", kind="application/json", length=len(body)) + body


def kinds(random, here):
    kind = random.choice(
        ("text/plain", "", "multipart/form-data; boundary=x", "application/jsonp", "application/xml")
    )
    return here.head("POST", "/api/ask", kind=kind, length=15) + b'{"question":"q"}'[:15]


def lengths(random, here):
    """More than a body may have, or another length than it has."""
    length = random.choice((262_145, 10**9, 10**12, "1e3", "-5", "", "2, 2", "0b1", "\u0661"))
    head = here.head("POST", "/api/ask", kind="application/json", length="LENGTH").decode("ascii")
    return head.replace("LENGTH", str(length)).encode() + b"{}"


def noise(random, _here):
    return random.randbytes(random.randint(1, 400)).replace(b"\n", b"\r") + b"\r\n\r\n"


def flipped(random, here):
    """The right request of a stranger, with one byte of it another."""
    data = bytearray(here.head("GET", "/api/talk", key="Bearer x"))
    data[random.randrange(len(data) - 4)] = random.randrange(256)
    return bytes(data)


KINDS = (paths, forms, paths, methods, paths, first_lines, paths, headers, paths, ends_of_line, paths, bodies)
KINDS += (paths, kinds, paths, lengths, flipped, noise, flipped, noise)
COUNT = 1_000


class Opened:
    """What other threads than this one open. An audit hook cannot be taken away: it is there once, and switched."""

    def __init__(self):
        self.on = False
        self.found = []
        self._client = threading.get_ident()
        sys.addaudithook(self._hook)

    def _hook(self, event, args):
        if (
            self.on
            and event in {"open", "os.listdir", "os.scandir", "os.chdir"}
            and threading.get_ident() != self._client
        ):
            self.found.append((event, args[0]))


@pytest.fixture(scope="module")
def opened():
    return Opened()


def test_the_watch_notices_a_file_that_is_opened(opened, tmp_path):
    (tmp_path / "x").write_text("x")
    opened.on = True
    thread = threading.Thread(target=(tmp_path / "x").read_text)
    thread.start()
    thread.join()
    opened.on = False
    assert [path for _, path in opened.found] == [str(tmp_path / "x")]
    opened.found.clear()


def test_traversal_and_malformed_requests_are_refused_and_open_no_file(site, responder, opened):
    one = responder(["still here"])
    here = site(one, limits=wire.HttpLimits(reading=2.0))
    here.get("/")
    draw = random.Random(20)
    statuses = Counter()
    sent = set()
    opened.on = True
    for number in range(COUNT):
        data = KINDS[number % len(KINDS)](draw, here)
        got = here.raw(data)
        assert 400 <= got.status < 500, (got.status, data[:300])
        assert got.headers["x-content-type-options"] == "nosniff"
        statuses[got.status] += 1
        sent.add(data.replace(here.own.encode(), b"").replace(here.token.encode(), b""))
    opened.on = False
    assert len(sent) > 500
    assert opened.found == []
    assert one.prompts == []
    assert {400, 401, 403, 404, 405, 411, 413, 414, 415, 421, 422, 431} <= set(statuses), statuses
    assert here.ask("q")[2] == {"voice": 0, "text": "still here"}
    assert here.get("/").status == 200


def test_a_request_that_is_cut_at_any_byte_is_refused_or_waited_for_and_never_served(site, responder):
    one = responder(["a"])
    here = site(one, limits=wire.HttpLimits(reading=0.02, lingering=0.01))
    body = b'{"question": "q"}'
    whole = here.head("POST", "/api/ask", kind="application/json", length=len(body)) + body
    assert {here.raw(whole[:cut]).status for cut in range(len(whole))} <= {400, 408}
    assert one.prompts == []


def test_the_same_bytes_uncut_are_served(site, responder):
    here = site(responder(["a"]))
    assert here.ask("q")[-1]["end"]
