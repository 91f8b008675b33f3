from __future__ import annotations

import json

import pytest
import yaml

from tutelage.core.types import Response

SPEC = {
    "version": 1,
    "name": "shop",
    "title": "Questions about a shop",
    "items": "items.jsonl",
    "metrics": ["accuracy"],
    "parts": {
        "colours": {"title": "Colours", "kind": "choose", "answer": "It is {{ choice }}."},
        "numbers": {
            "title": "Numbers",
            "kind": "generate",
            "max_new_tokens": 8,
            "extraction": "last-number",
            "stop": ["\n"],
        },
    },
}
ROWS = [
    {"id": "c1", "part": "colours", "input": "Grass?", "choices": ["red", "green"], "answer": "green"},
    {"id": "n1", "part": "numbers", "input": "2 + 2?", "references": ["4", "4.0"]},
    {"id": "c2", "part": "colours", "input": "Snow?", "choices": ["white", "black"], "answer": "white"},
    {"id": "n2", "part": "numbers", "input": "An even digit?", "references": ["2"], "pattern": "[02468]"},
    {"id": "n3", "part": "numbers", "input": "10 * 100?", "references": ["1000"]},
]


@pytest.fixture
def spec():
    """A small spec as plain values, to be changed at will."""
    return json.loads(json.dumps(SPEC))


@pytest.fixture
def rows():
    """Five items that fit the spec."""
    return json.loads(json.dumps(ROWS))


@pytest.fixture
def write(tmp_path):
    """Write a benchmark's folder from a spec (values or text) and rows (objects or text); its path."""

    def make(spec, rows=ROWS, *, folder="bench", development=None):
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        text = spec if isinstance(spec, str) else yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)
        (place / "spec.yaml").write_text(text, encoding="utf-8")
        for name, content in {"items.jsonl": rows, "development.jsonl": development}.items():
            if content is not None:
                lines = (
                    content if isinstance(content, str) else "".join(json.dumps(r) + "\n" for r in content)
                )
                (place / name).write_text(lines, encoding="utf-8")
        return place

    return make


@pytest.fixture
def mistakes():
    """A refusal's mistakes as (where without its folder, problem), in the order in which they are told."""

    def told(error):
        return [
            (str(one.where).rpartition("/")[2], one.problem) for one in getattr(error, "errors", (error,))
        ]

    return told


@pytest.fixture
def chose():
    """A response to a choice, with these log-probabilities."""

    def make(id_, *logprobs):
        best = max(range(len(logprobs)), key=logprobs.__getitem__) if logprobs else None
        return Response(id_, "", "choice", 0, choice=best, logprobs=logprobs)

    return make


@pytest.fixture
def said():
    """A response of generated text."""

    def make(id_, text, finish="stop"):
        return Response(id_, text, finish, len(text))

    return make
