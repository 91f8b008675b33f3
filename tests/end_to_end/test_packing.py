"""`tune.packing` in a whole job: what the card, the log and the page say, and what is refused before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tutelage.cli.main import main
from tutelage.results.store import Store


@pytest.fixture
def packed(job: Path) -> Path:
    """The job's recipe with packing, and nothing watched."""
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["tune"] |= {"packing": True, "max_length": 96}
    recipe = {key: value for key, value in recipe.items() if key not in {"watch", "retain"}}
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return job


def run(job: Path, *words: str) -> int:
    return main(["run", str(job / "recipe.yaml"), "--out", str(job / "out"), *words])


def test_the_card_the_log_and_the_page_say_how_full_packs_were(packed: Path) -> None:
    assert run(packed) == 0
    card = json.loads((packed / "out" / "data" / "card.json").read_text("utf-8"))
    training = card["training"]
    tokens = card["tasks"]["colours"]["tokens"]["train"]["tokens"]
    assert (training["steps"], training["rows_seen"], training["tokens_seen"]) == (12, 48, 4 * tokens)
    assert training["fill"] == pytest.approx(4 * tokens / (training["packs"] * 96), abs=1e-6)
    with Store.open(packed / "out" / "results.sqlite", read_only=True) as store:
        steps = store.steps()[1:]  # without step 0
    assert sum(step["packs"] for step in steps) == training["packs"]
    assert all(step["target_fill"] == step["tokens"] / (step["packs"] * 96) for step in steps)
    page = (packed / "out" / "report.html").read_text("utf-8")
    assert f"{100 * training['fill']:.0f} % in {training['packs']} packs" in page


def test_of_an_encoder_decoder_both_sides_are_told(packed: Path, tiny_t5_folder: Path) -> None:
    assert (
        run(
            packed, "--set", f"model={tiny_t5_folder}", "--set", "tune.method=full", "--set", "tune.rank=null"
        )
        == 0
    )
    training = json.loads((packed / "out" / "data" / "card.json").read_text("utf-8"))["training"]
    assert set(training["fill"]) == {"source", "target"}
    assert all(0.2 < share <= 1 for share in training["fill"].values())
    assert training["rows_seen"] == 48
    page = (packed / "out" / "report.html").read_text("utf-8")
    said = ", ".join(f"{100 * share:.0f} % {side}" for side, share in training["fill"].items())
    assert f"{said} in {training['packs']} packs" in page


def test_a_model_that_cannot_be_packed_is_refused_before_anything_is_written(
    packed: Path, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    folder = tmp_path / "tiny-bloom"
    config = BloomConfig(vocab_size=len(tokenizer), hidden_size=16, n_layer=2, n_head=2)
    BloomForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert run(packed, "--set", f"model={folder}") == 2
    told = capsys.readouterr().err
    assert "tune.packing" in told
    assert "bloom" in told
    assert not (packed / "out").exists()
