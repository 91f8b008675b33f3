"""A run that an earlier version finished, under the old names of recipe fields, is recognised and not done again."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tutelage.config import load
from tutelage.config.identity import identity, record, run_folder
from tutelage.evaluation.progress import SilentListener
from tutelage.job.run import run
from tutelage.results import document


class Lines(SilentListener):
    """Records every stage."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def stage(self, name: str, note: str = "") -> None:
        self.lines.append((name, note))


def test_a_run_under_old_names_is_finished_and_keeps_its_record(job: Path) -> None:
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    del recipe["watch"], recipe["retain"]
    recipe["tasks"][0]["split"] = {"test": 6, "validation": 0, "near": 1.0}
    recipe["tune"] |= {"clip": 0.5, "steps": 1}
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    old = load(job / "recipe.yaml")
    lines = Lines()
    out = job / "out"
    assert run(old, out=out, listener=lines).fresh
    notes = [note for stage, note in lines.lines if stage == "recipe"]
    assert len(notes) == 2
    assert "tune.clip is called max_grad_norm now" in "".join(notes)
    # What an earlier version wrote down: the old names.
    recorded = identity(old)
    assert recorded["tune"]["clip"] == 0.5
    (out / "recipe.yaml").write_text("# identities: 2\n" + yaml.safe_dump(recorded), "utf-8")
    results = json.loads((out / "results.json").read_text("utf-8"))
    document.write(out / "results.json", document.sealed({**results, "recipe": recorded}))
    text = (job / "recipe.yaml").read_text("utf-8").replace("clip:", "max_grad_norm:")
    (job / "recipe.yaml").write_text(text.replace("near:", "near_duplicate_threshold:"), "utf-8")
    new = load(job / "recipe.yaml")
    assert not new.notes
    assert run_folder(new).path == run_folder(old).path
    again = run(new, out=out)
    assert not again.fresh
    assert again.results["recipe"]["tune"]["clip"] == 0.5
    (out / "report.html").unlink()
    assert not run(new, out=out).fresh
    assert record(new, run_folder(new, out))["tune"]["clip"] == 0.5
