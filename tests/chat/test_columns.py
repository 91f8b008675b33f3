from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

WORDS = " ".join(f"tuned{n}" for n in range(30))
OTHER = " ".join(f"base{n}" for n in range(30))


def screen(width=100, height=40, **more):
    """A terminal in memory."""
    out = io.StringIO()
    return out, Console(
        file=out, width=width, height=height, force_terminal=True, legacy_windows=False, **more
    )


def final(drawn):
    """The last picture, without the sequences of the terminal."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.replace("\r", ""))
    heads = [found.start() for found in re.finditer(r"tuned[ |]+base", plain)]
    return plain[heads[-1] :]


@pytest.fixture
def two(chat, responder):
    """Ask two voices one question on a screen."""

    def run(first, second, out, console, **how):
        responders = responder(first, label="tuned"), responder(second, label="base")
        return chat(["q"], *responders, interactive=True, out=out, console=console, **how)[1]

    return run


def test_two_answers_stand_side_by_side_wrapped_under_their_names(two):
    drawn = final(two([WORDS[:50], WORDS[50:]], [OTHER], *screen()))
    lines = drawn.splitlines()
    assert re.fullmatch(r" *tuned +base *", lines[0])
    middle = lines[0].index("base")
    both = [line for line in lines[2:] if line.strip()]
    assert all("base" not in line[:middle] and "tuned" not in line[middle:] for line in both)
    assert len(both) > 3
    assert all(len(line) <= 100 for line in lines)


def test_all_text_is_there_at_the_end(two):
    pieces = [f"word{n} " for n in range(400)]
    drawn = final(two(pieces, ["short"], *screen(height=12)))
    assert re.findall(r"word\d+", drawn) == [piece.strip() for piece in pieces]


def test_while_it_is_written_a_long_answer_shows_its_newest_lines(two, monkeypatch):
    monkeypatch.setattr("tutelage.chat.columns.REDRAW_SECONDS", 0.0)
    pieces = [f"line{n}\n" for n in range(60)]
    out, console = screen(height=12)
    drawn = two(pieces, [], out, console)
    pictures = drawn.split("base")[1:-1]
    assert "line59" in pictures[-1]
    assert "line0\n" not in pictures[-1]
    assert all(picture.count("\n") <= 12 for picture in pictures)


@pytest.mark.parametrize("width", [60, 79])
def test_a_narrow_terminal_shows_one_after_the_other(two, width):
    assert two(["a"], ["b"], *screen(width=width)) == "tuned> a\nbase> b\n\n"


def test_so_does_one_that_cannot_be_drawn_on(two, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert two(["a"], ["b"], *screen()) == "tuned> a\nbase> b\n\n"


def test_one_voice_needs_no_columns(chat, responder):
    out, console = screen()
    assert chat(["q"], responder(["a"]), interactive=True, out=out, console=console)[1] == "answer> a\n\n"


def test_ctrl_c_leaves_what_was_said_and_says_so(two):
    drawn = final(two(["half ", KeyboardInterrupt()], ["never"], *screen()))
    assert "half" in drawn
    assert "never" not in drawn
    assert "(no answer)" in drawn
    assert drawn.rstrip().endswith("(stopped)")


HOSTILE = "\x1b]0;t\x07\x1b[2J\x9b31m\x1bP+q\x1b\\\r\x08\x7f\u202ex\u2066\x00[bold]b[/bold]:smile:"


def test_no_sequence_of_a_model_or_a_name_reaches_the_terminal(chat, responder, monkeypatch):
    monkeypatch.setattr("tutelage.chat.columns.REDRAW_SECONDS", 0.0)
    harmless, hostile = (
        [responder(list(text), label="tuned" + text), responder([text], label="base")]
        for text in ("abc", HOSTILE)
    )
    drawn = []
    for responders in (harmless, hostile):
        out, console = screen(width=120)
        drawn.append(chat(["q"], *responders, interactive=True, out=out, console=console)[1])
    # Only what rich itself draws with is there: the same sequences as for a harmless text.
    used = [set(re.findall(r"\x1b\[?[0-9;?]*.", text)) for text in drawn]
    assert used[1] <= used[0]
    rest = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn[1]).replace("\r", "")
    assert all(char == "\n" or char.isprintable() for char in rest)
    assert not set(rest) & set("\u202e\u2066")
    assert "[bold]b[/bold]:smile:" in rest


def test_letters_that_the_terminal_cannot_show_become_signs(two):
    raw = io.BytesIO()
    ascii_only = io.TextIOWrapper(raw, encoding="ascii")
    ascii_only.getvalue = lambda: raw.getvalue().decode("ascii")
    console = Console(file=ascii_only, width=100, height=30, force_terminal=True)
    assert "Gr??e" in final(two(["Grüße"], ["日本"], ascii_only, console))
