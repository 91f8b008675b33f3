"""A tuning's settings: limits, and the identity by which a finished tuning is recognised."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from tutelage.config.tune_block import MethodSettings, Tune
from tutelage.core.hashing import of_json
from tutelage.models import methods
from tutelage.tokens.packing import Packing
from tutelage.training.settings import LoopSettings, Objective, TrainingSettings

from .plain import changed

SETTINGS = LoopSettings(
    steps=9,
    learning_rate=5e-4,
    validate_every=50,
    max_grad_norm=0.3,
    packing=Packing(30, 20, 10),
    objective=Objective(kl_to_base=0.1),
)
# Of these settings when `max_grad_norm` was called `clip`: tuned.json of finished runs has this hash.
PINNED = "3c5057c7886c397ea5c29bf0c59bc2d7037a00cc50dbfcb3f954d2563f6602d7"


def test_an_identity_has_the_first_names_of_fields():
    assert of_json(SETTINGS.identity()) == PINNED
    assert changed(SETTINGS, checkpoint_every=7).identity() == SETTINGS.identity()
    assert changed(SETTINGS, max_grad_norm=0.4).identity()["clip"] == 0.4


def test_a_new_field_is_part_of_the_identity_only_when_it_is_not_at_its_default():
    class Later(LoopSettings):
        """Settings of a later version."""

        momentum: float = Field(0.5)

    later = Later(**dict(SETTINGS))
    assert later.identity() == SETTINGS.identity()
    assert changed(later, momentum=0.9).identity() == {**SETTINGS.identity(), "momentum": 0.9}


@pytest.mark.parametrize("method", list(methods.table()))
def test_the_identity_of_a_method_has_its_options(method, monkeypatch):
    tune = Tune(method=method)
    assert tune.method_identity() == {"name": method, **tune.options}
    first = [name for name in MethodSettings.model_fields if name != "rank"]
    monkeypatch.setattr("tutelage.core.validation.field_history.first_fields", lambda _: first)
    assert "rank" not in tune.method_identity(), (
        "as if rank had been added later: its default renames nothing"
    )
    if "rank" in tune.options:
        assert Tune(method=method, rank=3).method_identity()["rank"] == 3


@pytest.mark.parametrize(
    ("field", "value"), [("batch_size", 0), ("warmup", 1.5), ("schedule", "step"), ("steps", 0)]
)
def test_a_loop_has_the_limits_of_the_recipe(field, value):
    with pytest.raises(ValidationError, match=field):
        changed(SETTINGS, **{field: value})


def test_recipe_and_loop_share_each_setting_and_its_default():
    for name, field in {**TrainingSettings.model_fields, **Objective.model_fields}.items():
        assert Tune.model_fields[name].default == field.default
        assert Tune.model_fields[name].description == field.description
    assert LoopSettings.model_fields["micro_batch_tokens"].default == 1024
