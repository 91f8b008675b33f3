"""`generation_kwargs` of lm-eval's tasks: greedy ones, and all others refused by name."""

from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.harness.generation import GenerationSettings, read_settings


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, GenerationSettings(256, ())),
        ({"until": "\n"}, GenerationSettings(256, ("\n",))),
        (
            {"until": ["a", "b"], "max_gen_toks": 7, "do_sample": False, "temperature": 0.0},
            GenerationSettings(7, ("a", "b")),
        ),
        ({"max_tokens": 3, "temperature": 0, "num_beams": 1, "top_p": 0.9}, GenerationSettings(3, ())),
        (
            {"max_new_tokens": 3, "max_gen_toks": 4, "do_sample": False, "temperature": 1},
            GenerationSettings(4, ()),
        ),
    ],
)
def test_greedy_settings(values, expected):
    assert read_settings(values, where="task") == expected


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"do_sample": True}, "do_sample"),
        ({"temperature": 0.7}, "temperature"),
        ({"num_beams": 4}, "num_beams"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"max_gen_toks": 0}, "max_gen_toks"),
        ({"max_gen_toks": "many"}, "max_gen_toks"),
        ({"until": [""]}, "until"),
        ({"until": 3}, "until"),
        ({"max_length": 100}, "max_length"),
    ],
)
def test_others_are_refused_by_name(values, name):
    with pytest.raises(InputError) as raised:
        read_settings(values, where="gsm8k")
    assert raised.value.where == f"gsm8k: generation_kwargs.{name}"


def test_all_mistakes_at_once():
    with pytest.raises(InputError) as raised:
        read_settings({"do_sample": True, "num_beams": 2, "until": 3}, where="task")
    assert len(raised.value.errors) == 3
