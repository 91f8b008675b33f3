"""The schemas of the documents: every type in them exists, and every rule across keys is applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tutelage.core import yamltext
from tutelage.core.errors import InputErrors
from tutelage.results import schemas

SCHEMAS: dict[str, dict[str, Any]] = yamltext.table("tutelage.results", "schemas.yaml")
COUNTS = {"rows": 0, "tokens": 0, "loss_tokens": 0}
TASK = {**COUNTS, "styles": {}, "templates": {}}
REPLAY = {"from": "t", "token_share": 0.5, "row_share": 0.5}


def type_names(expected: Any) -> Iterator[str]:
    match expected:
        case str():
            yield expected
        case [item]:
            yield from type_names(item)
        case {"each": item, **rest} if not rest:
            yield from type_names(item)
        case _:
            raise AssertionError(f"no type: {expected}")


def test_every_type_in_the_table_exists():
    used = {name for keys in SCHEMAS.values() for expected in keys.values() for name in type_names(expected)}
    assert used <= {*schemas._SCALARS, *SCHEMAS}
    assert set(schemas._RULES) <= set(SCHEMAS)


def mistakes(schema: str, document: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    with pytest.raises(InputErrors) as refused:
        schemas.check(schema, document, where="file", fix="bring back a copy")
    return [
        (error.where.removeprefix("file: "), error.found, error.expected) for error in refused.value.errors
    ]


@pytest.mark.parametrize(
    ("document", "where", "found", "expected"),
    [
        ({"training": {"rows_seen": -1}}, "training.rows_seen", "-1", "a whole number of 0 or more"),
        ({"training": {"rows_seen": True}}, "training.rows_seen", "true", "a whole number of 0 or more"),
        ({"training": {"fill": {"source": "x"}, "packs": 1}}, "training.fill", '{"source": "x"}', "a number, or numbers by name"),
        ({"training": {"fill": 0.5}}, "training.packs", "nothing", "a whole number beside fill"),
        ({"training": {"tasks": {"t": TASK}}}, "training.tasks", '{"t": {"rows": 0', "at least one row"),
        ({"mixture": {"replay": {**REPLAY, "from": 1}}}, "mixture.replay.from", "1", "a text"),
        ({"tasks": {"t": {"tokens": {"train": {"tokens": 5}}}}}, "tasks.t.tokens.train.loss_tokens", "nothing", "a whole number beside tokens"),
        ({"tasks": {"t": {"tokens": {"train": {"prompt": {"min": 1}}}}}}, "tasks.t.tokens.train.prompt.median", "nothing", "a value"),
        ({"tasks": {"t": {"leaks": {"exact": [{"test": 1}]}}}}, "tasks.t.leaks.exact.0.train", "nothing", "a value"),
        ({"tasks": []}, "tasks", "[]", "an object"),
        ({"tasks": {"t": {"dropped": {}}}}, "tasks.t.dropped", "{}", "a list"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_named(document, where, found, expected):
    first = mistakes("card", document)[0]
    assert (first[0], first[2]) == (where, expected)
    assert (first[1] or "").startswith(found)


def test_what_was_replayed_was_trained_on():
    trained = {**TASK, "rows": 1}
    card = {"training": {"tasks": {"u": trained}}, "mixture": {"replay": REPLAY}}
    assert [where for where, _, _ in mistakes("card", card)] == ["mixture.replay.from", "training.tasks"]
    card["training"]["tasks"] = {"t": {**trained, "tokens": 1}}
    schemas.check("card", card, where="file", fix="none")


def test_keys_of_older_and_newer_versions_pass():
    schemas.check("card", {"tasks": None, "a later key": 1}, where="file", fix="none")
    schemas.check("tuned", {"identity": "x"}, where="file", fix="none")
