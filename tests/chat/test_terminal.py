from __future__ import annotations

import io
import json

import pytest

from tutelage.chat import ChatInput, ChatSession, ChatSettings, TerminalChat
from tutelage.chat.text import visible
from tutelage.core.errors import InputError


def test_through_a_pipe_every_line_is_a_question_and_only_answers_come_out(chat, responder):
    one = responder(["He", "llo"], ["Bye"])
    _, out = chat(["hi\n", "\n", "  so long \r\n"], one, max_new_tokens=9, temperature=0.5)
    assert one.how == {"max_new_tokens": 9, "temperature": 0.5}
    assert out == "Hello\nBye\n"
    assert one.prompts[1] == [("user", "hi"), ("assistant", "Hello"), ("user", "so long")]


def test_two_voices_answer_in_turn_and_each_keeps_its_own_history(chat, responder):
    tuned, base = responder(["12"], ["x"], label="tuned"), responder(["?"], ["y"], label="base")
    _, out = chat(["price?", "sure?"], tuned, base)
    assert out == "tuned> 12\nbase> ?\ntuned> x\nbase> y\n"
    assert tuned.prompts[1][1] == ("assistant", "12")
    assert base.prompts[1][1] == ("assistant", "?")


def test_reset_forgets_and_keeps_the_system_prompt(chat, responder):
    one = responder(["a"], ["b"])
    chat(["one", "/reset", "two"], one, system="be kind")
    assert one.prompts[1] == [("system", "be kind"), ("user", "two")]


def test_system_sets_changes_and_removes_the_system_prompt(chat, responder):
    one = responder(["a"], ["b"], ["c"])
    chat(["one", "/system be short", "two", "/system", "three"], one)
    assert [asked[0] for asked in one.prompts] == [("user", "one"), ("system", "be short"), ("user", "three")]


def test_exit_ends_before_the_lines_do(chat, responder):
    one = responder(["a"])
    _, out = chat(["one", "/exit", "two"], one)
    assert (out, len(one.prompts)) == ("a\n", 1)


def test_help_names_every_command(chat, responder):
    _, out = chat(["/help"], responder(), interactive=True)
    for name in ("/retry", "/reset", "/system", "/temperature", "/history", "/help", "/exit", "//", '"""'):
        assert name in out


def test_two_slashes_ask_what_begins_with_one(chat, responder):
    one = responder(["a"])
    chat(["//etc/hosts, what is it?"], one)
    assert one.prompts == [[("user", "/etc/hosts, what is it?")]]


def test_a_mistyped_command_never_goes_to_the_model(chat, responder):
    one = responder(["a"])
    with pytest.raises(InputError) as caught:
        chat(["one", "/rest"], one)
    assert (caught.value.where, caught.value.fix) == ("standard input:2", "did you mean /reset?")
    _, out = chat(["/rest", "one"], one := responder(["a"]), interactive=True)
    assert "did you mean /reset?" in out
    assert len(one.prompts) == 1


def test_ctrl_c_stops_the_answer_and_not_the_program(chat, responder):
    one = responder(["The price ", KeyboardInterrupt()], ["ok"])
    terminal, out = chat(["price?", "go on"], one, interactive=True)
    assert "(stopped)" in out
    assert one.prompts[1] == [("user", "price?"), ("assistant", "The price "), ("user", "go on")]
    assert [turn.interrupted for turn in terminal.session.turns] == [True, False]


def test_ctrl_c_before_the_first_word_forgets_the_question_and_spares_the_second_voice(chat, responder):
    first, second = responder([KeyboardInterrupt()], ["b"], label="tuned"), responder(["c"], label="base")
    chat(["one", "two"], first, second, interactive=True)
    assert first.prompts[1] == [("user", "two")]
    assert second.prompts == [[("user", "two")]]


def test_ctrl_c_in_a_pipe_ends_the_program(chat, responder):
    with pytest.raises(KeyboardInterrupt):
        chat(["one", "two"], responder(["a", KeyboardInterrupt()], ["b"]))


def test_what_no_longer_fits_is_forgotten_and_that_is_said(chat, responder):
    one = responder(["a b"], ["c d"], ["e"])
    one.context = 12
    terminal, out = chat(["1 2", "3 4", "5 6"], one, interactive=True, max_new_tokens=4)
    assert "the oldest 1 question and its answer are forgotten" in out
    assert one.prompts[2] == [("user", "3 4"), ("assistant", "c d"), ("user", "5 6")]
    assert [turn.dropped["answer"] for turn in terminal.session.turns] == [0, 0, 1]


def test_a_question_too_long_is_told_and_the_talk_goes_on(chat, responder):
    one = responder(["a"])
    one.context = 6
    _, out = chat(["1 2 3 4 5 6 7", "1"], one, interactive=True, max_new_tokens=2)
    assert "too long" in out
    assert len(one.prompts) == 1
    with pytest.raises(InputError, match="standard input:1"):
        chat(["1 2 3 4 5 6 7"], one, max_new_tokens=2)


def test_temperature_changes_the_draw_from_the_next_answer_on(chat, responder):
    one = responder(["a"], ["b"])
    terminal, out = chat(["one", "/temperature 0.7", "/temperature", "two"], one, interactive=True)
    assert out.count("(the temperature is 0.7)") == 2
    assert [turn.temperature for turn in terminal.session.turns] == [0.0, 0.7]
    assert one.how["temperature"] == 0.7


@pytest.mark.parametrize("wrong", ["hot", "-1", "nan", "inf", "1e-30", "5.1"])
def test_a_temperature_out_of_bounds_is_refused_and_nothing_changes(chat, responder, wrong):
    one = responder(["a"])
    _, out = chat([f"/temperature {wrong}", "one"], one, interactive=True, temperature=0.5)
    assert "expected:" in out
    assert one.how["temperature"] == 0.5


def test_retry_draws_the_last_answer_again_and_the_former_is_forgotten(chat, responder):
    one = responder(["a"], ["b"], ["c"], ["d"])
    terminal, _ = chat(["one", "two", "/retry", "three"], one, temperature=1.0)
    assert one.prompts[2] == [("user", "one"), ("assistant", "a"), ("user", "two")]
    assert one.prompts[3][2:4] == [("user", "two"), ("assistant", "c")]
    assert len(set(one.seeds)) == 4
    assert [turn.replaced for turn in terminal.session.turns] == [False, True, False, False]
    assert [turn.answers["answer"] for turn in terminal.session.history] == ["a", "c", "d"]


def test_history_shows_the_conversation_since_it_began_anew(chat, responder):
    one = responder(["a\x1b[2J"], ["b"], ["c"])
    _, out = chat(
        ["/history", "one", "/reset", "two", "/retry", "/history"], one, temperature=1, interactive=True
    )
    assert "(no question yet)" in out
    assert out.endswith("you> two\nanswer> c\n")
    assert "\x1b" not in out


HOSTILE = [
    "\x1b]0;new title\x07",
    "\x1b[2J\x1b[1;1H",
    "\x9b31m",
    "\x1bP+q\x1b\\",
    "a\rb",
    "\x08\x7f",
    "\u202eabc\u2066",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_terminal_obeys_comes_out_even_in_pieces(text, chat, responder):
    terminal, out = chat(["q"], responder(list(text)))
    assert all(char == "\n" or (char.isprintable() and char not in "\u202e\u2066") for char in out)
    assert "\x1b" not in out
    # The document has what the model wrote, and JSON escapes it.
    assert terminal.session.as_json()["turns"][0]["answers"]["answer"] == text


def test_what_is_typed_and_how_voices_are_named_comes_back_without_escapes_too(chat, responder):
    one, two = responder(["a"], label="x\x1b[2J"), responder(["b"], label="y\x9b31m")
    _, out = chat(["/rese\x1b]0;t\x07", "q\x1b[1m", "/history"], one, two, interactive=True)
    assert all(char == "\n" or char.isprintable() for char in out)


def test_ordinary_text_is_shown_as_it_is():
    text = "Grüße, 日本語 🙂\n\tzwei\r\nZeilen: ${x} <b>"
    assert visible(text) == text.replace("\r\n", "\n")


def test_the_document_holds_the_whole_talk_and_nothing_is_shown(chat, responder):
    one = responder(["a"], ["b"])
    terminal, out = chat(["one", "/system kind", "two"], one, show=False, seed=3)
    assert out == ""
    found = json.loads(json.dumps(terminal.session.as_json()))
    assert found["models"] == [{"label": "answer", "model": "model of answer"}]
    assert found["settings"] == {"max_new_tokens": 256, "temperature": 0.0, "seed": 3}
    assert [(t["system"], t["question"], t["answers"]["answer"]) for t in found["turns"]] == [
        (None, "one", "a"),
        ("kind", "two", "b"),
    ]


def test_each_question_is_drawn_with_a_seed_of_its_own_and_a_talk_can_be_repeated(chat, responder):
    first, again, other = (responder(["a"], ["b"]) for _ in range(3))
    chat(["q", "q"], first, seed=1)
    chat(["q", "q"], again, seed=1)
    chat(["q", "q"], other, seed=2)
    assert first.seeds == again.seeds
    assert len({*first.seeds, *other.seeds}) == 4


def test_a_model_that_reads_only_questions_refuses_a_system_prompt(chat, responder):
    one = responder(["a"])
    one.remembers = False
    with pytest.raises(InputError, match="no system prompt"):
        chat([], one, system="be kind")
    _, out = chat(["/system be kind", "one"], one, interactive=True)
    assert "no system prompt" in out
    assert one.prompts == [[("user", "one")]]


def test_an_output_that_cannot_show_a_letter_shows_a_sign_for_it(responder):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    TerminalChat(ChatSession([responder(["Grüße"])], ChatSettings()), out=out, interactive=False).run(
        [ChatInput(1, "q")]
    )
    assert raw.getvalue() == b"Gr??e\n"
