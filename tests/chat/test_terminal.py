from __future__ import annotations

import io
import json

import pytest

from tutelage.chat import Settings, Terminal, piped, typed, visible
from tutelage.core.errors import InputError


class FakeVoice:
    """Answers from a list, piece by piece, and remembers what it was asked."""

    remembers = True
    context = None

    def __init__(self, *answers, label="answer"):
        self.label = label
        self.model = f"model of {label}"
        self.asked = []
        self.seeds = []
        self._answers = iter(answers)

    def count(self, messages):
        return sum(len(message["content"].split()) for message in messages)

    def stream(self, messages, *, seed, **how):
        self.asked.append([(m["role"], m["content"]) for m in messages])
        self.seeds.append(seed)
        self.how = how
        for piece in next(self._answers):
            if piece is KeyboardInterrupt:
                raise KeyboardInterrupt
            yield piece


def talk(lines, *voices, interactive=False, show=True, **settings):
    out = io.StringIO()
    terminal = Terminal(voices, Settings(**settings), out=out, interactive=interactive, show=show)
    terminal.run(iter(lines))
    return terminal, out.getvalue()


def test_through_a_pipe_every_line_is_a_question_and_only_answers_come_out():
    voice = FakeVoice(["He", "llo"], ["Bye"])
    _, out = talk(["hi\n", "\n", "  so long \r\n"], voice, max_new_tokens=9, temperature=0.5)
    assert voice.how == {"max_new_tokens": 9, "temperature": 0.5}
    assert out == "Hello\nBye\n"
    assert voice.asked[1] == [("user", "hi"), ("assistant", "Hello"), ("user", "so long")]


def test_two_voices_answer_in_turn_and_each_keeps_its_own_history():
    tuned, base = FakeVoice(["12"], ["x"], label="tuned"), FakeVoice(["?"], ["y"], label="base")
    _, out = talk(["price?", "sure?"], tuned, base)
    assert out == "tuned> 12\nbase> ?\ntuned> x\nbase> y\n"
    assert tuned.asked[1][1] == ("assistant", "12")
    assert base.asked[1][1] == ("assistant", "?")


def test_reset_forgets_and_keeps_the_system_prompt():
    voice = FakeVoice(["a"], ["b"])
    talk(["one", "/reset", "two"], voice, system="be kind")
    assert voice.asked[1] == [("system", "be kind"), ("user", "two")]


def test_system_sets_changes_and_removes_the_system_prompt():
    voice = FakeVoice(["a"], ["b"], ["c"])
    talk(["one", "/system be short", "two", "/system", "three"], voice)
    assert [asked[0] for asked in voice.asked] == [("user", "one"), ("system", "be short"), ("user", "three")]


def test_exit_ends_before_the_lines_do():
    voice = FakeVoice(["a"])
    _, out = talk(["one", "/exit", "two"], voice)
    assert (out, len(voice.asked)) == ("a\n", 1)


def test_help_names_every_command():
    _, out = talk(["/help"], FakeVoice(), interactive=True)
    assert all(name in out for name in ("/reset", "/system", "/help", "/exit", "//"))


def test_two_slashes_ask_what_begins_with_one():
    voice = FakeVoice(["a"])
    talk(["//etc/hosts, what is it?"], voice)
    assert voice.asked == [[("user", "/etc/hosts, what is it?")]]


def test_a_mistyped_command_never_goes_to_the_model():
    voice = FakeVoice(["a"])
    with pytest.raises(InputError) as caught:
        talk(["one", "/rest"], voice)
    assert (caught.value.where, caught.value.fix) == ("standard input:2", "did you mean /reset?")
    _, out = talk(["/rest", "one"], voice := FakeVoice(["a"]), interactive=True)
    assert "did you mean /reset?" in out
    assert len(voice.asked) == 1


def test_ctrl_c_stops_the_answer_and_not_the_program():
    voice = FakeVoice(["The price ", KeyboardInterrupt], ["ok"])
    terminal, out = talk(["price?", "go on"], voice, interactive=True)
    assert "(stopped)" in out
    assert voice.asked[1] == [("user", "price?"), ("assistant", "The price "), ("user", "go on")]
    assert [turn.interrupted for turn in terminal.turns] == [True, False]


def test_ctrl_c_before_the_first_word_forgets_the_question_and_spares_the_second_voice():
    first, second = FakeVoice([KeyboardInterrupt], ["b"], label="tuned"), FakeVoice(["c"], label="base")
    talk(["one", "two"], first, second, interactive=True)
    assert first.asked[1] == [("user", "two")]
    assert second.asked == [[("user", "two")]]


def test_ctrl_c_in_a_pipe_ends_the_program():
    with pytest.raises(KeyboardInterrupt):
        talk(["one", "two"], FakeVoice(["a", KeyboardInterrupt], ["b"]))


def test_what_no_longer_fits_is_forgotten_and_that_is_said():
    voice = FakeVoice(["a b"], ["c d"], ["e"])
    voice.context = 12
    terminal, out = talk(["1 2", "3 4", "5 6"], voice, interactive=True, max_new_tokens=4)
    assert "the oldest 1 question and its answer are forgotten" in out
    assert voice.asked[2] == [("user", "3 4"), ("assistant", "c d"), ("user", "5 6")]
    assert [turn.dropped["answer"] for turn in terminal.turns] == [0, 0, 1]


def test_a_question_too_long_is_told_and_the_talk_goes_on():
    voice = FakeVoice(["a"])
    voice.context = 6
    _, out = talk(["1 2 3 4 5 6 7", "1"], voice, interactive=True, max_new_tokens=2)
    assert "too long" in out
    assert len(voice.asked) == 1
    with pytest.raises(InputError, match="standard input:1"):
        talk(["1 2 3 4 5 6 7"], voice, max_new_tokens=2)


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
def test_nothing_that_a_terminal_obeys_comes_out_even_in_pieces(text):
    terminal, out = talk(["q"], FakeVoice(list(text)))
    assert all(char == "\n" or (char.isprintable() and char not in "\u202e\u2066") for char in out)
    assert "\x1b" not in out
    # The document has what the model wrote, and JSON escapes it.
    assert terminal.as_json()["turns"][0]["answers"]["answer"] == text


def test_ordinary_text_is_shown_as_it_is():
    text = "Grüße, 日本語 🙂\n\tzwei\r\nZeilen: ${x} <b>"
    assert visible(text) == text.replace("\r\n", "\n")


def test_the_document_holds_the_whole_talk_and_nothing_is_shown():
    voice = FakeVoice(["a"], ["b"])
    terminal, out = talk(["one", "/system kind", "two"], voice, show=False, seed=3)
    assert out == ""
    found = json.loads(json.dumps(terminal.as_json()))
    assert found["models"] == [{"label": "answer", "model": "model of answer"}]
    assert found["settings"] == {"max_new_tokens": 256, "temperature": 0.0, "seed": 3}
    assert [(t["system"], t["question"], t["answers"]["answer"]) for t in found["turns"]] == [
        (None, "one", "a"),
        ("kind", "two", "b"),
    ]


def test_each_question_is_drawn_with_a_seed_of_its_own_and_a_talk_can_be_repeated():
    first, again, other = (FakeVoice(["a"], ["b"]) for _ in range(3))
    talk(["q", "q"], first, seed=1)
    talk(["q", "q"], again, seed=1)
    talk(["q", "q"], other, seed=2)
    assert first.seeds == again.seeds
    assert len({*first.seeds, *other.seeds}) == 4


def test_a_model_that_reads_only_questions_refuses_a_system_prompt():
    voice = FakeVoice(["a"])
    voice.remembers = False
    with pytest.raises(InputError, match="no system prompt"):
        talk([], voice, system="be kind")
    _, out = talk(["/system be kind", "one"], voice, interactive=True)
    assert "no system prompt" in out
    assert voice.asked == [[("user", "one")]]


def test_typed_lines_end_with_ctrl_d_and_one_ctrl_c_only_forgets_the_line():
    keys = iter(["one", KeyboardInterrupt, "two", EOFError])
    told = []

    def ask(prompt):
        assert prompt == "you> "
        key = next(keys)
        if isinstance(key, type):
            raise key
        return key

    assert list(typed(ask, told.append)) == ["one", "two"]
    assert "Ctrl-D" in told[0]


def test_ctrl_c_twice_at_the_prompt_ends_the_program():
    def ask(_prompt):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(typed(ask, lambda _line: None))


def test_bytes_that_are_no_text_are_named_with_their_line():
    with pytest.raises(InputError) as caught:
        list(piped(io.BytesIO(b"good\nb\xffd\n")))
    assert (caught.value.where, caught.value.found) == ("standard input:2", "byte 0xff at position 2")


def test_an_output_that_cannot_show_a_letter_shows_a_sign_for_it():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Terminal([FakeVoice(["Grüße"])], Settings(), out=out, interactive=False).run(iter(["q"]))
    assert raw.getvalue() == b"Gr??e\n"
