"""The page's server, asked as a browser, a script or a stranger would."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import ExitStack, suppress

import pytest

from tutelage.chat import ChatSession, ChatSettings, web, wire
from tutelage.core.errors import MachineError


def test_the_page_its_style_and_its_script_are_all_there_is_without_a_key(site, responder):
    here = site(responder())
    for path, kind in {"/": "text/html", "/chat.css": "text/css", "/chat.js": "text/javascript"}.items():
        got = here.get(path, key=None)
        assert (got.status, got.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
    assert here.get("/api/talk", key=None).status == 401


def test_every_response_carries_the_policy(site, responder):
    here = site(responder())
    for got in (here.get("/"), here.get("/api/talk"), here.get("/nothing"), here.raw(b"nonsense\r\n\r\n")):
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["referrer-policy"] == "no-referrer"
        assert got.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in got.headers


def test_an_answer_comes_line_by_line_and_stands_in_the_talk(site, responder):
    one = responder(["He", "llo <b>"])
    here = site(one, system="kind", temperature=0.5)
    assert here.ask("hi\nthere") == [
        {"question": "hi\nthere", "forgotten": 0},
        {"voice": 0, "text": ""},
        {"voice": 0, "text": "He"},
        {"voice": 0, "text": "llo <b>"},
        {"end": True, "interrupted": False},
    ]
    assert one.prompts == [[("system", "kind"), ("user", "hi\nthere")]]
    assert one.how == {"max_new_tokens": 256, "temperature": 0.5}
    assert here.state() == {
        "voices": [{"label": "answer", "model": "model of answer"}],
        "system": "kind",
        "temperature": 0.5,
        "busy": False,
        "turns": [{"question": "hi\nthere", "answers": ["Hello <b>"], "forgotten": 0, "interrupted": False}],
    }


def test_it_streams_a_piece_is_there_before_the_next_is_made(site, responder):
    gate = threading.Event()
    here = site(responder(["first", gate, "second"]))
    with here.asking("q") as events:
        assert [next(events) for _ in range(3)][-1] == {"voice": 0, "text": "first"}
        gate.set()
        assert next(events) == {"voice": 0, "text": "second"}


def test_two_voices_answer_one_after_the_other(site, responder):
    here = site(responder(["x"], label="tuned"), responder(["y", "z"], label="base"))
    texts = [(event["voice"], event["text"]) for event in here.ask("q") if "voice" in event]
    assert texts == [(0, ""), (0, "x"), (1, ""), (1, "y"), (1, "z")]
    assert here.state()["turns"][0]["answers"] == ["x", "yz"]


def test_stop_ends_the_answer_after_the_token_in_hand(site, responder):
    gate = threading.Event()
    one, other = (
        responder(["a", gate, *"bcdef"], ["g"], label="one"),
        responder(["never"], ["h"], label="other"),
    )
    here = site(one, other)
    with here.asking("q") as events:
        assert [next(events) for _ in range(3)][-1]["text"] == "a"
        assert here.post("/api/stop", {}).json == {"stopped": True}
        gate.set()
        assert list(events) == [{"end": True, "interrupted": True}]
    assert (one.closed, other.prompts) == (1, [])
    assert here.state()["turns"][0]["answers"] == ["ab", ""]
    assert here.post("/api/stop", {}).json == {"stopped": False}
    assert here.ask("again")[-1] == {"end": True, "interrupted": False}


def test_a_page_that_is_closed_stops_the_answer_too(site, responder):
    gate = threading.Event()
    one = responder(["a", gate, *"bcdef"], ["g"])
    here = site(one)
    with here.asking("q") as events:
        assert [next(events) for _ in range(3)][-1]["text"] == "a"
    # The connection is closed; the server may need a moment to see that.
    here.wait_until(here.site._stop.is_set)
    gate.set()
    here.wait_until(lambda: not here.state()["busy"])
    assert one.closed == 1
    assert here.state()["turns"][0]["interrupted"]


def test_one_answer_at_a_time_and_nothing_changes_meanwhile(site, responder):
    gate = threading.Event()
    here = site(responder(["a", gate], ["b"]))
    with here.asking("q") as events:
        next(events)
        assert here.state()["busy"]
        for path, body in [
            ("/api/ask", {"question": "second"}),
            ("/api/retry", {}),
            ("/api/reset", {}),
            ("/api/system", {"system": "x"}),
            ("/api/temperature", {"temperature": 1}),
        ]:
            got = here.post(path, body)
            assert (got.status, got.json["error"]["problem"][:9]) == (409, "an answer")
        gate.set()
        assert list(events)[-1] == {"end": True, "interrupted": False}
    assert here.ask("third")[-1]["end"]


def test_reset_system_and_temperature_act_as_in_the_terminal(site, responder):
    one = responder(["a"], ["b"], ["c"])
    here = site(one)
    here.ask("one")
    assert here.post("/api/reset", {}).json["turns"] == []
    here.ask("two")
    assert here.post("/api/temperature", {"temperature": 0.75}).json["temperature"] == 0.75
    assert len(here.state()["turns"]) == 1
    assert here.post("/api/system", {"system": " be short "}).json["system"] == "be short"
    here.ask("three")
    assert one.prompts[1:] == [[("user", "two")], [("system", "be short"), ("user", "three")]]
    assert one.how["temperature"] == 0.75
    assert here.post("/api/system", {"system": ""}).json["system"] is None


def test_retry_draws_again_and_says_when_that_would_change_nothing(site, responder):
    here = site(responder(["a"], ["b"]))
    assert here.post("/api/retry", {}).json["error"]["problem"].startswith("there is no question")
    here.ask("q")
    assert "temperature 0" in here.post("/api/retry", {}).json["error"]["problem"]
    here.post("/api/temperature", {"temperature": 1})
    assert here.events(here.post("/api/retry", {}))[2] == {"voice": 0, "text": "b"}
    assert [turn["answers"] for turn in here.state()["turns"]] == [["b"]]


def test_what_the_model_or_the_settings_cannot_take_is_said_with_422(site, responder):
    one = responder(["a"])
    one.context = 6
    here = site(one, max_new_tokens=2)
    got = here.post("/api/ask", {"question": "1 2 3 4 5 6 7"})
    assert (got.status, got.json["error"]["expected"][:16]) == (422, "at most 4 tokens")
    assert here.post("/api/ask", {"question": " \n "}).status == 422
    assert here.post("/api/ask", {"question": "x" * 50_001}).json["error"]["found"] == "50,001 characters"
    assert (
        here.post("/api/temperature", {"temperature": 99}).json["error"]["expected"] == "0, or from 0.01 to 5"
    )
    assert here.ask("1")[-1]["end"]


def test_a_model_that_fails_says_so_and_the_server_lives_on(site, responder):
    here = site(responder(["a", RuntimeError("out of memory")], ["b"]))
    assert here.ask("q")[-1] == {
        "error": {"problem": "the model could not answer", "found": "RuntimeError: out of memory"}
    }
    assert here.ask("r")[-1] == {"end": True, "interrupted": False}


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "[::1]:{port}", "127.1:{port}"],
)
def test_another_host_is_refused(site, responder, host):
    here = site(responder())
    assert here.get("/", host=host and host.format(port=here.port)).status == 421


def test_localhost_is_a_name_of_this_machine(site, responder):
    here = site(responder())
    assert here.get("/", host=f"LocalHost:{here.port}").status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://localhost:{port}",
    ],
)
def test_a_request_of_another_page_is_refused_even_with_the_key(site, responder, origin):
    one = responder(["a"])
    here = site(one)
    origin = origin.format(port=here.port)
    assert here.post("/api/ask", {"question": "q"}, origin=origin).status == 403
    assert here.get("/api/talk", origin=origin).status == 403
    assert here.get("/", origin=origin).status == 403
    assert one.prompts == []


def test_a_post_must_say_where_it_comes_from(site, responder):
    assert site(responder()).post("/api/reset", {}, origin=None).status == 403


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}"])
def test_without_the_key_nothing_is_done(site, responder, key):
    one = responder(["a"])
    here = site(one)
    got = here.post("/api/ask", {"question": "q"}, key=key and key.format(token=here.token))
    assert (got.status, got.headers["www-authenticate"]) == (401, "Bearer")
    assert one.prompts == []


def test_wrong_methods_kinds_and_bodies_are_refused(site, responder):
    here = site(responder())
    assert (here.get("/api/ask").status, here.get("/api/ask").headers["allow"]) == (405, "POST")
    assert here.post("/", {}).status == 405
    assert here.post("/api/talk", {}).status == 405
    assert here.post("/api/reset", {}, kind="text/plain").status == 415
    assert here.post("/api/reset", {}, kind="application/x-www-form-urlencoded").status == 415
    for body in (
        b"",
        b"[]",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"\xff",
        b"[" * 9999,
        b'{"x": 1}',
        b"{} {}",
    ):
        assert here.post("/api/reset", body).status == 400, body
    for wrong in ({"question": 1}, {"question": None}, {}, {"question": "q", "more": 1}, {"question": ["q"]}):
        assert here.post("/api/ask", wrong).status == 400, wrong
    assert here.post("/api/ask", b'{"question": "\\ud800"}').status == 400
    for wrong in ("1", None, True, [1]):
        assert here.post("/api/temperature", {"temperature": wrong}).status == 400


def test_what_is_too_long_is_refused_before_it_is_read(site, responder):
    here = site(responder())
    assert here.raw(b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n").status == 414
    assert here.raw(b"GET / HTTP/1.1\r\nX: " + b"a" * 5_000 + b"\r\n").status == 431
    assert here.raw(b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(65))).status == 431
    many = b"".join(b"X%d: %b\r\n" % (n, b"a" * 900) for n in range(30))
    assert here.raw(b"GET / HTTP/1.1\r\n" + many).status == 431
    assert here.post("/api/ask", {}, length=262_145).status == 413
    assert here.post("/api/ask", {}, length=None).status == 411
    assert here.post("/api/ask", {}, more=b"Transfer-Encoding: chunked\r\n").status == 411
    assert here.post("/api/ask", {}, more=b"Expect: 100-continue\r\n").status == 417
    assert here.post("/api/ask", {}, more=b"Content-Length: 2\r\n").status == 400


def test_a_client_that_says_nothing_or_little_is_not_waited_for(site, responder):
    here = site(responder(), limits=wire.HttpLimits(reading=0.3))
    for start in (
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: ",
        here.head("POST", "/api/ask", kind="application/json", length=10) + b"{",
    ):
        assert here.raw(start).status == 408


def test_a_client_that_asks_and_does_not_read_stops_the_answer(site, responder):
    gate = threading.Event()
    # More than the system keeps for a reader.
    one = responder(["x" * 30_000_000, gate, *"abc"])
    here = site(one, limits=wire.HttpLimits(writing=0.2))
    with here.asking("q"):
        stop = here.site._stop
        here.wait_until(stop.is_set)
        gate.set()
        here.wait_until(lambda: here.session.turns)
    assert one.closed == 1
    assert here.session.turns[0].interrupted


def test_connections_with_the_key_beyond_the_limit_are_turned_away_and_the_others_served(site, responder):
    here = site(responder(), limits=wire.HttpLimits(connections=3))
    slow = [socket.create_connection(("127.0.0.1", here.port)) for _ in range(3)]
    for connection in slow:
        connection.sendall(here.head("POST", "/api/ask", kind="application/json", length=10) + b"{")
    here.wait_until(lambda: len(here.site._with_key) == 3)
    assert here.get("/api/talk").status == 429
    assert here.get("/").status == 200  # a page needs no key
    for connection in slow:
        connection.close()
    here.wait_until(lambda: not here.site._with_key)
    assert here.get("/api/talk").status == 200


HALVES = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a head": b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
    "a page that is not read": None,
}


@pytest.mark.parametrize("sent", HALVES)
@pytest.mark.parametrize("count", [64, 500])
def test_connections_without_the_key_keep_out_nobody_who_has_it(site, responder, count, sent):
    gate = threading.Event()
    here = site(responder(["a", gate, "b"]))
    with here.asking("q") as events, ExitStack() as open_ones:
        next(events)
        strangers = []
        for _ in range(count):
            strangers.append(open_ones.enter_context(socket.create_connection(("127.0.0.1", here.port))))
            with suppress(OSError):  # the server may have closed it already
                strangers[-1].sendall(
                    here.head("GET", "/", key=None) if HALVES[sent] is None else HALVES[sent]
                )
        for _ in range(3):
            assert [here.get(path, key=None).status for path in ("/", "/chat.css", "/chat.js")] == [200] * 3
            assert here.get("/api/talk").status == 200
            assert here.get("/api/talk", key=None).status == 401
            for connection in strangers[-40:]:  # byte by byte
                with suppress(OSError):
                    connection.sendall(b"a")
        assert len(here.site._open) <= wire.LIMITS.without_key + 3
        gate.set()
        assert [event.get("text") for event in events][-2:] == ["b", None]
    assert here.session.turns[0].answers == {"answer": "ab"}


def test_only_this_machine_reaches_it_and_each_start_has_a_key_of_its_own(site, responder):
    one, other = site(responder()), site(responder())
    assert one.address.startswith(f"http://127.0.0.1:{one.port}/#")
    assert one.token != other.token
    assert len(one.token) == 32
    with socket.socket() as probe, pytest.raises(OSError, match=r".*"):
        # The whole of 127/8 is this machine, and the server is at one address of it.
        probe.connect(("127.0.0.2", one.port))


def test_the_end_stops_an_answer_and_frees_the_port(site, responder):
    one = responder(["a", *"bcdef" * 1000])
    here = site(one)
    with here.asking("q") as events:
        next(events)
        here.end()
        assert not here.thread.is_alive()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", here.port)) != 0


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"{port}: Address already in use"):
            asyncio.run(web.serve(ChatSession([], ChatSettings()), ready=print, port=port))


def test_hostile_text_is_only_ever_escaped_json(site, responder):
    text = "</script><img src=x onerror=alert(1)>\u2028\x1b]0;t\x07\x00\r\n\r\nHTTP/1.1 200 OK"
    here = site(responder([text]))
    got = here.post("/api/ask", {"question": text})
    assert got.headers["content-type"] == "application/x-ndjson"
    assert all(0x20 <= byte < 0x7F or byte == 0x0A for byte in got.body)
    assert here.events(got)[2]["text"] == text
    assert json.loads(here.get("/api/talk").body)["turns"][0]["answers"] == [text]
