"""docs/data.md: every file that it shows is read as it says, and every error is the one that comes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tutelage.config import load as load_recipe
from tutelage.core.errors import InputError
from tutelage.data import LAYOUTS, DataSource, load
from tutelage.data.formats import EXTENSIONS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
FENCES = re.findall(r"^```(\w+) ?(.*?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
FILES = {
    said["file"]: (said, body)
    for _, info, body in FENCES
    if (said := dict(re.findall(r"(\w+)=?(\S*)", info))).get("file")
}


@pytest.mark.parametrize("name", [name for name, (said, _) in FILES.items() if "layout" in said])
def test_a_file_is_read_as_the_page_says(tmp_path, name):
    said, body = FILES[name]
    (tmp_path / name).write_text(body)
    asked = said["layout"] if "asked" in said else None
    loaded = load(DataSource(path=name, layout=asked), root=tmp_path)
    assert loaded.source["layout"] == said["layout"]
    assert len(loaded.examples) == int(said["rows"])


def test_the_error_is_the_one_that_comes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = [(info.removeprefix("error="), body) for _, info, body in FENCES if info.startswith("error=")]
    assert shown
    for name, body in shown:
        Path(name).write_text(FILES[name][1])
        with pytest.raises(InputError) as caught:
            load(DataSource(path=name), root=Path())
        assert caught.value.block() + "\n" == body


def test_the_recipe_at_the_top_is_one(tmp_path):
    body = next(body for language, _, body in FENCES if language == "yaml")
    tasks = yaml.safe_load(body)["tasks"]
    for number, task in enumerate(tasks):
        task["name"] = f"t{number}"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
    assert len(load_recipe(tmp_path / "recipe.yaml").tasks) == len(tasks)


def test_every_ending_and_layout_is_told():
    for name in EXTENSIONS:
        assert f"`{name}`" in PAGE, name
    for name in LAYOUTS:
        assert f"**{name}**" in PAGE or f"`{name}`" in PAGE, name
    assert len(PAGE.splitlines()) <= 150
