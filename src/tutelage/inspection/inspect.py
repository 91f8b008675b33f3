"""A recipe looked at before anything is trained: every row read and encoded as for training, no weights loaded."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tutelage.config.load import resolved
from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError
from tutelage.core.types import Encoded, Example, Prompted, Split
from tutelage.data.splits import content_key
from tutelage.inspection import test_set_access
from tutelage.inspection.checks import Checks, kept_prompt, leaks_of, repeats
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare import card, preparation, template_clock
from tutelage.prepare.preparation import Prepared, Rows, TaskRows
from tutelage.report.inspection import Cut, InspectedRow, InspectedTask, Inspection, Token
from tutelage.results.run_folder import default_folder
from tutelage.tokens import chat_encoding
from tutelage.tokens.encoder import Encoder

SPLITS: tuple[Split, ...] = get_args(Split)
NEAR = 3  # names told for a row that is not there


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows to look at: those of these names, or else `count` of a split of each task.

    These are the first, but that one training row that was cut stands among them when there is one. `early` lets test
    rows be shown before the recipe's tuning has ended, which is then recorded.
    """

    names: Sequence[str] = ()
    count: int = 3
    split: Split = "train"
    early: bool = False


def inspect(
    recipe: Recipe,
    *,
    data_dir: Path | None = None,
    wanted: Wanted | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Inspection:
    """Read, split and encode a recipe's rows as training would, and look for what goes wrong without a word.

    Args:
        recipe: from `tutelage.config.load`. Leaks of a split by column or field are shown, not refused.
        data_dir: where `local` data files are looked for.
        wanted: which rows are given with their tokens; the first three training rows of each task when None.
        say: is told what takes long.

    Raises:
        InputError: the recipe's data, template or model is wrong, there is no row of a wanted name, or it is a test row
            before its time.
        MachineError: the model has to be fetched and cannot be.
    """
    wanted = wanted or Wanted()
    rows = preparation.read(_showing_leaks(recipe), data_dir)
    named = _named(rows, wanted.names)
    clock = template_clock.clock_for(default_folder(recipe.name, resolved(recipe)), day=recipe.date)
    source = resolve(recipe.model, say=say)
    words = load_tokenizer(source, chat_template=recipe.template_text(), clock=clock)
    encoder = preparation.encoder_of(recipe, words)
    prepared = preparation.encode(recipe, rows, words)
    rows = prepared.rows
    chosen = (
        named
        if wanted.names
        else [_first(task, ids, wanted) for task, ids in zip(rows.tasks, prepared.train, strict=True)]
    )
    shown = [row for own_rows in chosen for split, row in own_rows if split == "test"]
    test_set_access.allow(recipe, shown, early=wanted.early)
    checks = Checks(words, encoder)
    found = [*checks.of_model()]
    for task, encoded in zip(rows.tasks, prepared.train, strict=True):
        found += checks.of_task(task, encoded)
    own = None if words.chat_template is None else "the model's own"
    return Inspection(
        recipe=recipe.name,
        model=recipe.model,
        chat_template=recipe.chat_template or own,
        template_text=words.chat_template,
        max_length=encoder.max_length,
        epochs=recipe.tune.epochs,
        tasks=tuple(
            _task(task, share, prepared, [_look(encoder, task, *one) for one in own_rows])
            for task, share, own_rows in zip(rows.tasks, prepared.mixed.shares, chosen, strict=True)
        ),
        findings=tuple(sorted(found, key=lambda one: one.level != "warning")),
    )


def _showing_leaks(recipe: Recipe) -> Recipe:
    """The recipe with leaks let through where that moves no row to another split: they are to be seen."""
    tasks = tuple(
        task.model_copy(update={"split": task.split.model_copy(update={"leaks": "allow"})})
        if task.split.column is not None or task.split.by is not None
        else task
        for task in recipe.tasks
    )
    return recipe.model_copy(update={"tasks": tasks})


def _first(task: TaskRows, encoded: Sequence[Encoded], wanted: Wanted) -> list[tuple[Split, Prompted]]:
    """A task's first rows of the wanted split, the last of them one that was cut where no other was."""
    rows = list(getattr(task, wanted.split)[: wanted.count])
    if wanted.split == "train" and wanted.count > 1:
        cut = next((place for place, ids in enumerate(encoded) if ids.dropped), 0)
        if cut >= wanted.count:
            rows[-1] = task.train[cut]
    return [(wanted.split, row) for row in rows]


def _named(rows: Rows, names: Sequence[str]) -> list[list[tuple[Split, Prompted]]]:
    """The rows of these names by task, in the order in which they were asked for."""
    found: dict[str, list[tuple[Split, Prompted]]] = {task.task.name: [] for task in rows.tasks}
    known = _known(rows) if names else {}
    for name in names:
        if name not in known:
            raise _no_row(name, known, rows)
        for task, split, row in known[name]:
            if (split, row) not in found[task]:
                found[task].append((split, row))
    return list(found.values())


def _known(rows: Rows) -> Mapping[str, list[tuple[str, Split, Prompted]]]:
    """All names by which a row can be asked for: file:line, its own field `id`, and both behind the task's name."""
    known: dict[str, list[tuple[str, Split, Prompted]]] = defaultdict(list)
    for task in rows.tasks:
        for split in SPLITS:
            for row in getattr(task, split):
                own = row.fields.get("id")
                names = {row.id, str(row.origin), *([str(own)] if isinstance(own, str | int) else [])}
                for name in names:
                    known[name].append((task.task.name, split, row))
                    known[f"{task.task.name}:{name}"].append((task.task.name, split, row))
    return known


def _no_row(name: str, known: Mapping[str, object], rows: Rows) -> InputError:
    near = difflib.get_close_matches(name, list(known), n=NEAR, cutoff=0.6)
    unused = sum(task.card["unused"] for task in rows.tasks)
    first = next(row for task in rows.tasks for row in (task.train or task.test))
    expected = f"file:line such as {first.id}, or the row's own field id"
    more = f"; {unused} rows are in no split and cannot be looked at" if unused else ""
    return InputError(
        "there is no row of this name",
        where="--row",
        found=name,
        expected=expected + more,
        fix=f"did you mean {' or '.join(near)}?"
        if near
        else "leave --row out: the first rows are shown with their names",
    )


def _task(task: TaskRows, share: float, prepared: Prepared, rows: Sequence[InspectedRow]) -> InspectedTask:
    told = prepared.card["tasks"][task.task.name]
    return InspectedTask(
        name=task.task.name,
        source=told["source"],
        splits=told["splits"],
        tokens=told["tokens"],
        repeated=told["repeated"],
        near=told["near"],
        repeats=tuple(
            {"row": str(row.origin), "first": str(first.origin), "split": split}
            for split in SPLITS
            for row, first in repeats(getattr(task, split), _content(task))
        ),
        leaks=tuple(leaks_of(task)),
        unused=told["unused"],
        template=told["template"],
        prompt=told.get("prompt") or _several(told),
        completion=told.get("completion") or _several(told),
        rows=tuple(rows),
        times=share * prepared.n_train / len(task.train) if task.train else 0.0,
    )


def _several(told: Mapping[str, Any]) -> str:
    """What stands for the words of a kind whose rows are worded differently."""
    names = dict.fromkeys(name for counts in told.get("wordings", {}).values() for name in counts)
    return f"one of {len(names)} wordings: {', '.join(names)}"


def _content(task: TaskRows) -> Callable[[Prompted], str]:
    """What makes two rows the same: the values of the fields that the templates read, as the split counts them."""
    return lambda row: content_key(Example(row.id, row.fields, row.origin), task.content)


def _look(encoder: Encoder, task: TaskRows, split: Split, row: Prompted) -> InspectedRow:
    """One row as the model meets it: with its answer, or for test as it is asked."""
    source = 0
    if split == "test":
        kept, history = encoder.fit_prompt(row, new_tokens=task.task.max_new_tokens)
        ids = encoder.prompt_ids(kept, history)
        dropped = len(encoder.prompt_ids(row.prompt, row.history)) - len(ids)
        mask = [False] * len(ids)
        source = len(ids) if encoder.encoder_decoder else 0
    else:
        encoded = encoder.encode(row)
        kept, dropped = kept_prompt(encoder, row, encoded)[0], encoded.dropped
        source = len(encoded.source or ())
        ids = [*(encoded.source or ()), *encoded.ids]
        mask = [False] * source + list(encoded.loss_mask)
    control = chat_encoding.control_ids(encoder.tokenizer)
    texts = card.token_texts(encoder.tokenizer, ids)
    return InspectedRow(
        id=row.id,
        origin=str(row.origin),
        task=row.task,
        split=split,
        prompt=row.prompt,
        completion=row.completion,
        text=encoder.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
        tokens=tuple(Token(t, m, i in control) for t, m, i in zip(texts, mask, ids, strict=True)),
        source=source,
        cut=_cut(row, kept, dropped) if dropped else None,
        notes=_notes(task, split, row),
    )


def _cut(row: Prompted, kept: str, dropped: int) -> Cut | None:
    """Which field lost its end or its start, found by what is left."""
    gone = len(row.prompt) - len(kept)
    for field, start, end in row.spans:
        if gone <= end - start:
            if row.prompt[: end - gone] + row.prompt[end:] == kept:
                return Cut(field, dropped, row.prompt[end - gone : end], "end")
            if row.prompt[:start] + row.prompt[start + gone :] == kept:
                return Cut(field, dropped, row.prompt[start : start + gone], "start")
    return None


def _notes(task: TaskRows, split: Split, row: Prompted) -> tuple[str, ...]:
    """That a row repeats an earlier one, or stands in training and test."""
    origin = str(row.origin)
    same = [first for again, first in repeats(getattr(task, split), _content(task)) if again.id == row.id]
    leaks = leaks_of(task)
    return (
        *(f"says the same as {first.origin}" for first in same),
        *(f"its prompt stands in training too: {pair['train']}" for pair in leaks if pair["test"] == origin),
        *(
            f"its prompt stands in a test row too: {pair['test']}"
            for pair in leaks
            if pair["train"] == origin
        ),
    )
