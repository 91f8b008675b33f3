from __future__ import annotations

import json
from typing import Annotated

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from tutelage.config import data_block, mixture_block, schema, task_block, tune_block
from tutelage.config.data_block import Data
from tutelage.config.schema import Recipe
from tutelage.config.split_block import Split
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Origin
from tutelage.core.validation import Block

BLOCKS = {
    thing: None
    for module in (schema, task_block, mixture_block, data_block, tune_block)
    for thing in vars(module).values()
    if isinstance(thing, type) and issubclass(thing, Block) and thing is not Block
}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_field_is_described_and_every_block_too(block: type[BaseModel]):
    assert block.__doc__
    for name, field in block.model_fields.items():
        assert field.description, name
        assert field.description.endswith((".", ")")), name
        assert field.examples, name


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_allowed(block: type[BaseModel]):
    for name, field in block.model_fields.items():
        for example in field.examples or ():
            value = TypeAdapter(Annotated[field.annotation, *field.metadata, name]).validate_json(
                json.dumps(example)
            )
            assert value != field.default, f"{name}: the example shows nothing"


@pytest.mark.parametrize("block", BLOCKS)
def test_no_block_can_be_changed_or_extended(block: type[BaseModel]):
    assert block.model_config["frozen"]
    assert block.model_config["extra"] == "forbid"


def test_only_what_cannot_be_guessed_has_to_be_said():
    needed = {f"{b.__name__}.{n}" for b in BLOCKS for n, f in b.model_fields.items() if f.is_required()}
    assert needed == {"Task.data", "Pool.data", "Watch.benchmark", "Recipe.tasks", "Replay.task"}


def test_a_made_recipe_does_not_change():
    recipe = Recipe(tasks=(Task(data=Data(path="x.jsonl")),))
    with pytest.raises(ValidationError, match="frozen"):
        recipe.model = "other"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"path": "a/b/rows.v2.jsonl"}, "rows.v2"),
        ({"hub": "who/what"}, "what"),
        ({"hub": "who/what@main"}, "what"),
    ],
)
def test_a_task_is_called_as_its_data(data, name):
    assert Task(data=Data(**data)).name == name


def test_a_tasks_template_is_its_own_the_librarys_or_detected():
    rows = [Example("1", {"question": "Why?", "answer": "So."}, Origin("f.csv", 2))]
    data = Data(path="f.csv")
    own = Task(
        data=data, prompt="Q: {{ question }}", completion="{{ answer }}", references="refs"
    ).template_for(rows, where="tasks.0")
    assert (own.prompt, own.name, own.references, own.where) == (
        "Q: {{ question }}",
        "own",
        "refs",
        "tasks.0",
    )
    assert Task(data=data, template="input-output").template_for(rows, where="tasks.0").name == "input-output"
    assert Task(data=data).template_for(rows, where="tasks.0").name == "question-answer"
    unclear = [Example("1", {"x": "Why?", "y": "So."}, Origin("f.csv", 2))]
    with pytest.raises(InputError, match="do not say which") as caught:
        Task(data=data).template_for(unclear, where="tasks.0")
    assert 'prompt: "{{ x }}"' in caught.value.fix


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        ({"stratify": "label", "date": "day"}, "rows are split in one way"),
        ({"stable": True, "test": 50}, "a stable split takes fractions of the rows"),
        ({"column": "split", "stratify": "label"}, "a column says the split, or shares do"),
    ],
)
def test_ways_to_split_that_exclude_each_other_are_refused(split, problem):
    with pytest.raises(ValidationError, match=problem):
        Split.model_validate(split)


@pytest.mark.parametrize("targets", ["all-linear", "attention", "mlp", "gate-up", ("q_proj", "v_proj")])
def test_layers_are_written_back_as_they_were_read(targets):
    told = schema.Tune.model_validate({"targets": targets})
    written = told.model_dump(mode="json")["targets"]
    assert written == (targets if isinstance(targets, str) else list(targets))
