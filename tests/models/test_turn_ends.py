"""A turn's end that the base's settings do not name is an end of every model that is saved."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.tokens import shapes

from tutelage.models import add_adapter, export, load, resolve
from tutelage.models.turn_ends import unstated_turn_end

ENDS_WITH_PADDING = shapes.NO_SYSTEM.replace("<|im_end|>", "<|endoftext|>")
ENDS_WITH_A_START = shapes.NO_SYSTEM.replace("<|im_end|>", "<|im_start|>")


def settings(folder, name="generation_config.json"):
    return json.loads((folder / name).read_text("utf-8"))


@pytest.mark.parametrize(("template", "added"), [(ENDS_WITH_A_START, 1), (ENDS_WITH_PADDING, 0)])
@pytest.mark.parametrize("kind", ["full", "adapter", "merged"])
def test_the_end_of_turns_is_added_to_the_saved_ends(tiny_model_folder, tmp_path, template, added, kind):
    base = resolve(str(tiny_model_folder))
    loaded = load(base, chat_template=template)
    before = loaded.model.generation_config.to_dict(), loaded.tokenizer.pad_token
    assert unstated_turn_end(loaded.tokenizer, loaded.ends, encoder_decoder=False) == added
    tuned = (
        loaded
        if kind == "full"
        else add_adapter(loaded, "lora", {"rank": 2, "alpha": 2, "dropout": 0.0}, seed=0)
    )
    export(tuned, tmp_path / "out", merge=kind == "merged", base=base)
    saved = settings(tmp_path / "out")
    assert saved["eos_token_id"] == [2, added]
    assert saved.get("pad_token_id") != added
    if kind != "adapter":
        assert settings(tmp_path / "out", "config.json")["eos_token_id"] == [2, added]
        assert added in load(resolve(str(tmp_path / "out"))).ends
    model = tuned.model.get_base_model() if kind != "full" else tuned.model
    assert (model.generation_config.to_dict(), tuned.tokenizer.pad_token) == before, (
        "the model in memory stays"
    )


def test_ends_that_are_stated_stay_as_they_are(tiny_model_folder, tiny_t5_folder, tmp_path):
    for folder in (tiny_model_folder, tiny_t5_folder):
        source = resolve(str(folder))
        loaded = load(source)
        assert (
            unstated_turn_end(loaded.tokenizer, loaded.ends, encoder_decoder=loaded.encoder_decoder) is None
        )
    base = resolve(str(tiny_model_folder))
    tuned = add_adapter(load(base), "lora", {"rank": 2, "alpha": 2, "dropout": 0.0}, seed=0)
    export(tuned, tmp_path / "out", merge=False, base=base)
    assert not (tmp_path / "out/generation_config.json").exists()


def test_an_unusable_template_adds_none(tiny_model_folder, tmp_path):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m['content'] }}{% endfor %}", "utf-8"
    )
    loaded = load(resolve(str(folder)))
    assert unstated_turn_end(loaded.tokenizer, loaded.ends, encoder_decoder=False) is None
