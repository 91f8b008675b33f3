"""A run that continues another one: the tasks of the runs before it are asked again, and the original base is asked the new tasks.

What earlier models answered is read from the folders of their runs, where every answer that the matrix needs is on record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tutelage.comparison.pairing import pair_evaluations
from tutelage.comparison.task_comparison import gain_in_points
from tutelage.comparison.task_sequence import ORIGINAL, SequenceTask, task_sequence
from tutelage.core.errors import InputError
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.measure import ModelEvaluator, items_of
from tutelage.job.context import RunContext
from tutelage.metrics import ItemScores
from tutelage.models import LoadedModel, ModelSource, fingerprint, load, loaded_fingerprint, resolve
from tutelage.prepare import template_clock
from tutelage.prepare.encoding import TaskQuestions, encode_rows
from tutelage.prepare.preparation import Prepared, encoder_of
from tutelage.prepare.task_rows import EarlierRun, EarlierStage, RecipeRows, TaskRows
from tutelage.results.store import Evaluation, Store

ORIGINAL_BASE = "original base"
"""The name of the model that the first run of a sequence tuned, in the stores of later runs."""
Scores = Mapping[str, Mapping[int, ItemScores]]
"""The primary metric's scores by task and stage."""


@dataclass(frozen=True, slots=True)
class EarlierTasks:
    """What a run needs of the runs before it.

    Attributes:
        runs: the first one first; that at index i is stage i + 1.
        questions: by run, what is asked of its tasks.
        scores: what the folders of these runs hold.
    """

    runs: tuple[EarlierRun, ...]
    questions: tuple[tuple[TaskQuestions, ...], ...]
    scores: Scores

    @property
    def all_questions(self) -> tuple[TaskQuestions, ...]:
        """The questions of all earlier tasks."""
        return tuple(task for tasks in self.questions for task in tasks)

    @property
    def stage(self) -> int:
        """The stage of the run that goes on from them."""
        return len(self.runs) + 1


def earlier_tasks(stages: Sequence[EarlierStage], model: LoadedModel) -> EarlierTasks | None:
    """Prepare the earlier tasks' questions as their runs asked them, and read the scores that are on record; None without any.

    Args:
        stages: the earlier runs with their tasks' rows.
        model: whose tokenizer fits the prompts.

    Raises:
        InputError: a run's rows are no longer those that it asked, or it lacks scores.
    """
    if not stages:
        return None
    questions = tuple(_questions(stage, model) for stage in stages)
    scores: dict[str, dict[int, ItemScores]] = defaultdict(dict)
    for stage, earlier in enumerate(stages, start=1):
        with Store.open(earlier.run.folder.store, read_only=True) as store:
            for name, at, items in _recorded_scores(store, stage, questions[:stage], run=earlier.run.name):
                scores[name][at] = items
    return EarlierTasks(tuple(earlier.run for earlier in stages), questions, scores)


def results_key(rows: RecipeRows) -> list[Any]:
    """What the results of a run depend on beside its own rows and model: the answers of earlier runs."""
    return [[stage.run.key for stage in rows.earlier]] if rows.earlier else []


def announce(context: RunContext, earlier: EarlierTasks, rows: Prepared) -> None:
    """Tell the listener what is measured, and against what, once the original base is known to be there.

    Raises:
        InputError: it is gone, or is not as it was.
    """
    _original_source(context, earlier.runs[0])
    names = ", ".join(task.name for task in earlier.all_questions)
    context.listener.stage(
        "sequence",
        f"stage {earlier.stage} after {earlier.runs[-1].name}, whose tuned model is the base here; asked again: {names}",
    )
    for task in rows.tasks:
        if count := task.rows.card.get("trained_before"):
            context.listener.stage(
                "sequence",
                f"{count} of {len(task.rows.test)} test rows of {task.name} share words with what earlier runs trained on: "
                "its score before its own stage may be too good",
            )


def measure_sequence(
    context: RunContext, earlier: EarlierTasks | None, rows: Prepared, store: Store
) -> dict[str, Any] | None:
    """Ask the original base this run's tasks, and state what became of all tasks so far: `sequence` of results.json.

    Args:
        context: the run.
        earlier: the tasks of the runs before it; None where there are none, and then nothing is measured.
        rows: its own rows.
        store: its answers and scores, those of the earlier tasks among them.

    Raises:
        InputError: the original base is gone, or is not as it was.
    """
    if earlier is None:
        return None
    _measure_original(context, earlier, rows, store)
    return _results(context, earlier, rows, store)


def _measure_original(context: RunContext, earlier: EarlierTasks, rows: Prepared, store: Store) -> None:
    """Ask the model that the first run tuned the test rows of this run's tasks."""
    source = _original_source(context, earlier.runs[0])
    template = rows.card["chat_template"]  # the prompts are the same as this run's own models get
    dtype = "nf4" if context.four_bit else "float32"
    with open_answer_cache(context.say("cache")) as answers:
        evaluator = ModelEvaluator(
            store,
            ORIGINAL_BASE,
            template_clock.with_instant(loaded_fingerprint(source, template, dtype), context.clock),
            context.provenance(),
            cache(
                lambda: keyed_engine(
                    load(source, chat_template=template, four_bit=context.four_bit, clock=context.clock)
                )
            ),
            context.listener,
            answers,
            stage_prefix=f"{ORIGINAL_BASE}: ",
        )
        for task in _taught(context, rows):
            evaluator.measure_task(task)


def _original_source(context: RunContext, first: EarlierRun) -> ModelSource:
    """The files of the model that the first run tuned, which must be as they were."""
    source = resolve(first.recipe.model, say=context.say("model"))
    recorded, now = first.results["provenance"].get("weights"), fingerprint(source)
    if recorded is not None and recorded != now:
        raise InputError(
            "the model that the sequence began with was changed",
            where=f"the model of {first.folder.results}",
            found=f"{source.name}: {now[:16]}",
            expected=str(recorded)[:16],
            fix="bring back its files as they were",
        )
    return source


def _results(context: RunContext, earlier: EarlierTasks, rows: Prepared, store: Store) -> dict[str, Any]:
    """The matrix of the sequence and its figures, from what all runs have on record."""
    questions = (*earlier.questions, _taught(context, rows))
    scores = {name: dict(by_stage) for name, by_stage in earlier.scores.items()}
    for name, at, items in _recorded_scores(store, earlier.stage, questions, run=context.folder.path.name):
        scores.setdefault(name, {})[at] = items
    stage_of = {task.name: stage for stage, tasks in enumerate(questions, start=1) for task in tasks}
    result = task_sequence([SequenceTask(name, stage_of[name], scores[name]) for name in stage_of])
    names = [*(run.name for run in earlier.runs), context.folder.path.resolve().name]
    return {
        "stages": [
            {"name": earlier.runs[0].recipe.model, "tasks": []},
            *(
                {"name": name, "tasks": [task.name for task in tasks]}
                for name, tasks in zip(names, questions, strict=True)
            ),
        ],
        **result.as_json(),
        "watched": _since_original(earlier.runs[0], store),
    }


def _questions(stage: EarlierStage, model: LoadedModel) -> tuple[TaskQuestions, ...]:
    """The test questions of a run's tasks, as its recipe asks them."""
    tasks = tuple(_tested_only(task) for task in stage.tasks)
    encoded = encode_rows(RecipeRows(tasks, "", {}), encoder_of(stage.run.recipe, model))
    return tuple(questions for task in encoded for questions in task.questions)


def _tested_only(task: TaskRows) -> TaskRows:
    worded = {name: rows for name, rows in task.in_all_wordings.items() if name == "test"}
    return replace(task, train=(), validation=(), in_all_wordings=worded)


def _taught(context: RunContext, rows: Prepared) -> tuple[TaskQuestions, ...]:
    """The test questions of the tasks that a run teaches: neither held out nor replayed."""
    replay = None if context.recipe.replay is None else context.recipe.replay.name
    return tuple(
        replace(questions, validation=())
        for task in rows.tasks
        if task.rows.test and not task.rows.held_out and task.name != replay
        for questions in task.questions
    )


def _recorded_scores(
    store: Store, stage: int, questions: Sequence[Sequence[TaskQuestions]], *, run: str
) -> Iterator[tuple[str, int, ItemScores]]:
    """What the store of a stage's run holds: (task, stage, primary scores).

    The tuned model is this stage, the base the stage before; both count for the run's own tasks, and the tuned model for earlier ones.
    """
    scored = store.last_scored()
    for taught, tasks in enumerate(questions, start=1):
        models = {"tuned": stage}
        if taught == stage:
            models |= {"base": stage - 1} | ({ORIGINAL_BASE: ORIGINAL} if stage > 1 else {})
        for task in tasks:
            keys = [item.key for item in items_of(task, task.test)]
            for model, at in models.items():
                evaluation = scored.get((model, "task", task.name))
                declared = [] if evaluation is None else [item.key for item in evaluation.items()]
                if evaluation is None or declared != keys:
                    raise _other_rows(task, keys, declared, run)
                primary = evaluation.primary()
                assert primary is not None  # `last_scored`
                yield task.name, at, evaluation.scores()[primary]


def _other_rows(task: TaskQuestions, now: Sequence[str], declared: Sequence[str], run: str) -> InputError:
    if not declared:
        return InputError(
            f"the run has no scores of {task.name}",
            where=run,
            expected="scores of every task of the sequence",
            fix="run its recipe again: it asks what is missing",
        )
    return InputError(
        f"the test rows of {task.name} are not those that the run asked",
        where=run,
        found=f"{len(now)} rows, of which {len(set(now) & set(declared))} are the {len(declared)} asked then",
        expected="the same rows in the same order, so that what was forgotten is seen",
        fix="bring back the data as it was, or run the recipes of the sequence again from the first one on",
    )


def _since_original(first: EarlierRun, store: Store) -> dict[str, Any]:
    """By benchmark that the first run and this one watched: the change in points from the original base to the tuned model.

    A benchmark that the two asked otherwise has the reason instead.
    """
    changes: dict[str, Any] = {}
    with Store.open(first.folder.store, read_only=True) as original:
        before, after = _watched(original, "base"), _watched(store, "tuned")
        for name in sorted(before.keys() & after.keys()):
            try:
                paired, _ = pair_evaluations(before[name], after[name], base=first.name, tuned="this run")
            except InputError as error:
                changes[name] = {"not_compared": error.problem}
                continue
            if (change := gain_in_points(paired)) is not None:
                changes[name] = {**change[0]._asdict(), "n": change[1]}
    return changes


def _watched(store: Store, label: str) -> dict[str, Evaluation]:
    return {
        name: evaluation
        for (model, suite, name), evaluation in store.last_scored().items()
        if (model, suite) == (label, "benchmark")
    }
