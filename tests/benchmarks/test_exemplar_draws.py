"""Exemplars that are drawn for each question, in a spec of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.benchmarks import load
from tutelage.benchmarks.exemplar_draws import harness_draws
from tutelage.core.errors import InputError

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "title": "Prices",
    "citation": "ours",
    "licence": "CC0-1.0",
    "data": {"path": "rows.jsonl"},
    "kind": "generate",
    "prompt": "What is {{ thing }}?",
    "join": " ",
    "answer": "{{ price }}",
    "max_new_tokens": 8,
    "shots": {"path": "examples.jsonl", "count": 2, "draw": "lm-eval"},
}
ROWS = [{"thing": f"thing {number}", "price": f"{number} crowns"} for number in range(4)]
EXAMPLES = [{"thing": f"example {number}", "price": f"{number} cents"} for number in range(30)]


def write(folder: Path, **fields: Any) -> str:
    (folder / "spec.yaml").write_text(yaml.safe_dump({**SPEC, **fields}), "utf-8")
    for name, rows in (("rows", ROWS), ("examples", EXAMPLES)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(folder / "spec.yaml")


def test_each_question_has_the_exemplars_that_are_drawn_for_it(tmp_path: Path):
    items = load(write(tmp_path)).items
    draws = harness_draws(len(EXAMPLES), 2, range(4))
    assert [item.exemplars for item in items] == [
        tuple(f"What is example {index}? {index} cents" for index in draws[number]) for number in range(4)
    ]
    assert len({item.exemplars for item in items}) == 4


def test_drawn_exemplars_can_be_turns(tmp_path: Path):
    shots = {**SPEC["shots"], "turns": True}
    items = load(write(tmp_path, shots=shots, before="Prices.\n")).items
    first, _ = harness_draws(len(EXAMPLES), 2, {3})[3]
    assert items[3].exemplar_turns[:2] == (
        ("user", f"Prices.\nWhat is example {first}?"),
        ("assistant", f"{first} cents"),
    )
    assert items[3].prompt == "What is thing 3?"


@pytest.mark.parametrize(
    ("shots", "problem", "expected"),
    [
        ({"path": "examples.jsonl", "draw": "lm-eval"}, "no count", "path or hub, and count"),
        ({"text": "examples.txt", "count": 2, "draw": "lm-eval"}, "text", "path or hub, and count"),
        ({"path": "x.jsonl", "hub": {"name": "a/b"}}, "path and hub", "one of path, hub, text"),
        ({"count": 2}, "neither", "one of path, hub, text"),
        ({"hub": {"name": "a/b"}, "split": "x"}, "shots", "remove it"),
        ({"path": "x.jsonl", "draw": "second"}, "draw", "lm-eval"),
    ],
)
def test_shots_that_contradict_themselves_are_mistakes(
    tmp_path: Path, shots: dict[str, Any], problem: str, expected: str
):
    with pytest.raises(InputError) as error:
        load(write(tmp_path, shots=shots))
    assert problem in str(error.value)
    assert expected in str(error.value)


def test_nothing_is_drawn_for_no_question():
    assert harness_draws(5, 2, ()) == {}


def test_exemplars_of_the_hub_that_are_not_here_are_named_with_the_command_that_fetches_them(tmp_path: Path):
    with pytest.raises(InputError, match=r"no copy of some-body/no-such-set") as error:
        load(write(tmp_path, shots={"hub": {"name": "some-body/no-such-set"}, "count": 1}))
    assert f"tutelage benchmarks fetch {tmp_path}" in str(error.value)
