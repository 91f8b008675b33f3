"""Every output that a person can name, over everything that may stand there already."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tutelage.cli.main import main

ROWS = "".join(f'{{"prediction": "{n}", "references": ["{n % 3}"]}}\n' for n in range(9))
RECIPE = """\
model: model
tasks:
  - {name: t, data: {path: rows.csv}, prompt: "{{ question }}", completion: "{{ answer }}", metrics: [accuracy]}
"""
SPEC = """\
version: 1
name: prices
title: What it costs
data: {path: items.jsonl}
form: text
prompt: "{{ question }}"
join: " "
choices: options
answer: "{{ right }}"
metrics: [accuracy]
"""
EVALUATE = ("evaluate", "model", "--benchmark", "prices.yaml")

PAGES = {
    "score": (("score", "exact_match", "rows.jsonl", "--html"), "rows.jsonl"),
    "score --against": (
        ("score", "exact_match", "rows.jsonl", "--against", "other.jsonl", "--html"),
        "other.jsonl",
    ),
    "score texts": (
        ("score", "exact_match", "--predictions", "a.txt", "--references", "b.txt", "--html"),
        "b.txt",
    ),
    "inspect": (("inspect", "recipe.yaml", "--rows", "0", "--html"), "recipe.yaml"),
}
EXPORTS = {
    "export": (("export", "adapter", "--to"), "adapter"),
    "export --merge": (("export", "adapter", "--merge", "--to"), "model"),
    "export --interpolate": (("export", "adapter", "--interpolate", "0.5", "--to"), "model"),
    "export --add": (("export", "adapter", "--add", "adapter-2", "--weights", "1,1", "--to"), "adapter-2"),
    "export of a model": (("export", "model", "--to"), "model"),
    "export --format lm-eval": (("export", "evaluated", "--format", "lm-eval", "--to"), "evaluated"),
}
FOLDERS = {
    "run": (("run", "recipe.yaml", "--out"), "model"),
    "train": (("train", "recipe.yaml", "--out"), "model"),
    "evaluate": ((*EVALUATE, "--out"), "model"),
}
INIT = {"init": (("init", "rows.csv", "--out"), "rows.csv")}


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model_folder):
    """Inputs of every command: a model, two adapters of it, an evaluation, a recipe with rows, predictions."""
    import torch

    from tutelage.models import add_adapter, export, load, resolve

    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(tiny_model_folder, folder / "model")
    (folder / "rows.jsonl").write_text(ROWS)
    (folder / "other.jsonl").write_text(ROWS)
    (folder / "a.txt").write_text("1\n2\n3\n")
    (folder / "b.txt").write_text("1\n2\n4\n")
    (folder / "rows.csv").write_text("question,answer\n" + "".join(f"q{n},a{n}\n" for n in range(20)))
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "prices.yaml").write_text(SPEC)
    items = [{"question": f"The price of {n}?", "options": ["12", "17"], "right": "12"} for n in range(4)]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        source = resolve("model")
        for name in ("adapter", "adapter-2"):
            loaded = add_adapter(load(source), "lora", {"rank": 2, "alpha": 4, "dropout": 0.0}, seed=0)
            with torch.no_grad():
                for parameter in loaded.model.parameters():
                    parameter.add_(0.01 * parameter.requires_grad)
            export(loaded, folder / name, merge=False, base=source)
        assert main([*EVALUATE, "--out", "evaluated"]) == 0
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A copy of the inputs that a test may destroy, as the current folder."""
    copy = tmp_path / "place"
    shutil.copytree(made, copy)
    for name in ("adapter", "adapter-2"):
        for file in ("adapter_config.json", "base.json"):  # the adapters' base is the copy's
            path = copy / name / file
            path.write_text(path.read_text("utf-8").replace(str(made), str(copy)), "utf-8")
    monkeypatch.chdir(copy)
    return copy


def tree(folder):
    """Every entry below a folder: bytes of files, targets of links, None for folders and pipes; SQLite's locks left out."""
    return {
        p.relative_to(folder).as_posix(): str(p.readlink())
        if p.is_symlink()
        else p.read_bytes()
        if p.is_file()
        else None
        for p in folder.rglob("*")
        if not p.name.endswith(("-shm", "-wal"))
    }


def refused(words, place, capsys, *, where):
    """The command ends as for a wrong input, names the output and what to do, and nothing is another than before."""
    before = tree(place)
    assert main(list(words)) == 2
    error = capsys.readouterr().err
    assert f"{where}: " in error
    assert "fix:" in error
    assert tree(place) == before


def _file(place, _source):
    (place / "out").write_text("years of work")


def _page(place, _source):
    (place / "out").write_text("<!DOCTYPE html>\n<html><head><title>mine</title></head></html>\n")


def _link(place, source):
    (place / "out").symlink_to(source)


def _hard_link(place, source):
    os.link(place / source, place / "out")


def _pipe(place, _source):
    os.mkfifo(place / "out")


def _folder(place, _source):
    (place / "out" / "src").mkdir(parents=True)
    (place / "out" / "config.json").write_text('{"port": 8080}')
    (place / "out" / "thesis.txt").write_text("years of work")
    (place / "out" / "src" / "main.c").write_text("int main;")


def _model(place, _source):
    """A model that another program saved."""
    shutil.copytree(place / "model", place / "out")


def _run(place, _source):
    """A folder in which somebody keeps a copy of a run's recipe."""
    _folder(place, _source)
    (place / "out" / "recipe.yaml").write_text(RECIPE)


def _nowhere(place, _source):
    (place / "out").symlink_to("nowhere")


FILE_CASES = [_file, _page, _link, _hard_link, _pipe, _folder, _nowhere]
FOLDER_CASES = [_file, _link, _pipe, _folder, _model, _run]


@pytest.mark.parametrize("case", FILE_CASES)
@pytest.mark.parametrize("command", [*PAGES, *INIT])
def test_a_file_is_not_written_over(place, capsys, command, case):
    words, source = {**PAGES, **INIT}[command]
    case(place, source)
    refused([*words, "out"], place, capsys, where="out")


@pytest.mark.parametrize("command", [*PAGES, *INIT])
def test_an_input_is_not_written_over(place, capsys, command):
    words, source = {**PAGES, **INIT}[command]
    for name in (source, f"./{source}", place / source):
        refused([*words, str(name)], place, capsys, where=Path(name))


@pytest.mark.parametrize("command", PAGES)
def test_a_page_is_written_where_nothing_is_and_over_a_page(place, capsys, command):
    words, _ = PAGES[command]
    (place / "empty").touch()
    for name in ("out", "empty", "new/folder/out"):
        for _ in range(2):
            assert main([*words, name]) == 0
        assert (place / name).read_text("utf-8").startswith("<!DOCTYPE html>")
    with (place / "out").open("a") as file:
        file.write("<p>my notes</p>")
    capsys.readouterr()
    refused([*words, "out"], place, capsys, where="out")


@pytest.mark.parametrize("case", FOLDER_CASES)
@pytest.mark.parametrize("command", [*EXPORTS, *FOLDERS])
def test_a_folder_is_not_replaced(place, capsys, command, case):
    words, source = {**EXPORTS, **FOLDERS}[command]
    case(place, source)
    refused([*words, "out"], place, capsys, where="out")


@pytest.mark.parametrize("command", [*EXPORTS, *FOLDERS])
def test_an_input_folder_is_not_replaced(place, capsys, command):
    words, source = {**EXPORTS, **FOLDERS}[command]
    for name in (source, f"./{source}/", place / source, ".", ".."):
        refused([*words, str(name)], place, capsys, where=Path(name))


@pytest.mark.parametrize("command", EXPORTS)
def test_an_export_lies_outside_of_its_inputs(place, capsys, command):
    words, source = EXPORTS[command]
    for name in (f"{source}/new", f"{source}/x/y", f"{source}/../{source}/new"):
        refused([*words, name], place, capsys, where=name)


@pytest.mark.parametrize("command", EXPORTS)
def test_an_export_is_written_where_nothing_is_and_over_an_unchanged_export(place, capsys, command):
    words, _ = EXPORTS[command]
    (place / "empty").mkdir()
    for name in ("out", "empty"):
        assert main([*words, name]) == 0
    first = tree(place / "out")
    assert main([*words, "out"]) == 0
    assert set(tree(place / "out")) == set(first)
    (place / "out" / "thesis.txt").write_text("years of work")
    capsys.readouterr()
    refused([*words, "out"], place, capsys, where="out")


def test_an_export_by_a_version_without_markers_is_refused_with_a_fix(place, capsys):
    assert main(["export", "adapter", "--to", "out"]) == 0
    (place / "out" / "tutelage.json").unlink()
    capsys.readouterr()
    assert main(["export", "adapter", "--to", "out"]) == 2
    error = capsys.readouterr().err
    assert "wrote before it marked its outputs" in error
    assert "name another folder with --to, or remove this one yourself" in error
    shutil.rmtree(place / "out")
    assert main(["export", "adapter", "--to", "out"]) == 0


def test_scores_do_not_replace_a_model_nor_a_model_scores(place, capsys):
    assert main(["export", "adapter", "--to", "out"]) == 0
    assert main(["export", "evaluated", "--format", "lm-eval", "--to", "scores"]) == 0
    capsys.readouterr()
    refused(["export", "evaluated", "--format", "lm-eval", "--to", "out"], place, capsys, where="out")
    refused(["export", "adapter", "--to", "scores"], place, capsys, where="scores")


def test_an_evaluation_goes_on_in_its_own_folder_and_in_an_empty_one_only(place, capsys):
    assert main([*EVALUATE, "--out", "evaluated"]) == 0
    (place / "empty").mkdir()
    assert main([*EVALUATE, "--out", "empty", "--json"]) == 0
    capsys.readouterr()
    (place / "empty" / "identity").write_text("mine")
    refused([*EVALUATE, "--out", "empty"], place, capsys, where="empty")
    refused([*EVALUATE, "--limit", "2", "--out", "adapter"], place, capsys, where="adapter")


def test_the_fault_that_was_seen_removes_nothing(place, capsys):
    """A project with a settings file called config.json is no model."""
    (place / "project" / "src").mkdir(parents=True)
    (place / "project" / "config.json").write_text(json.dumps({"port": 8080}))
    (place / "project" / "thesis.txt").write_text("x")
    refused(["export", "adapter", "--to", "project"], place, capsys, where="project")
