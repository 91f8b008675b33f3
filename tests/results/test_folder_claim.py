"""Whose folder a run may write into."""

from __future__ import annotations

import pytest
import yaml

from tutelage.core.errors import InputError
from tutelage.results.folder_claim import check_claimable, claim
from tutelage.results.run_folder import RunFolder

RESOLVED = {"name": "x", "model": "m"}


def test_a_folder_that_a_run_was_begun_in_is_taken_again(tmp_path):
    folder = RunFolder(tmp_path / "run")
    check_claimable(folder, RESOLVED)
    with claim(folder, RESOLVED):
        check_claimable(folder, RESOLVED)
    (tmp_path / "run" / "notes.txt").write_text("of a person")
    check_claimable(folder, RESOLVED)
    with pytest.raises(InputError, match="another recipe's run"):
        check_claimable(folder, {**RESOLVED, "model": "n"})


@pytest.mark.parametrize("sign", [".lock", "results.sqlite", "tuned.json"])
def test_a_copy_of_a_runs_recipe_makes_no_run_of_a_persons_folder(tmp_path, sign):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RESOLVED))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("a week of training")
    with pytest.raises(InputError, match="is not empty and holds no run") as refused:
        check_claimable(RunFolder(tmp_path), RESOLVED)
    assert refused.value.found == "model, recipe.yaml"
    (tmp_path / sign).touch()  # as runs of any version have it
    check_claimable(RunFolder(tmp_path), RESOLVED)
