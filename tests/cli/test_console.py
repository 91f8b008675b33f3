from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.cli import console


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain \u00fc \U0001f642\n\ttext", "plain \u00fc \U0001f642\n\ttext"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hcleared", "cleared"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;cm0gLXJm\x07paste", "paste"),
        ("\x1bP+q544e\x1b\\dcs", "dcs"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9cafter", "after"),
        ("\x1bcreset", "reset"),
        ("\x1b(0graphics", "graphics"),
        ("over\rwritten", "over\nwritten"),
        ("line\r\nline", "line\nline"),
        ("bell\x07 back\x08space \x00nul \x7fdel", "bell backspace nul del"),
        ("\u202eturned\u2066\u200f", "turned"),
        ("\x1b", ""),
        ("ends in \x1b[", "ends in "),
        ("ends in \x1b]0;never ended", "ends in "),
    ],
)
def test_escape_sequences_and_controls_are_stripped(text, left):
    assert console.plain(text) == left


@given(st.text(alphabet=st.sampled_from("\x1b[]P\\\x07\x9b\x9c\x9d;0m?1 a\u202e\r\n\t"), max_size=40))
def test_nothing_that_steers_a_terminal_is_left(text):
    left = console.plain(text)
    assert not [c for c in left if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c == "\u202e"]
    assert console.plain(left) == left


def test_tables_take_no_markup_and_no_escapes_from_cells(capsys):
    console.show_table(["name", "value"], [["[red]x[/red]", "\x1b[31m1.0"], [":smile:", "2"]], right=(1,))
    told = capsys.readouterr().out
    assert "[red]x[/red]" in told
    assert ":smile:" in told
    assert "\x1b" not in told
    assert "1.0" in told


def test_names_and_numbers_stay_whole_where_nothing_has_an_edge(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    name, interval = "tracking_shuffled_objects_seven_objects", "\u221279.3 to +79.3"
    columns = ["", *(f"column {n}" for n in range(9))]
    console.show_table(columns, [[name, *[interval] * 9]], right=tuple(range(1, 10)))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert line.count(interval) == 9
    assert len(line) <= console.MAX_WIDTH
    console.show_table(["a", "b"], [["x" * 300, "1.0"]])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= console.MAX_WIDTH


def test_a_terminal_that_lacks_a_letter_gets_a_substitute(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    console.show("\u2212 5")
    assert stream.buffer.getvalue() == b"? 5\n"


def test_json_never_holds_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.print_json({"value": float("nan")})
