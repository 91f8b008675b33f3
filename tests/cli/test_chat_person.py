"""`tutelage chat` as a person has it: on a terminal, and as a page until Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from urllib.request import Request, urlopen

import pytest

SECONDS = 120


class Person:
    """Someone at a terminal of 100 columns who sees what the program writes."""

    def __init__(self, warm, words, folder):
        self.hand, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.seen = ""
        environment = {**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self.program = warm.start(
            words, stdin=far, stdout=far, stderr=far, cwd=folder, env=environment, session=True
        )
        os.close(far)

    def types(self, text):
        os.write(self.hand, text.encode())

    def sees(self, pattern):
        """Wait until it is on the screen, and give what came up to there."""
        end = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, self.seen
            if select.select([self.hand], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.hand, 65_536).decode("utf-8", "replace")
                except OSError:  # the other side has ended
                    assert re.search(pattern, self.seen), self.seen
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def leaves(self):
        self.types("\x04")
        return self.program.wait(SECONDS)

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self.hand)


@pytest.fixture
def person(tmp_path, warm):
    people = []

    def sit(*words):
        people.append(Person(warm, words, tmp_path))
        return people[-1]

    yield sit
    for one in people:
        one.close()


def test_a_person_asks_over_several_lines_pastes_and_sets(person, tiny_model_folder):
    one = person("chat", tiny_model_folder, "--max-new-tokens", "4")
    one.sees("you> ")
    one.types("When are you \\\n")
    one.sees(r"\.\.\.> ")
    one.types("open?\n")
    one.sees("answer> ")
    one.sees("you> ")
    # A paste of two lines, as terminals send it, is one question.
    one.types("\x1b[200~first\nsecond\x1b[201~\n")
    one.sees("answer> ")
    one.sees("you> ")
    one.types("/temperature 0.5\n")
    one.sees(r"the temperature is 0\.5")
    one.types("/history\n")
    shown = one.sees(r"answer> [^\r]*\r\n(.|\r|\n)*answer> [^\r]*\r\n")
    assert "you> When are you \r\nopen?" in shown
    assert "you> first\r\nsecond" in shown
    one.sees("you> ")
    assert one.leaves() == 0


def test_two_models_answer_side_by_side(person, tiny_model_folder, tmp_path):
    (tmp_path / "other").symlink_to(tiny_model_folder)
    one = person("chat", tiny_model_folder, "--against", "other", "--max-new-tokens", "4")
    one.sees("you> ")
    one.types("Hello\n")
    shown = one.sees("\x1b\\[\\?25h")
    assert "────" in shown
    assert "other" in shown
    assert "other> " not in shown
    one.sees("you> ")
    assert one.leaves() == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_the_page_is_served_until_ctrl_c(tiny_model_folder, tmp_path, warm, as_json):
    words = [
        "chat",
        str(tiny_model_folder),
        "--web",
        "--max-new-tokens",
        "4",
        *(["--json"] if as_json else []),
    ]
    with warm.start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as program:
        try:
            line = (program.stderr if as_json else program.stdout).readline()
            address = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+)/#(\S+) in a browser of .*\n", line)
            assert address, line
            headers = {"Authorization": f"Bearer {address[2]}", "Origin": address[1]}
            headers["Content-Type"] = "application/json"
            asked = Request(f"{address[1]}/api/ask", b'{"question": "Hello"}', headers)  # noqa: S310 - http to this machine
            with urlopen(asked, timeout=SECONDS) as response:  # noqa: S310
                events = [json.loads(event) for event in response]
            assert events[-1] == {"end": True, "interrupted": False}
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=SECONDS)
        finally:
            program.kill()
    assert program.returncode == 0, err
    assert err == ""
    if as_json:
        assert json.loads(out)["turns"][0]["question"] == "Hello"
    else:
        assert out == ""


def test_a_port_belongs_to_a_page(tutelage, tiny_model_folder):
    done = tutelage("chat", tiny_model_folder, "--port", "8123")
    assert done.returncode == 2
    assert "add --web" in done.stderr
