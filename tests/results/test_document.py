from __future__ import annotations

import json

import pytest

from tutelage.core.errors import InputError, InputErrors
from tutelage.results import document

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "signature": "rouge1|v1"}
DIFFERENCE = {"value": 0.1, "low": 0.0, "high": 0.2, "n": 10, "p": 0.03, "p_adjusted": None}
OUTCOME = {
    "primary": "rouge1",
    "base": {"rouge1": SCORE},
    "tuned": {"rouge1": SCORE},
    "difference": {"rouge1": DIFFERENCE},
    "parts": {},
}
COMPARISON = {
    "tasks": {"bot": OUTCOME},
    "watched": {"probe": {**OUTCOME, "parts": {"arithmetic": OUTCOME}}},
    "verdict": {"learned": "yes", "forgot": "unclear", "sentence": "It learned."},
}


def built():
    made = document.build(recipe={"model": "m"}, provenance={"started": "now"}, comparison=COMPARISON)
    return json.loads(json.dumps(made))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "run" / "results.json"
    document.write(path, built())
    assert document.read(path) == built()
    assert list(built()) == ["schema", "recipe", "provenance", "tasks", "watched", "verdict"]
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("keys", "value", "says"),
    [
        (("tasks", "bot", "base", "rouge1", "value"), float("nan"), "tasks.bot.base.rouge1.value"),
        (("tasks", "bot", "base", "rouge1", "n"), None, "tasks.bot.base.rouge1.n"),
        (("tasks", "bot", "difference", "rouge1", "p"), "0.1", "tasks.bot.difference.rouge1.p"),
        (("tasks", "bot", "difference", "rouge1", "p_adjusted"), float("inf"), "rouge1.p_adjusted"),
        (("tasks", "bot", "primary"), "bleu", "a metric that stands in base"),
        (("watched", "probe", "parts", "arithmetic", "tuned"), 3, "watched.probe.parts.arithmetic.tuned"),
        (("watched", "probe"), [], "watched.probe"),
        (("verdict", "forgot"), "perhaps", "yes or no or unclear"),
        (("verdict", "sentence"), None, "verdict.sentence"),
        (("provenance",), None, "provenance"),
    ],
)
def test_a_wrong_part_is_refused_by_name_when_written(tmp_path, keys, value, says):
    wrong = built()
    place = wrong
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    with pytest.raises(InputErrors) as caught:
        document.write(tmp_path / "results.json", wrong)
    assert says in caught.value.block()
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_are_said_at_once():
    wrong = built()
    wrong["verdict"]["learned"] = "maybe"
    wrong["tasks"]["bot"]["tuned"]["rouge1"]["low"] = None
    with pytest.raises(InputErrors) as caught:
        document.check(wrong, where="here")
    assert len(caught.value.errors) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"schema": 1, "x": NaN}', "NaN is not JSON"),
        (b'{"schema": 1,\n"x": }', ":2"),
        (b'{"schema": 1,\n\n"x": "\xff"}', ":3"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"x": ' + b"1" * 5000 + b"}", "cannot be read"),
        (b'{"schema": 2}', "another schema"),
        (b'\n \n{"schema": 2}\n', "another schema"),
        (b'\n\n{"schema": 2,\n"x": }', ":4"),
        (b'{"schema": 1}\n\n{"schema": 1}', ":3"),
        (b"", "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, content, says):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        document.read(path)
    assert says in caught.value.block()
    assert str(path) in caught.value.block()


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="run the recipe again"):
        document.read(tmp_path / "results.json")


def test_the_file_is_strict_json_that_any_program_reads(tmp_path):
    document.write(tmp_path / "results.json", built())
    assert (
        json.loads((tmp_path / "results.json").read_text())["watched"]["probe"]["parts"]["arithmetic"][
            "primary"
        ]
        == "rouge1"
    )
