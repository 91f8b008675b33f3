"""The first stage: rows read, split, put into words and into tokens, and the card that says so.

`read` needs no model and finds every mistake of the data before one is loaded; `encode` adds the tokens.
Nothing is written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tutelage import templates
from tutelage.core import hashing
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.nouns import Encoded, Example, Prompted, Request
from tutelage.data import Dropped, Loaded, Splits, load, split, too_many
from tutelage.metrics import Row, check_rows
from tutelage.mixture.order import Order
from tutelage.models import LoadedModel, LoadedTokenizer
from tutelage.recipe import card as card_of
from tutelage.recipe.schema import Recipe, Shots, Task, Tune
from tutelage.templates import LibraryTemplate, TaskTemplate, shots
from tutelage.tokens.bulk import encode_all
from tutelage.tokens.encode import Encoder, Truncation

SHOWN = 12  # training rows that the card shows with their tokens


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One task's rows in words, by split, and what the card says of them; `content` are the fields that the words use."""

    task: Task
    train: tuple[Prompted, ...]
    validation: tuple[Prompted, ...]
    test: tuple[Prompted, ...]
    card: Mapping[str, Any]
    content: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """All tasks' rows in words; `identity` is the hash of all that they say, `taught` of what is learned from."""

    tasks: tuple[TaskRows, ...]
    identity: str
    taught: str


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """One task, ready: test rows with the questions to ask."""

    name: str
    metrics: tuple[str, ...]
    questions: tuple[tuple[Prompted, Request], ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that tuning and measuring read."""

    tasks: tuple[PreparedTask, ...]
    train: tuple[tuple[Encoded, ...], ...]
    validation: tuple[Encoded, ...]
    order: Order
    card: dict[str, Any]
    identity: str

    @property
    def n_train(self) -> int:
        """Training rows over all tasks."""
        return sum(len(rows) for rows in self.train)

    def row_at(self, position: int) -> Encoded:
        """The training row at a position of the endless order."""
        task, row = self.order.at(position)
        return self.train[task][row]


def read(recipe: Recipe, data_dir: Path | None) -> Rows:
    """Read, split and render all tasks' rows.

    Raises:
        InputError: a file, a row, a template or a split is wrong; InputErrors for several.
    """
    try:
        tasks = tuple(_read_task(recipe, index, data_dir) for index in range(len(recipe.tasks)))
    finally:
        templates.close()
    taught = [[_said(t, t.train), _said(t, t.validation)] for t in tasks]
    return Rows(
        tasks,
        identity=hashing.of_json([taught, [_said(t, t.test) for t in tasks]]),
        taught=hashing.of_json(taught),
    )


def _said(task: TaskRows, rows: Sequence[Prompted]) -> list[Any]:
    return [
        task.task.name,
        *(
            [r.id, r.prompt, r.completion, list(r.references), dict(r.fields), list(r.choices), *_before(r)]
            for r in rows
        ),
    ]


def _before(row: Prompted) -> list[Any]:
    return [[list(message) for message in row.history]] if row.history else []


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
        InputError: a row does not fit, or nothing would bear loss.
    """
    tune = recipe.tune
    encoder = encoder_of(recipe, model)
    train = tuple(tuple(encode_all(encoder, t.train)) for t in rows.tasks)
    validation = tuple(tuple(encode_all(encoder, t.validation)) for t in rows.tasks)
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
                },
                "examples": [
                    card_of.shown(model.tokenizer, row, ids)
                    for row, ids in zip(t.train[:SHOWN], train[i][:SHOWN], strict=True)
                ],
            }
            for i, t in enumerate(rows.tasks)
        },
    }
    tasks = tuple(_questions(t, encoder) for t in rows.tasks)
    for i, task in enumerate(rows.tasks):
        if task.task.shots is not None:
            card["tasks"][task.task.name]["shots"] = _kept_shots(encoder, task.train, train[i])
    for asked in tasks:
        shortened = sum(
            (row.prompt, row.history) != (request.prompt, request.history) for row, request in asked.questions
        )
        card["tasks"][asked.name]["tokens"]["test"] = {"rows": len(asked.questions), "truncated": shortened}
    return Prepared(
        tasks=tasks,
        train=train,
        validation=tuple(row for task in validation for row in task),
        order=Order(seed=tune.seed, sizes=[len(task) for task in train]),
        card=card,
        identity=hashing.of_json(
            [rows.taught, encoder.max_length, model.chat_template, tune.truncate.model_dump()]
        ),
    )


def _read_task(recipe: Recipe, index: int, data_dir: Path | None) -> TaskRows:
    task = recipe.tasks[index]
    where = f"tasks.{index}"
    loaded = load(task.data.source(), root=recipe.root, data_dir=data_dir)
    template = task.words(loaded.examples, where=where, root=recipe.root, default=loaded.template)
    examples, dropped = _good(task, template, loaded)
    conversations = any("conversation" in row.fields and "history" in row.fields for row in examples[:1])
    settings = task.split.settings()
    if conversations and settings.by is None and settings.column is None:
        settings = replace(settings, by="conversation")  # its turns tell each other's answers
    splits = split(
        examples,
        settings,
        prompt_fields=(*template.prompt_fields, *(["history"] if conversations else [])),
        completion_fields=template.completion_fields,
        where=f"{where}.split",
    )
    if not splits.train or len(splits.test) < 2:  # one item alone has no interval
        raise InputError(
            f"the task {task.name} has too few {'training' if not splits.train else 'test'} rows",
            where=f"{where}.split",
            found=", ".join(f"{name}: {n}" for name, n in splits.sizes().items()),
            expected="at least one training row and two test rows",
            fix="change the shares of the split, or bring more rows",
        )
    words = {
        name: tuple(template.render_all(getattr(splits, name), task.name, training=name == "train"))
        for name in splits.sizes()
    }
    _check_metrics(task, words["test"], where)
    if task.shots is not None:
        words = {name: _shown_before(task.shots, rows, words["train"]) for name, rows in words.items()}
    card = {
        "source": loaded.source,
        "rows": len(examples),
        "splits": splits.sizes(),
        "repeated": dict(splits.repeated),
        "dropped": [{"where": row.where, "why": row.why} for row in dropped],
        "near": dict(splits.near),
        "leaks": {"exact": list(splits.leaks), "near": list(splits.near_leaks)},
        "unused": splits.unused,
        **template.card(),
    }
    wordings = {
        name: dict(sorted(Counter(row.template for row in rows).items())) for name, rows in words.items()
    }
    if any(set(counts) - {template.name} for counts in wordings.values()):
        card["wordings"] = wordings
    content = (*template.prompt_fields, *template.completion_fields)
    return TaskRows(task, words["train"], words["validation"], words["test"], card, content)


def _shown_before(asked: Shots, rows: Sequence[Prompted], train: Sequence[Prompted]) -> tuple[Prompted, ...]:
    """The rows with their exemplars, which come from the training rows alone.

    Raises:
        InputError: a row is a turn of a conversation, which brings its own history.
    """
    found = []
    for row in rows:
        if row.history:
            raise InputError(
                "a conversation takes no exemplars: its own turns stand before each answer",
                where=str(row.origin),
                found=f"{len(row.history)} earlier messages",
                fix="leave shots out of this task",
            )
        exemplars = shots.choose(train, row, asked.count, fixed=asked.each == "task", seed=asked.seed)
        found.append(replace(row, history=shots.turns(exemplars), shots=len(exemplars)))
    return tuple(found)


def _check_metrics(task: Task, test: Sequence[Prompted], where: str) -> None:
    """Find out now, and not when a model has answered, that a metric cannot read the test rows.

    Raises:
        InputError: with the first such row's file and line.
    """
    rows = [Row("", row.references or (row.completion,), row.fields) for row in test]
    for place, metric in enumerate(task.metrics):
        try:
            check_rows([metric], rows)
        except InputError as error:
            number, _, rest = (error.where or "").removeprefix("row ").partition(", ")
            at = f"{test[int(number) - 1].origin}{', ' + rest if rest else ''}" if number.isdigit() else where
            raise InputError(
                error.problem,
                where=at,
                found=error.found,
                expected=error.expected,
                fix=error.fix or f"mend the row, or take the metric out of {where}.metrics.{place}",
            ) from None


def _good(
    task: Task, template: TaskTemplate | LibraryTemplate, loaded: Loaded
) -> tuple[tuple[Example, ...], tuple[Dropped, ...]]:
    """The rows that can be put into words, and those that were left out; every mistake is told unless rows may be dropped.

    Raises:
        InputError: a row cannot be rendered, or more than half of them would be dropped.
    """
    examples = loaded.examples
    if task.data.on_bad_row == "stop":
        template.render_all(examples, task.name)  # every row's mistakes at once, before any is split away
        return examples, loaded.dropped
    dropped = list(loaded.dropped)
    while True:
        bad = {error.where or "": error for error in _mistakes(template, examples, task.name)}
        if not bad:
            return examples, tuple(dropped)
        dropped += [Dropped.of(error) for error in bad.values()]
        examples = tuple(row for row in examples if str(row.origin) not in bad)
        if len(dropped) > len(examples):
            raise too_many(str(loaded.source.get("file") or loaded.source.get("hub")), dropped, len(examples))


def _mistakes(
    template: TaskTemplate | LibraryTemplate, examples: Sequence[Example], name: str
) -> list[InputError]:
    found: list[InputError] = []
    for row in examples:
        try:
            template.render(row, name)
        except InputError as error:
            found.append(error)
    if found:
        return found
    try:
        template.render_all(examples, name)
    except InputErrors as errors:
        return list(errors.errors)
    except InputError as error:
        return [error]
    return []


def _questions(rows: TaskRows, encoder: Encoder) -> PreparedTask:
    ask = _to_choose if rows.task.answer == "choose" else _to_generate
    asked = tuple((row, ask(row, rows.task, encoder)) for row in rows.test)
    return PreparedTask(rows.task.name, tuple(rows.task.metrics), asked)


def _to_generate(row: Prompted, task: Task, encoder: Encoder) -> Request:
    new = task.max_new_tokens
    prompt, history = encoder.fit_prompt(row, new_tokens=new)
    return Request(row.id, "generate", prompt, max_new_tokens=new, history=history)


def _to_choose(row: Prompted, _task: Task, encoder: Encoder) -> Request:
    if row.completion not in row.choices:
        raise InputError(
            "the row has no choices, and the task's answer is to choose",
            where=str(row.origin),
            found=f"the wording {row.template} with {len(row.choices)} choices",
            expected="a list of choices in every row",
            fix="fill the row's choices, or remove answer: choose",
        )
    longest = max(len(encoder.completion_ids(choice)) for choice in row.choices)
    prompt, history = encoder.fit_prompt(row, new_tokens=longest)
    return Request(row.id, "choose", prompt, choices=row.choices, history=history)


__all__ = ["Prepared", "PreparedTask", "Rows", "Splits", "TaskRows", "encode", "encoder_of", "read"]
