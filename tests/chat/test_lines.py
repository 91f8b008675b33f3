from __future__ import annotations

import io

import pytest

from tutelage.chat import piped_inputs, typed_inputs
from tutelage.core.errors import InputError


def through(text):
    return [(entry.number, entry.text, entry.quoted) for entry in piped_inputs(io.BytesIO(text.encode()))]


def keys(*pressed):
    """A keyboard, and the prompts and remarks that it saw."""
    left, prompts, told = iter(pressed), [], []

    def ask(prompt):
        prompts.append(prompt)
        key = next(left)
        if isinstance(key, type):
            raise key
        return key

    return [entry.text for entry in typed_inputs(ask, told.append)], prompts, told


def test_every_line_is_an_entry_with_its_number():
    assert through("one\r\n\n  two \n") == [(1, "one", False), (2, "", False), (3, "two", False)]


def test_a_backslash_at_the_end_goes_on_and_two_stand_for_one():
    assert through("a\\\n  b\\\nc\nd\\\\\n") == [(1, "a\n  b\nc", False), (4, "d\\", False)]
    assert through("a \\ b\n") == [(1, "a \\ b", False)]
    assert through("the end is open\\") == [(1, "the end is open", False)]


def test_three_quotes_hold_a_text_as_it_is():
    block = 'x\n"""\n  def f():\n\n    return "\\"\n/exit\n"""\ny\n'
    assert through(block) == [
        (1, "x", False),
        (2, '  def f():\n\n    return "\\"\n/exit', True),
        (8, "y", False),
    ]
    assert through('"""/etc"""\n') == [(1, "/etc", True)]
    assert through('"""first\nlast"""  \n') == [(1, "first\nlast", True)]


def test_a_block_that_is_not_closed_is_named_with_its_first_line():
    with pytest.raises(InputError, match="not closed") as caught:
        through('a\n"""\nb\n')
    assert caught.value.where == "standard input:2"


def test_bytes_that_are_no_text_are_named_with_their_line():
    with pytest.raises(InputError) as caught:
        list(piped_inputs(io.BytesIO(b"good\nb\xffd\n")))
    assert (caught.value.where, caught.value.found) == ("standard input:2", "byte 0xff at position 2")


def test_typed_lines_end_with_ctrl_d_and_one_ctrl_c_only_forgets_the_line():
    lines, prompts, told = keys("one", KeyboardInterrupt, "two", EOFError)
    assert (lines, set(prompts)) == (["one", "two"], {"you> "})
    assert "Ctrl-D" in told[0]


def test_the_prompt_says_that_a_question_goes_on():
    lines, prompts, _ = keys("a\\", "b", '"""', "c", '"""', EOFError)
    assert lines == ["a\nb", "c"]
    assert prompts == ["you> ", "...> ", "you> ", "...> ", "...> ", "you> "]


def test_ctrl_c_in_a_question_forgets_it_and_does_not_count_towards_the_end():
    lines, _, told = keys('"""', "secret", KeyboardInterrupt, KeyboardInterrupt, "one", '"""', EOFError)
    assert lines == ["one"]
    assert "forgotten" in told[0]
    assert "not asked" in told[2]


def test_what_is_pasted_with_several_lines_is_one_question():
    assert keys("a\nb\n\nc", EOFError)[0] == ["a\nb\n\nc"]


def test_ctrl_c_twice_at_the_prompt_ends_the_program():
    with pytest.raises(KeyboardInterrupt):
        keys(KeyboardInterrupt, KeyboardInterrupt)
