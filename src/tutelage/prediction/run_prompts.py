"""The prompts of a finished run: its task's template, shots, lengths and way of answering, for rows that it never had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tutelage import templates
from tutelage.config import from_mapping
from tutelage.config.schema import Recipe
from tutelage.config.task_block import Task, field_source
from tutelage.core.clock import Instant
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Example, Prompted
from tutelage.data import DataSource, LoadedData
from tutelage.data.formats import format_of
from tutelage.job.finished_run import recipe_root
from tutelage.job.integrity import read_card
from tutelage.models import LoadedModel, LoadedTokenizer
from tutelage.prepare import styles, template_clock
from tutelage.prepare.preparation import encoder_of
from tutelage.prepare.reader import read_rows
from tutelage.prepare.task_rows import TaskRows
from tutelage.results import document
from tutelage.results.run_folder import RunFolder
from tutelage.templates import WordingOptions
from tutelage.templates.questions import KindPrompts, PromptTemplate, kind_prompts
from tutelage.tokens.encoder import Encoder

_NAMED_BY_THE_FILE = ("jsonl", "json", "parquet", "arrow")
"""Formats whose rows name their columns, so that a recipe's `columns` is of another file."""


@dataclass(frozen=True, slots=True)
class RunPrompts:
    """How a run asks the rows of one of its tasks.

    Attributes:
        folder: the run.
        recipe: its recipe.
        task: the task.
        card: the task's entry in the run's data card, which says what its rows showed: columns, labels.
        data_dir: the folder of `local` data files.
    """

    folder: RunFolder
    recipe: Recipe
    task: Task
    card: Mapping[str, Any]
    data_dir: Path | None

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def max_new_tokens(self) -> int:
        """Most tokens of an answer."""
        return self.task.max_new_tokens

    @property
    def chooses(self) -> bool:
        """Whether the answer is the likeliest of the row's choices, and no text is generated."""
        return self.task.answer == "choose"

    @property
    def four_bit(self) -> bool:
        """Whether the model is held in 4 bits, as in the run."""
        return self.recipe.tune.method == "qlora"

    @property
    def instant(self) -> Instant | None:
        """The time that the run's templates read, where they read one."""
        day = self.recipe.date
        return (
            template_clock.read_instant(self.folder.path)
            if day is None
            else template_clock.clock_for(self.folder.path, day=day).instant
        )

    def source(self, file: Path) -> DataSource:
        """How a file is read: as the recipe reads the task's own rows."""
        stated = self.task.data.source()
        columns = () if format_of(file) in _NAMED_BY_THE_FILE else stated.columns
        return DataSource(
            path=str(file.absolute()),
            layout=stated.layout,
            turns=stated.turns,
            columns=columns,
            labels=stated.labels,
            needs_answers=False,
        )

    @property
    def root(self) -> Path:
        """The folder to which the recipe's paths are relative."""
        return self.recipe.root

    def prompts(self, rows: LoadedData) -> Sequence[Prompted]:
        """The prompts of rows, with exemplars where the task has shots.

        Raises:
            InputError: a row lacks what the prompt reads, or the run's own rows are needed for shots and changed since.
        """
        try:
            prompted = self._template(rows.examples).render_all(rows.examples, self.name)
            has_shots = self.task.shots is not None and not self.task.styles  # test rows of styles have none
            return self._with_shots(prompted) if has_shots else prompted
        finally:
            templates.close()

    def text_column(self) -> str:
        """The one column that the prompt reads, which a line of text fills.

        Raises:
            InputError: it reads several.
        """
        if (kind := self._kind_name()) is None:
            columns = self._template(()).prompt_fields
        else:
            fields: Mapping[str, str] = self.card.get("fields", {})
            reads = {
                name
                for wording in self._selection().wordings
                for name in templates.check(wording.prompt, where=kind)
            }
            columns = tuple(dict.fromkeys(column for name, column in fields.items() if name in reads))
        if len(columns) == 1:
            return columns[0]
        raise InputError(
            f"the prompt of {self.name} reads several columns, and a line of text is one",
            where=str(self.folder.path),
            found=", ".join(columns) or "no column",
            expected="rows with these columns",
            fix="write the rows into a .jsonl or .csv file, and name it",
        )

    def encoder(self, model: LoadedModel | LoadedTokenizer) -> Encoder:
        """The encoder of the task's prompts, with the lengths that the recipe says."""
        return encoder_of(self.recipe, model)

    def _template(self, examples: Sequence[Example]) -> PromptTemplate | KindPrompts:
        if self._kind_name() is not None:
            return kind_prompts(
                self._selection(),
                examples,
                WordingOptions(self.task.options or "listed", 0.0, self.task.wording_seed),
                fields={name: field_source(column) for name, column in (self.task.fields or {}).items()},
                labels=self.task.labels or self.card.get("labels"),
                where=self._where,
            )
        prompt = self.card.get("prompt")
        if not isinstance(prompt, str):
            raise InputError(
                "the run's data card does not say how its rows were asked",
                where=str(self.folder.card),
                found=f"no prompt of the task {self.name}",
                expected="a card as `tutelage run` writes it",
                fix="state the prompt yourself: --prompt TEMPLATE",
            )
        return PromptTemplate(prompt, name=str(self.card["template"]), where=self._where)

    @property
    def _where(self) -> str:
        return f"the task {self.name}"

    def _kind_name(self) -> str | None:
        """The library kind of the task's template; None where it is a prompt of its own, or one for columns."""
        name = self.task.template
        return None if name is None or name in templates.column_template_names() else name

    def _selection(self) -> templates.TemplateSelection:
        return templates.find(str(self._kind_name()), root=self.recipe.root, where=self._where)

    def _with_shots(self, rows: Sequence[Prompted]) -> Sequence[Prompted]:
        """The rows with exemplars from the run's training rows: those that a test row of the same prompt had in the run."""
        shots = self.task.shots
        assert shots is not None
        taught = self._taught_rows()
        ids = {row.prompt: row.id for row in (*taught.validation, *taught.test)}
        drawn = [replace(row, id=ids.get(row.prompt, row.id)) for row in rows]
        task = self.task.model_copy(update={"labels": self.task.labels or self.card.get("labels")})
        examples = [Example(row.id, row.fields, row.origin, row.history) for row in taught.train]

        def single(wording: str, listed: bool | None) -> Any:  # noqa: FBT001 - the two parts of a row's form
            kind = templates.kind_name(str(task.template))
            return task.template_for(
                examples,
                where=self._where,
                root=self.recipe.root,
                list_options=listed,
                only_wording=f"{kind}/{wording.partition('/')[2]}",
            )

        one_wording = cache(single) if shots.same_template and self._kind_name() is not None else None
        train = [replace(row, history=(), shots=0) for row in taught.train]
        shown = styles.with_exemplars(drawn, train, shots, one_wording=one_wording)
        return [replace(shot, id=row.id) for shot, row in zip(shown, rows, strict=True)]

    def _taught_rows(self) -> TaskRows:
        read = read_rows(self.recipe, self.data_dir)
        taught = next(task for task in read.tasks if task.name == self.name)
        if taught.card["source"] != self.card["source"]:
            raise InputError(
                "the rows of the run changed since, and its prompts show some of them as exemplars",
                where=self._where,
                found=f"{taught.card['source'].get('file')}: other content",
                expected="the rows that the run was trained on",
                fix="bring the file back as it was, or state a prompt without shots: --prompt TEMPLATE",
            )
        return taught


def run_prompts(folder: Path, task: str | None, *, recipe: Path | None, data_dir: Path | None) -> RunPrompts:
    """Find how a run asks the rows of a task.

    Args:
        folder: the run folder.
        task: the task's name; the only task where it is not given.
        recipe: as of `recipe_root`.
        data_dir: the folder of `local` data files.

    Raises:
        InputError: the run's files are damaged, it has several tasks and none is named, or none of this name.
    """
    run = RunFolder(folder)
    results = document.read(run.results) if run.results.is_file() else {"provenance": {}}
    values = document.recorded_recipe(run.recipe)
    if values is None:
        raise InputError(
            "the run's recipe is not there",
            where=str(run.recipe),
            expected="the recipe with which the run was made",
            fix="restore the file, or state the prompt yourself: --prompt TEMPLATE",
        )
    loaded = from_mapping(values, root=recipe_root(results, recipe))
    cards: Mapping[str, Any] = read_card(run)["tasks"]
    tasks = {name: found for name in cards if (found := _task_of(loaded, name)) is not None}
    if task is None and len(tasks) == 1:
        task = next(iter(tasks))
    if task not in tasks:
        raise InputError(
            "the run has several tasks, and none is named" if task is None else "the run has no such task",
            where="--task",
            found=task,
            expected=", ".join(tasks),
            fix=(did_you_mean(task, list(tasks), form="--task {}") if task else None)
            or f"name one: --task {next(iter(tasks))}",
        )
    return RunPrompts(run, loaded, tasks[task], cards[task], data_dir)


def _task_of(recipe: Recipe, name: str) -> Task | None:
    """A recipe's task by the name that the data card has for it; None for rows that are only replayed."""
    for task in recipe.tasks:
        if task.one_task_per is None and task.name == name:
            return task
    of_file = [task for task in recipe.tasks if task.one_task_per and name.startswith(f"{task.name}-")]
    if not of_file:
        return None
    longest = max(of_file, key=lambda task: len(task.name))
    return longest.model_copy(update={"name": name, "one_task_per": None})
