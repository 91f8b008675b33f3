"""Prepares a recipe's rows for one model: encoded, mixed, and described in the data card. No output is written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tutelage.config.schema import Recipe
from tutelage.config.tune_block import Tune
from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.serialization import ENCODED
from tutelage.core.spill import spill_rows
from tutelage.core.types import Encoded
from tutelage.core.validation import field_history
from tutelage.models import LoadedModel, LoadedTokenizer
from tutelage.prepare import card
from tutelage.prepare.encoding import RANK_CLASSIFICATION, EncodedTask, TaskQuestions, encode_rows
from tutelage.prepare.recipe_mixture import TaskMixture, mix_tasks
from tutelage.prepare.task_rows import RecipeRows
from tutelage.prepare.tasks import task_cluster
from tutelage.tokens.encoder import Encoder, Truncation
from tutelage.tokens.rendering import clock_of

EXAMPLES = 12  # training rows that the card shows with their tokens


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recipe's rows encoded for one model: what tuning and evaluation read.

    Attributes:
        tasks: the rows of each task.
        validation: the validation rows of all tasks.
        mixture: the order of training rows, and the share of each task.
        card: the data card.
        identity: by name all that decides which tokens are learned in which order.
    """

    tasks: tuple[EncodedTask, ...]
    validation: Sequence[Encoded]
    mixture: TaskMixture
    card: Mapping[str, Any]
    identity: Mapping[str, Any]

    @property
    def questions(self) -> tuple[TaskQuestions, ...]:
        """What is asked of the tasks that have test rows."""
        return tuple(questions for task in self.tasks if task.rows.test for questions in task.questions)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The tested tasks that are averaged together: all trained ones, and those of each held-out cluster.

        Rank classification beside generated answers is averaged on its own.
        """
        if len(self.tasks) == 1:
            return {}
        groups: dict[str, tuple[str, ...]] = {}
        for task in (task for task in self.tasks if task.rows.test):
            name = f"held out: {task_cluster(task.rows.task)}" if task.rows.held_out else "taught"
            for questions, suffix in zip(task.questions, ("", RANK_CLASSIFICATION), strict=False):
                groups[name + suffix] = (*groups.get(name + suffix, ()), questions.name)
        return groups

    def row_at(self, position: int) -> Encoded:
        """The training row at a position of the endless order."""
        task, row = self.mixture.order.at(position)[:2]
        return self.tasks[task].train[row]


def prepare(recipe: Recipe, rows: RecipeRows, model: LoadedModel | LoadedTokenizer) -> Prepared:
    """Encode a recipe's rows for a model, mix its tasks and describe both in the data card.

    Args:
        recipe: the recipe.
        rows: its rendered rows.
        model: the model, or its tokenizer alone.

    Raises:
        InputError: a row does not fit and is not dropped, or no token bears loss; InputErrors for several rows.
    """
    encoder = encoder_of(recipe, model)
    asks_validation = recipe.track is not None or bool(recipe.protect and recipe.protect.scales)
    tasks = encode_rows(rows, encoder, ask_validation=asks_validation)
    if not any(row.n_loss for task in tasks for row in task.train):
        raise InputError(
            "nothing in the training rows bears loss, so nothing would be learned",
            where="tasks",
            found="no completion token",
            fix="look at the rows' completions",
        )
    names = [task.name for task in tasks]
    mixture = mix_tasks(recipe, names, [task.train for task in tasks])
    data_card: dict[str, Any] = {
        "schema": 1,
        "chat_template": model.chat_template,
        "max_length": encoder.max_length,
        "tasks": {task.name: _task_card(task, encoder) for task in tasks},
    }
    if len(tasks) > 1:
        data_card["mixture"] = mixture.card(names, rows.excluded)
    validation = [task.validation for task in tasks]
    clock = clock_of(model.tokenizer)
    identity = {
        "tasks": {
            task.name: {
                "place": index,
                "training_rows": len(task.rows.train),
                "validation_rows": len(task.rows.validation),
                "sha256": rows.training_hashes[task.name],
            }
            for index, task in enumerate(tasks)
        },
        "max_length": encoder.max_length,
        "chat_template": hashing.of_json(model.chat_template),
        "truncate": field_history.identity(
            recipe.tune.truncate, recipe.tune.truncate.model_dump(mode="json")
        ),
        **({"too_long": recipe.tune.too_long} if recipe.tune.too_long != "cut-prompt" else {}),
        **({"mixture": mixture.identity} if mixture.identity else {}),
        **({"instant": str(clock.instant)} if clock.reads else {}),
    }
    return Prepared(
        tasks=tasks,
        validation=validation[0] if len(tasks) == 1 else spill_rows(chain.from_iterable(validation), ENCODED),
        mixture=mixture,
        card=data_card,
        identity=identity,
    )


def encoder_of(recipe: Recipe, model: LoadedModel | LoadedTokenizer) -> Encoder:
    """The encoder of this recipe's rows for a model.

    Raises:
        InputError: the chat template ends no turn, or opens it otherwise in training than in use.
    """
    return Encoder(
        model.tokenizer,
        encoder_decoder=model.encoder_decoder,
        max_length=_max_length(recipe.tune, model.context),
        truncation=Truncation(recipe.tune.truncate.field, recipe.tune.truncate.side, recipe.tune.too_long),
    )


def _max_length(tune: Tune, context: int | None) -> int:
    """The most tokens of a row; virtual tokens of the tuning method take a part of the model's context."""
    room = tune.max_length if context is None else min(tune.max_length, context - tune.virtual)
    if room < 1:
        raise InputError(
            "no room is left for the rows",
            where="tune.virtual_tokens",
            found=f"{tune.virtual} virtual tokens, and the model reads {context}",
            fix="take fewer",
        )
    return room


def _task_card(task: EncodedTask, encoder: Encoder) -> dict[str, Any]:
    """A task's entry in the data card."""
    rows = task.rows
    asked = task.questions[0].test
    shortened = {
        row.id for row, request in asked if (row.prompt, row.history) != (request.prompt, request.history)
    }
    entry = {
        **rows.card,
        "tokens": {
            "train": card.length_statistics(task.train),
            "validation": card.length_statistics(task.validation),
            "test": {"rows": len({row.id for row, _ in asked}), "truncated": len(shortened)},
        },
        "examples": [
            card.example(encoder.tokenizer, row, ids)
            for row, ids in zip(rows.train[:EXAMPLES], task.train[:EXAMPLES], strict=True)
        ],
    }
    if any(row.shots for row in rows.train):
        entry["shots"] = _exemplar_counts(task, encoder)
    return entry


def _exemplar_counts(task: EncodedTask, encoder: Encoder) -> dict[str, int]:
    """How many training rows have how many exemplars, without exemplars that did not fit."""
    counts = Counter(
        len(encoder.fit_prompt(row, new_tokens=ids.n_loss)[1]) // 2 if ids.dropped else row.shots
        for row, ids in zip(task.rows.train, task.train, strict=True)
    )
    return {str(exemplars): count for exemplars, count in sorted(counts.items())}
