from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tutelage.config.reference import schema_file, schema_text

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def test_the_committed_schema_is_current():
    assert schema_file().read_text("utf-8") == schema_text(), (
        "run python -m tutelage.config.reference docs/recipe-reference.md"
    )


def test_it_is_a_schema():
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)  # raises where it is none
    assert schema["type"] == "object"
    assert "tasks" in schema["properties"]


def test_there_are_bundled_recipes():
    assert len(RECIPES) > 3


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_bundled_recipes_fit_it(path):
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert list(validator.iter_errors(yaml.safe_load(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "wrong",
    [{"tasks": []}, {"tasks": [{"data": {}}], "tun": {}}, {"tasks": [{"data": {}, "split": {"train": 1.5}}]}],
)
def test_mistakes_do_not_fit_it(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json.loads(schema_text()))
