"""Rows read, split and put into words: all that can be found wrong before a model is loaded. No output is written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

from tutelage import templates
from tutelage.config.schema import Recipe
from tutelage.config.task_block import Shots, Task
from tutelage.core import caches, hashing
from tutelage.core.errors import InputError, InputErrors, raise_all
from tutelage.core.limits import MAX_ERRORS
from tutelage.core.serialization import EXAMPLE, PROMPTED
from tutelage.core.spill import kept
from tutelage.core.types import Example, Prompted
from tutelage.data import (
    DroppedRow,
    SourceFiles,
    LoadedData,
    Splits,
    find,
    read_all,
    split,
    too_many_dropped_error,
)
from tutelage.metrics import Row, check_rows
from tutelage.prepare import cross_task_leaks, rows_cache
from tutelage.prepare import styles as forms
from tutelage.prepare.mixture import as_preset, check_names
from tutelage.prepare.styles import Words
from tutelage.prepare.tasks import expand, source_of
from tutelage.templates import LibraryTemplate


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One task's rows in words, by split, and what the card says of them.

    Many rows lie on disk. `content` are the fields that the words use. A task that is held out is only asked: it has test rows alone.
    """

    task: Task
    train: Sequence[Prompted]
    validation: Sequence[Prompted]
    test: Sequence[Prompted]
    card: Mapping[str, Any]
    content: tuple[str, ...] = ()
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """All tasks' rows in words; `identity` is the hash of all that they say, `taught` by task of what is learned from.

    `left_out` are names and clusters of tasks that are too near to a held-out cluster.
    """

    tasks: tuple[TaskRows, ...]
    identity: str
    taught: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...] = ()


def read(recipe: Recipe, data_dir: Path | None, *, say: Callable[[str], None] = lambda _: None) -> Rows:
    """Read, split and render all tasks' rows, or take from the cache what was made of the same before.

    Args:
        recipe: the recipe.
        data_dir: where `local` data files are looked for.
        say: is told what the cache did.

    Raises:
        InputError: a file, a row, a template or a split is wrong; InputErrors for several.
    """
    found = expand(recipe, data_dir)
    check_names(recipe, [task.name for task in found.tasks], found.held_out)
    reader = _Reader(recipe, data_dir, say)
    wanted = list(zip(as_preset(recipe, found.tasks), found.places, strict=True))
    try:
        for task, _ in wanted:  # a file that is missing shows before hours of reading others
            reader.find(task)
        reader.raise_mistakes()
        each = [
            rows
            for task, place in wanted
            if (rows := reader.read(task, place, held_out=task.name in found.held_out))
        ]
    finally:
        templates.close()
    reader.raise_mistakes()
    reader.tell()
    sources = cross_task_leaks.sources(each)
    _check_held_out(each, sources, found.places)
    tasks = tuple(cross_task_leaks.parted(each, sources))
    _check_taught(tasks, found.places)
    taught = {t.task.name: hashing.of_json([_said(t, t.train), _said(t, t.validation)]) for t in tasks}
    return Rows(
        tasks,
        identity=hashing.of_json([list(taught.items()), [_said(t, t.test) for t in tasks]]),
        taught=taught,
        left_out=found.left_out,
    )


def _check_held_out(tasks: Sequence[TaskRows], sources: Sequence[str], places: Sequence[str]) -> None:
    """Find rows of a held-out task that are taught under another name, which only the files themselves show."""
    unseen = {source: task.task.name for task, source in zip(tasks, sources, strict=True) if task.held_out}
    for task, source, place in zip(tasks, sources, places, strict=True):
        if not task.held_out and source in unseen:
            raise InputError(
                "a held-out task is in training",
                where=place,
                found=f"{task.task.name}, which reads what {unseen[source]} is held out of",
                expected="every task of that data set on one side",
                fix="take it out, or hold it out too",
            )


def _check_taught(tasks: Sequence[TaskRows], places: Sequence[str]) -> None:
    for task, place in zip(tasks, places, strict=True):
        if not task.train and not task.held_out:
            raise InputError(
                f"the task {task.task.name} has no training row left",
                where=place,
                found=f"{task.card['shared']} rows stand in test rows of another task of {source_of(task.task)}",
                expected="rows that no other task is tested on",
                fix="ask for fewer test rows, or give one of the tasks another source",
            )


def _said(task: TaskRows, rows: Sequence[Prompted]) -> list[str]:
    said = (
        [r.id, r.prompt, r.completion, list(r.references), dict(r.fields), list(r.choices), *_before(r)]
        for r in rows
    )
    return [task.task.name, hashing.of_each(said)]


def _before(row: Prompted) -> list[Any]:
    return [[list(message) for message in row.history]] if row.history else []


class _Reader:
    """Takes each task's rows from the cache, or makes them."""

    def __init__(self, recipe: Recipe, data_dir: Path | None, say: Callable[[str], None]) -> None:
        self._recipe = recipe
        self._data_dir = data_dir
        self._say = say
        self._kept: list[str] = []
        self._found: dict[str, SourceFiles] = {}
        self._failures: list[InputError] = []
        self._unread = 0
        if caches.enabled():
            rows_cache.most()  # a size that is no number is told now, and not when rows are to be kept

    def find(self, task: Task) -> None:
        """Find a task's files; what is wrong with them waits for `raise_mistakes`."""
        try:
            self._found[task.name] = find(task.data.source(), root=self._recipe.root, data_dir=self._data_dir)
        except InputError as error:
            self._failures.append(error)

    def read(self, task: Task, where: str, *, held_out: bool) -> TaskRows | None:
        """One task's rows; None when they are wrong, or enough other tasks were: `raise_mistakes` then raises.

        Args:
            task: the task, whose files were found.
            where: its place in the recipe.
            held_out: whether its test rows alone are kept.
        """
        if len(self._failures) >= MAX_ERRORS:
            self._unread += 1
            return None
        try:
            return self._read(task, where, held_out=held_out)
        except InputError as error:
            self._failures.append(error)
            return None

    def raise_mistakes(self) -> None:
        """Raise what was wrong with all tasks together. Raises InputError, or InputErrors for several mistakes."""
        if len(self._failures) == 1:
            raise self._failures[0]
        several = [one.errors if isinstance(one, InputErrors) else (one,) for one in self._failures]
        unread = f" ({self._unread} more tasks were not read)" if self._unread else ""
        raise_all(f"the tasks' data{unread}", list(chain.from_iterable(several)))

    def _read(self, task: Task, where: str, *, held_out: bool) -> TaskRows:
        recipe = self._recipe
        found = self._found[task.name]
        if not caches.enabled():
            return _read_task(recipe, task, found, where, held_out=held_out)
        key = rows_cache.key_of(task, found, where=where, root=recipe.root, held_out=held_out)
        entry = rows_cache.get(key, self._say)
        if entry is not None:
            self._kept.append(task.name)
            return TaskRows(task=task, **{**entry, "content": tuple(entry["content"])})
        rows = _read_task(recipe, task, found, where, held_out=held_out)
        rows_cache.put(key, {name: getattr(rows, name) for name in TaskRows.__slots__ if name != "task"})
        return rows

    def tell(self) -> None:
        """Say in one line whose rows came from the cache."""
        if self._kept:
            whose = self._kept[0] if len(self._kept) == 1 else f"{len(self._kept)} tasks"
            self._say(f"rows of {whose} from the cache")


def _read_task(recipe: Recipe, task: Task, found: SourceFiles, where: str, *, held_out: bool) -> TaskRows:
    loaded = read_all(found)
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
    # One test item alone has no interval; a pool of rows to be replayed needs none.
    asked = recipe.replay is None or recipe.replay.pool is None or recipe.replay.name != task.name
    if not splits.train or (len(splits.test) < 2 and (asked or splits.test)):
        raise InputError(
            f"the task {task.name} has too few {'training' if not splits.train else 'test'} rows",
            where=f"{where}.split",
            found=", ".join(f"{name}: {n}" for name, n in splits.sizes().items()),
            expected="at least one training row and two test rows",
            fix="change the shares of the split, or bring more rows",
        )
    worded = partial(task.words, examples, where=where, root=recipe.root, default=loaded.template)
    words = _in_words(task, splits, template, worded)
    if held_out:  # its test rows have had their exemplars
        words |= {"train": (), "validation": ()}
    _check_metrics(task, words["test"], where)
    card = {
        "source": loaded.source,
        "rows": len(examples),
        "splits": {name: len(rows) for name, rows in words.items()},
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
    return TaskRows(task, words["train"], words["validation"], words["test"], card, content, held_out)


def _in_words(
    task: Task,
    splits: Splits,
    template: Words,
    worded: Callable[..., Words],
) -> dict[str, Sequence[Prompted]]:
    """The rows of each split in words, with their exemplars.

    Args:
        task: what the recipe says of it.
        splits: its rows.
        template: how they are worded when nothing else is said.
        worded: the task's template with options listed or not, or one wording of it alone.

    Raises:
        InputError: a row is a turn of a conversation, which brings its own history.
    """
    shots = task.shots or Shots()
    listed = cache(lambda on: worded(listed=on))
    plain: dict[str, Sequence[Prompted]] = {}
    few: dict[str, Sequence[bool] | None] = {}
    for name in splits.sizes():
        rows = getattr(splits, name)
        if task.styles and name != "test":
            plain[name], few[name] = forms.render(
                rows, task.styles, listed, task=task.name, seed=task.wording_seed
            )
        else:
            plain[name] = template.render_all(rows, task.name, training=name == "train")
            few[name] = [False] * len(rows) if task.styles or task.shots is None else None
    source = source_of(task)
    words = {
        name: kept((replace(row, source=source) for row in rows), PROMPTED) for name, rows in plain.items()
    }
    if task.shots is None and not any(any(one or ()) for one in few.values()):
        return words
    for row in (row for rows in words.values() for row in rows if row.history):
        raise InputError(
            "a conversation takes no exemplars: its own turns stand before each answer",
            where=str(row.origin),
            found=f"{len(row.history)} earlier messages",
            fix="leave shots and few-shot styles out of this task",
        )
    manner = forms.Exemplars(shots.count, fixed=shots.each == "task", alike=shots.alike, seed=shots.seed)
    alike = _one_wording(task, worded) if isinstance(template, LibraryTemplate) else None
    return {
        name: forms.with_exemplars(rows, words["train"], manner, few=few[name], worded=alike)
        for name, rows in words.items()
    }


def _one_wording(task: Task, worded: Callable[..., Words]) -> Callable[[str, bool], Words]:
    """The task's template with one wording alone, by the name that rows bear, and options listed or not."""
    assert task.template is not None
    kind = templates.kind_part(task.template)

    def alone(name: str, listed: bool) -> Words:  # noqa: FBT001 - as rows bear it
        return worded(listed=listed, only=f"{kind}/{name.partition('/')[2]}")

    return cache(alone)


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
    task: Task, template: Words, loaded: LoadedData
) -> tuple[Sequence[Example], tuple[DroppedRow, ...]]:
    """The rows that can be put into words, and those that were left out; every mistake is told unless rows may be dropped.

    Raises:
        InputError: a row cannot be rendered, or more than half of them would be dropped.
    """
    examples = loaded.examples
    if task.data.on_bad_row == "stop":
        for _ in template.render_each(examples, task.name):
            pass  # every row's mistakes at once, before any is split away
        return examples, loaded.dropped
    dropped = list(loaded.dropped)
    while True:
        bad = {error.where or "": error for error in _mistakes(template, examples, task.name)}
        if not bad:
            return examples, tuple(dropped)
        dropped += [DroppedRow.of(error) for error in bad.values()]
        examples = kept((row for row in examples if str(row.origin) not in bad), EXAMPLE)
        if len(dropped) > len(examples):
            raise too_many_dropped_error(
                str(loaded.source.get("file") or loaded.source.get("hub")), dropped, len(examples)
            )


def _mistakes(template: Words, examples: Sequence[Example], name: str) -> list[InputError]:
    found: list[InputError] = []
    for row in examples:
        try:
            template.render(row, name)
        except InputError as error:
            found.append(error)
    if found:
        return found
    try:
        for _ in template.render_each(examples, name):
            pass
    except InputErrors as errors:
        return list(errors.errors)
    except InputError as error:
        return [error]
    return []
