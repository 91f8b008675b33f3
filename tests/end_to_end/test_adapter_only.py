"""A run keeps its adapter alone: what it takes, what reads it, and the merged copy that is made where it is asked for."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from tutelage import config as recipes
from tutelage.cli.main import main
from tutelage.core.errors import InputError
from tutelage.job.run import run
from tutelage.models import load, resolve

TEXTS = ("What is the colour of plan 3?", "Plan 5 is")


def log_probabilities(name: str | Path) -> torch.Tensor:
    loaded = load(resolve(str(name)))
    ids = [loaded.tokenizer(text, add_special_tokens=False)["input_ids"][:8] for text in TEXTS]
    with torch.no_grad():
        return torch.stack([loaded.model(torch.tensor([row])).logits[0, -1].log_softmax(-1) for row in ids])


def test_a_run_keeps_its_adapter_and_merges_where_it_is_asked(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = job / "out"
    words = ["run", str(job / "recipe.yaml"), "--out", str(out)]
    assert main(words) == 0
    assert [path.name for path in sorted(out.rglob("*.safetensors"))] == ["adapter_model.safetensors"]
    results = json.loads((out / "results.json").read_text("utf-8"))
    space: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a name that transformers is about to drop
        exec("\n".join(results["provenance"]["load"]), space)  # noqa: S102 - the lines that a person would paste
    assert space["model"] is not None

    # The recipe of a finished run may ask for the copy later: nothing is tuned or asked again.
    before = (out / "results.json").read_bytes()
    capsys.readouterr()
    assert main([*words, "--set", "keep_merged=true"]) == 0
    said = capsys.readouterr().err
    assert "merge" in said
    assert "tune" not in said
    assert (out / "results.json").read_bytes() == before
    assert (out / "merged" / "model.safetensors").is_file()
    assert main(["export", str(out), "--to", str(job / "adapter")]) == 0
    assert main(["export", str(out), "--to", str(job / "whole"), "--merge"]) == 0
    assert not list((job / "adapter").rglob("model.safetensors"))

    apart = log_probabilities(out)
    assert not torch.equal(apart, log_probabilities(resolve(str(out)).base.folder))  # type: ignore[union-attr]
    assert torch.equal(log_probabilities(job / "adapter"), apart)
    for merged in (out / "merged", job / "whole"):
        torch.testing.assert_close(log_probabilities(merged), apart, rtol=0, atol=1e-5)

    # An unchanged copy stays; a changed one is refused.
    written = (out / "merged.json").stat().st_mtime_ns
    assert main([*words, "--set", "keep_merged=true"]) == 0
    assert (out / "merged.json").stat().st_mtime_ns == written
    (out / "merged" / "config.json").write_text("{}", "utf-8")
    assert main([*words, "--set", "keep_merged=true"]) == 2
    assert "the same command merges it again" in capsys.readouterr().err

    # A folder of that name which no run wrote stays as it is.
    (out / "merged.json").unlink()
    shutil.rmtree(out / "merged")
    (out / "merged").mkdir()
    (out / "merged" / "thesis.txt").write_text("years of work", "utf-8")
    assert main([*words, "--set", "keep_merged=true"]) == 2
    assert [path.name for path in (out / "merged").iterdir()] == ["thesis.txt"]


def test_a_run_with_a_merged_model_as_older_versions_left_it_is_read(job: Path) -> None:
    from tutelage.core import manifest
    from tutelage.models import export
    from tutelage.results import tuned_record

    out = run(recipes.load(job / "recipe.yaml"), out=job / "out").folder
    apart, source = log_probabilities(out), resolve(str(out))
    record = tuned_record.read(out)
    assert source.base is not None
    assert record is not None
    export(load(source), job / "merged", merge=True, base=source.base, of_run=True)
    shutil.rmtree(out / "model")
    (job / "merged").rename(out / "model")
    (out / "results.json").unlink()  # it names the adapter's files; that of such a run names the merged ones
    tuned_record.write(out, {**record, "files": manifest.of_folder(out / "model")})

    torch.testing.assert_close(log_probabilities(out), apart, rtol=0, atol=1e-5)
    assert resolve(str(out)).base is None
    assert main(["export", str(out), "--to", str(job / "adapter")]) == 0
    assert torch.equal(log_probabilities(job / "adapter"), apart)
    again = run(recipes.load(job / "recipe.yaml"), out=out)
    assert again.results["provenance"]["load"][0].startswith("from transformers import AutoModelFor")


@pytest.mark.parametrize("method", ["full", "prompt-tuning"])
def test_a_method_that_has_no_merged_copy_is_refused_one(job: Path, method: str) -> None:
    sets = ["keep_merged=true", f"tune.method={method}", "tune.rank=null"]
    with pytest.raises(InputError, match="has no merged copy"):
        recipes.load(job / "recipe.yaml", sets=sets)
    recipes.load(job / "recipe.yaml", sets=[*sets[1:], "keep_merged=false"])
