"""The first stage: rows read, split, put into words (`rows.read`) and into tokens (`encode`), and the card that says so.

`read` needs no model and finds every mistake of the data before one is loaded. No output is written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from tutelage.config.schema import Recipe, Tune
from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.serialization import ENCODED
from tutelage.core.spill import kept
from tutelage.core.types import Encoded, Prompted
from tutelage.models import LoadedModel, LoadedTokenizer
from tutelage.prepare import card as card_of
from tutelage.prepare.fitting import Questions, fitted
from tutelage.prepare.mixture import Mixed, mixed
from tutelage.prepare.rows import Rows, TaskRows, read
from tutelage.prepare.tasks import cluster_of
from tutelage.tokens.encode import Encoder, Truncation
from tutelage.tokens.rendering import clock_of

SHOWN = 12  # training rows that the card shows with their tokens


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """One task, ready: test rows with the questions to ask."""

    name: str
    metrics: tuple[str, ...]
    questions: Questions


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that tuning and measuring read.

    `tasks` are those that are asked, `names` all of them, as `train` has their rows. `identity` names what decides which
    tokens are learned in which order; `forms` are each training row's template and style, `groups` the tasks that are
    summed up together. `rows` are those in words that fit the model.
    """

    tasks: tuple[PreparedTask, ...]
    train: tuple[Sequence[Encoded], ...]
    validation: Sequence[Encoded]
    mixed: Mixed
    card: dict[str, Any]
    identity: Mapping[str, Any]
    names: tuple[str, ...] = ()
    forms: tuple[tuple[tuple[str, str], ...], ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Rows = field(default_factory=lambda: Rows((), "", {}))

    @property
    def n_train(self) -> int:
        """Training rows an epoch, over all tasks."""
        return self.mixed.epoch

    def row_at(self, position: int) -> Encoded:
        """The training row at a position of the endless order."""
        task, row = self.mixed.order.at(position)[:2]
        return self.train[task][row]


def _kept_shots(encoder: Encoder, rows: Sequence[Prompted], encoded: Sequence[Encoded]) -> dict[str, int]:
    """How many training rows have how many exemplars, after those that did not fit were dropped."""
    counts = Counter(
        len(encoder.fit_prompt(row, new_tokens=made.n_loss)[1]) // 2 if made.dropped else row.shots
        for row, made in zip(rows, encoded, strict=True)
    )
    return {str(number): count for number, count in sorted(counts.items())}


def encoder_of(recipe: Recipe, model: LoadedModel | LoadedTokenizer) -> Encoder:
    """What turns this recipe's rows into ids for a model.

    Raises:
        InputError: the chat template ends no turn, or opens it otherwise in training than in use.
    """
    tune = recipe.tune
    return Encoder(
        model.tokenizer,
        encoder_decoder=model.encoder_decoder,
        max_length=_room(tune, model.context),
        truncation=Truncation(tune.truncate.field, tune.truncate.side),
    )


def _room(tune: Tune, context: int | None) -> int:
    """Tokens that a row may have; what the method puts before it takes a part of the model's context."""
    room = tune.max_length if context is None else min(tune.max_length, context - tune.virtual)
    if room < 1:
        raise InputError(
            "no room is left for the rows",
            where="tune.virtual_tokens",
            found=f"{tune.virtual} virtual tokens, and the model reads {context}",
            fix="take fewer",
        )
    return room


def encode(recipe: Recipe, rows: Rows, model: LoadedModel | LoadedTokenizer) -> Prepared:
    """Turn the rows into tokens for a model.

    Raises:
        InputError: a row does not fit and is not dropped, or nothing would bear loss; InputErrors for several rows.
    """
    tune = recipe.tune
    encoder = encoder_of(recipe, model)
    fit = fitted(rows, encoder)
    rows, train, validation = fit.rows, fit.train, fit.validation
    clock = clock_of(model.tokenizer)
    if not sum(row.n_loss for task in train for row in task):
        raise InputError(
            "nothing in the training rows bears loss, so nothing would be learned",
            where="tasks",
            found="no completion token",
            fix="look at the rows' completions",
        )
    card: dict[str, Any] = {
        "schema": 1,
        "chat_template": model.chat_template,
        "max_length": encoder.max_length,
        "tasks": {
            t.task.name: {
                **t.card,
                "tokens": {
                    "train": card_of.lengths(train[i]),
                    "validation": card_of.lengths(validation[i]),
                    "test": {"rows": 0, "truncated": 0},
                },
                "examples": [
                    card_of.shown(model.tokenizer, row, ids)
                    for row, ids in zip(t.train[:SHOWN], train[i][:SHOWN], strict=True)
                ],
            }
            for i, t in enumerate(rows.tasks)
        },
    }
    tasks = tuple(
        PreparedTask(t.task.name, tuple(t.task.metrics), questions)
        for t, questions in zip(rows.tasks, fit.questions, strict=True)
        if t.test
    )
    names = [t.task.name for t in rows.tasks]
    mix = mixed(recipe, names, train)
    if len(names) > 1:
        card["mixture"] = mix.told(names, rows.left_out)
    for i, task in enumerate(rows.tasks):
        if any(row.shots for row in task.train):
            card["tasks"][task.task.name]["shots"] = _kept_shots(encoder, task.train, train[i])
    for asked in tasks:
        shortened = sum(
            (row.prompt, row.history) != (request.prompt, request.history) for row, request in asked.questions
        )
        card["tasks"][asked.name]["tokens"]["test"] = {"rows": len(asked.questions), "truncated": shortened}
    return Prepared(
        tasks=tasks,
        train=train,
        validation=validation[0] if len(validation) == 1 else kept(chain.from_iterable(validation), ENCODED),
        mixed=mix,
        card=card,
        identity={
            "tasks": {
                t.task.name: {
                    "place": place,
                    "training_rows": len(t.train),
                    "validation_rows": len(t.validation),
                    "sha256": rows.taught[t.task.name],
                }
                for place, t in enumerate(rows.tasks)
            },
            "max_length": encoder.max_length,
            "chat_template": hashing.of_json(model.chat_template),
            "truncate": tune.truncate.model_dump(mode="json"),
            **({"mixture": mix.identity} if mix.identity else {}),
            **({"instant": str(clock.instant)} if clock.reads else {}),
        },
        names=tuple(names),
        forms=tuple(_forms(t.train) for t in rows.tasks),
        groups=_groups(rows),
        rows=rows,
    )


def _forms(rows: Sequence[Prompted]) -> tuple[tuple[str, str], ...]:
    """Each row's template and style; of equal ones there is one in memory."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    return tuple(known.setdefault(form, form) for form in ((row.template, row.style) for row in rows))


def _groups(rows: Rows) -> dict[str, tuple[str, ...]]:
    """The tasks that are summed up together: all taught ones, and those of each held-out cluster."""
    found: dict[str, tuple[str, ...]] = {}
    for task in rows.tasks:
        if not task.test:
            continue
        name = f"held out: {cluster_of(task.task)}" if task.held_out else "taught"
        found[name] = (*found.get(name, ()), task.task.name)
    return found if len(rows.tasks) > 1 else {}


__all__ = ["Prepared", "PreparedTask", "Rows", "TaskRows", "encode", "encoder_of", "read"]
