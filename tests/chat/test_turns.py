from __future__ import annotations

import pytest

from tutelage.chat import Settings, Talk
from tutelage.core.errors import InputError


def heard(talk, asking):
    return [(piece.label, piece.text) for piece in talk.answer(asking)]


def test_each_voice_is_announced_before_its_first_word(voice):
    talk = Talk([voice(["x", "y"], label="tuned"), voice([], label="base")], Settings())
    assert heard(talk, talk.ask("q")) == [("tuned", ""), ("tuned", "x"), ("tuned", "y"), ("base", "")]
    assert talk.turns[0].answers == {"tuned": "xy", "base": ""}
    assert not talk.turns[0].interrupted


def test_closing_stops_the_voice_keeps_what_was_said_and_spares_the_next_voice(voice):
    first, second = voice(["x", "y"], label="tuned"), voice(["z"], label="base")
    talk = Talk([first, second], Settings())
    pieces = talk.answer(talk.ask("q"))
    assert [next(pieces).text for _ in range(2)] == ["", "x"]
    pieces.close()
    assert (first.closed, second.asked) == (1, [])
    (turn,) = talk.turns
    assert (turn.answers, turn.interrupted) == ({"tuned": "x"}, True)
    assert talk.ask("r").asked["tuned"].messages[1]["content"] == "x"
    assert len(talk.ask("r").asked["base"].messages) == 1


def test_when_one_voice_cannot_take_the_question_the_other_forgets_nothing(voice):
    wide, narrow = voice(["a"], ["c"], label="wide"), voice(["b"], ["d"], label="narrow")
    wide.context, narrow.context = 12, 11
    talk = Talk([wide, narrow], Settings(max_new_tokens=4))
    heard(talk, talk.ask("1 2"))
    with pytest.raises(InputError, match="too long"):
        talk.ask("1 2 3 4 5 6 7 8")
    assert talk.ask("3").asked["wide"].messages[0]["content"] == "1 2"


def test_at_temperature_0_a_second_draw_is_refused_but_not_after_a_stop_or_a_change(voice):
    talk = Talk([voice(["a", "b"], ["ab"], ["c"])], Settings())
    with pytest.raises(InputError, match="no question"):
        talk.ask_again()
    pieces = talk.answer(talk.ask("q"))
    next(pieces)
    pieces.close()
    heard(talk, talk.ask_again())
    with pytest.raises(InputError, match="same answer"):
        talk.ask_again()
    talk.set_temperature(0.7)
    heard(talk, talk.ask_again())
    assert [turn.replaced for turn in talk.turns] == [True, True, False]
    talk.reset()
    with pytest.raises(InputError, match="no question"):
        talk.ask_again()


def test_a_second_draw_that_never_came_forgets_nothing_more(voice):
    talk = Talk([voice(["a"], ["b"])], Settings(temperature=1.0))
    heard(talk, talk.ask("one"))
    heard(talk, talk.ask("two"))
    talk.ask_again()
    with pytest.raises(InputError, match="no question"):
        talk.ask_again()
    assert [message["content"] for message in talk.ask("x").asked["answer"].messages] == ["one", "a", "x"]


def test_a_model_that_fails_leaves_what_it_said_and_a_talk_that_goes_on(voice):
    talk = Talk([voice(["a", RuntimeError("boom")], ["b"])], Settings())
    with pytest.raises(RuntimeError, match="boom"):
        heard(talk, talk.ask("q"))
    assert heard(talk, talk.ask("r"))[-1] == ("answer", "b")
    assert talk.turns[0].interrupted


def test_a_refused_system_prompt_changes_nothing(voice):
    deaf = voice(["a"])
    deaf.remembers = False
    talk = Talk([deaf], Settings())
    heard(talk, talk.ask("q"))
    with pytest.raises(InputError, match="no system prompt"):
        talk.set_system("kind")
    assert (talk.settings.system, len(talk.history)) == (None, 1)
    talk.set_system("")
    assert talk.history == ()
