from __future__ import annotations

import pytest

from tutelage.chat import ChatSession, ChatSettings
from tutelage.core.errors import InputError


def answers(session, pending):
    return [(piece.label, piece.text) for piece in session.answer(pending)]


def test_each_voice_is_announced_before_its_first_word(responder):
    session = ChatSession([responder(["x", "y"], label="tuned"), responder([], label="base")], ChatSettings())
    assert answers(session, session.ask("q")) == [("tuned", ""), ("tuned", "x"), ("tuned", "y"), ("base", "")]
    assert session.turns[0].answers == {"tuned": "xy", "base": ""}
    assert not session.turns[0].interrupted


def test_closing_stops_the_voice_keeps_what_was_said_and_spares_the_next_voice(responder):
    first, second = responder(["x", "y"], label="tuned"), responder(["z"], label="base")
    session = ChatSession([first, second], ChatSettings())
    pieces = session.answer(session.ask("q"))
    assert [next(pieces).text for _ in range(2)] == ["", "x"]
    pieces.close()
    assert (first.closed, second.prompts) == (1, [])
    (turn,) = session.turns
    assert (turn.answers, turn.interrupted) == ({"tuned": "x"}, True)
    assert session.ask("r").prompts["tuned"].messages[1]["content"] == "x"
    assert len(session.ask("r").prompts["base"].messages) == 1


def test_when_one_voice_cannot_take_the_question_the_other_forgets_nothing(responder):
    wide, narrow = responder(["a"], ["c"], label="wide"), responder(["b"], ["d"], label="narrow")
    wide.context, narrow.context = 12, 11
    session = ChatSession([wide, narrow], ChatSettings(max_new_tokens=4))
    answers(session, session.ask("1 2"))
    with pytest.raises(InputError, match="too long"):
        session.ask("1 2 3 4 5 6 7 8")
    assert session.ask("3").prompts["wide"].messages[0]["content"] == "1 2"


def test_at_temperature_0_a_second_draw_is_refused_but_not_after_a_stop_or_a_change(responder):
    session = ChatSession([responder(["a", "b"], ["ab"], ["c"])], ChatSettings())
    with pytest.raises(InputError, match="no question"):
        session.ask_again()
    pieces = session.answer(session.ask("q"))
    next(pieces)
    pieces.close()
    answers(session, session.ask_again())
    with pytest.raises(InputError, match="same answer"):
        session.ask_again()
    session.set_temperature(0.7)
    answers(session, session.ask_again())
    assert [turn.replaced for turn in session.turns] == [True, True, False]
    session.reset()
    with pytest.raises(InputError, match="no question"):
        session.ask_again()


def test_a_second_draw_that_never_came_forgets_nothing_more(responder):
    session = ChatSession([responder(["a"], ["b"])], ChatSettings(temperature=1.0))
    answers(session, session.ask("one"))
    answers(session, session.ask("two"))
    session.ask_again()
    with pytest.raises(InputError, match="no question"):
        session.ask_again()
    assert [message["content"] for message in session.ask("x").prompts["answer"].messages] == [
        "one",
        "a",
        "x",
    ]


def test_a_model_that_fails_leaves_what_it_said_and_a_talk_that_goes_on(responder):
    session = ChatSession([responder(["a", RuntimeError("boom")], ["b"])], ChatSettings())
    with pytest.raises(RuntimeError, match="boom"):
        answers(session, session.ask("q"))
    assert answers(session, session.ask("r"))[-1] == ("answer", "b")
    assert session.turns[0].interrupted


def test_a_refused_system_prompt_changes_nothing(responder):
    deaf = responder(["a"])
    deaf.remembers = False
    session = ChatSession([deaf], ChatSettings())
    answers(session, session.ask("q"))
    with pytest.raises(InputError, match="no system prompt"):
        session.set_system("kind")
    assert (session.settings.system, len(session.history)) == (None, 1)
    session.set_system("")
    assert session.history == ()
