"""The recipe's JSON schema, for editors that complete and check YAML.

`python -m tutelage.config.json_schema` writes it again after the recipe's fields have changed.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from tutelage.config.schema import Recipe
from tutelage.core import files


def schema_text() -> str:
    """The schema of the recipe's fields as they are now."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(mode="validation"),
        "title": "A Tutelage recipe",
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def schema_file() -> Path:
    """Where the schema lies in the package."""
    return Path(str(resources.files("tutelage.config").joinpath("schema.json")))


if __name__ == "__main__":
    files.write_text(schema_file(), schema_text())
