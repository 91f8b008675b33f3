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
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_bundled_recipes_fit_it(path):
    jsonschema.validate(yaml.safe_load(path.read_text("utf-8")), json.loads(schema_text()))


@pytest.mark.parametrize(
    "wrong",
    [{"tasks": []}, {"tasks": [{"data": {}}], "tun": {}}, {"tasks": [{"data": {}, "split": {"train": 1.5}}]}],
)
def test_mistakes_do_not_fit_it(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json.loads(schema_text()))
