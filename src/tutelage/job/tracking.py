"""Gain and loss over the training: fixed samples, asked of the model in memory at some steps, recorded in curve.json.

Responses are stored batch by batch, as in any evaluation, and a step is recorded when it is measured: a killed run asks no finished
step again. Answers are kept under the training's identity and the step, and in no cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.comparison import PairedScores, wording
from tutelage.comparison.step_curve import CurveLine, StepPoint, curve_sentence, step_point
from tutelage.config.schema import Recipe
from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.version import __version__
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.measure import Measurement, ModelEvaluator
from tutelage.evaluation.progress import Listener, SilentListener
from tutelage.evaluation.step_samples import draw_samples
from tutelage.job.context import RunContext
from tutelage.metrics import expand, score_rows
from tutelage.models import LoadedModel
from tutelage.prepare import template_clock
from tutelage.prepare.encoding import TaskQuestions
from tutelage.results import step_record, tuned_record
from tutelage.results.store import Store

GROUPS = ("tasks", "watched")
Scores = Mapping[str, Mapping[str, Measurement]]
"""By group and name."""


def check_track(
    recipe: Recipe, tasks: Sequence[TaskQuestions], benchmarks: Sequence[Benchmark], *, steps: int
) -> None:
    """Refuse a `track` that measures nothing, or beyond the last step.

    Args:
        recipe: the recipe.
        tasks: what is asked of the tasks.
        benchmarks: what is watched.
        steps: of the training.

    Raises:
        InputError: it does.
    """
    if recipe.track is None:
        return
    recipe.track.steps_of(steps)
    if not benchmarks and not any(task.validation for task in tasks):
        raise InputError(
            "there is nothing to ask during the training",
            where="track",
            found="no task with validation rows, and no watched benchmark",
            expected="at least one of them; test rows are not looked at before the end",
            fix="keep validation rows (split: {validation: 0.1}), add a benchmark to watch, or remove track",
        )


class Tracker:
    """Measures one training at some of its steps.

    Args:
        context: the run, whose recipe has `track`.
        tasks: what is asked of the tasks, validation questions included.
        benchmarks: what is watched.
        training: the training's identity.
        steps: its number of steps.
        store: takes the responses.
        base_is_measured: whether the base's answers to all benchmarks are in the store already, and those to validation rows by
            which a scale or a wording is chosen. Else it is asked the samples only.
    """

    def __init__(
        self,
        context: RunContext,
        tasks: Sequence[TaskQuestions],
        benchmarks: Sequence[Benchmark],
        *,
        training: str,
        steps: int,
        store: Store,
        base_is_measured: bool,
    ) -> None:
        track, protect = context.recipe.track, context.recipe.protect
        assert track is not None
        self._context, self._store, self._last = context, store, steps
        self.steps = track.steps_of(steps)
        self.samples = draw_samples(tasks, benchmarks, items=track.items, seed=track.seed)
        chooses = protect is not None and bool(protect.scales)
        whole = {task.name: task for task in tasks if base_is_measured and (chooses or task.in_all_wordings)}
        self._base_questions = (
            tuple(whole.get(sampled.name, sampled) for sampled in self.samples.tasks),
            tuple(benchmarks) if base_is_measured else self.samples.benchmarks,
        )
        self._identity = {"training": training, "samples": self.samples.fingerprint}
        self._lines: dict[str, dict[str, CurveLine]] = {}
        self._base: Scores = {}

    def begin(self, base: LoadedModel) -> None:
        """Take up the steps that are measured already, and measure the base unless all are."""
        record = self._record()
        if record is not None and record["version"] == __version__:
            self._lines = _lines(record)
        if all(map(self._is_measured, (0, *self.steps))):
            return
        fingerprint = template_clock.with_instant(base.fingerprint, self._context.clock)
        self._context.listener.stage("step 0", f"{self.samples.size} questions")
        with open_answer_cache(self._context.say("cache")) as answers:
            evaluator = ModelEvaluator(
                self._store,
                "base",
                fingerprint,
                self._context.provenance(),
                cache(lambda: keyed_engine(base)),
                _SampleProgress(self._context.listener, self._base_size, lambda: False),
                answers,
            )
            self._base = self._scores(evaluator, *self._base_questions)
        if not self._is_measured(0):
            self._lines = {
                group: {
                    name: CurveLine(each.primary, each.scores[each.primary].score.n, ())
                    for name, each in self._base[group].items()
                }
                for group in GROUPS
            }
            self._add(0, self._base)

    def after_step(self, model: LoadedModel) -> Callable[[int, Callable[[], bool]], None]:
        """What the training loop calls: it measures the model in memory after the tracked steps.

        Args:
            model: the model that is trained, with its adapter.
        """
        load_engine = cache(lambda: keyed_engine(model))

        def measure(step: int, stop_requested: Callable[[], bool]) -> None:
            if step not in self.steps or self._is_measured(step):
                return
            listener = self._context.listener
            listener.stage(f"step {step}", f"{self.samples.size} questions")
            fingerprint = hashing.of_json([self._identity["training"], __version__, step])
            evaluator = ModelEvaluator(
                self._store,
                f"step {step}",
                template_clock.with_instant(fingerprint, self._context.clock),
                self._context.provenance(),
                load_engine,
                _SampleProgress(listener, self.samples.size, stop_requested),
            )
            try:
                scores = self._scores(evaluator, self.samples.tasks, self.samples.benchmarks)
            except _StopRequestedError:
                return  # what was answered is stored
            self._add(step, scores)
            listener.stage("tune", f"step {step}: {self._summary(step)}")

        return measure

    def curve(self) -> dict[str, Any] | None:
        """The curve as in results.json; None, with a note to the listener, where the record of a finished training is gone."""
        record = self._record()
        lines = _lines(record) if record is not None else {}
        if not lines:
            path = self._context.folder.curve
            self._context.listener.stage(
                "tune", f"{path} is not there, so the steps of the training are not in the report"
            )
            return None
        tuned = tuned_record.read(self._context.folder.path) or {}
        return {
            "steps": self._last,
            "delivered": tuned.get("step"),
            **{group: {name: line.as_json() for name, line in lines[group].items()} for group in GROUPS},
            "left_out": list(self.samples.left_out),
            "sentence": curve_sentence(lines["tasks"], lines["watched"]),
        }

    @property
    def _base_size(self) -> int:
        tasks, benchmarks = self._base_questions
        return sum(len(task.validation) for task in tasks) + sum(len(each.items) for each in benchmarks)

    def _record(self) -> dict[str, Any] | None:
        """The record of this training's steps; None if there is none, or it is of another training or of other samples."""
        record = step_record.read(self._context.folder.path)
        if record is None or any(record[key] != value for key, value in self._identity.items()):
            return None
        return record

    def _is_measured(self, step: int) -> bool:
        lines = [line for group in self._lines.values() for line in group.values()]
        return bool(lines) and all(any(point.step == step for point in line.points) for line in lines)

    def _scores(
        self, evaluator: ModelEvaluator, tasks: Sequence[TaskQuestions], benchmarks: Sequence[Benchmark]
    ) -> Scores:
        """Ask these questions, which contain the samples, and score the samples by their primary metrics."""
        scores: dict[str, dict[str, Measurement]] = {group: {} for group in GROUPS}
        for sampled, task in zip(self.samples.tasks, tasks, strict=True):
            ids = {request.id for _, request in sampled.validation}
            answers = zip(task.validation, evaluator.answer_validation(task), strict=True)
            rows = [row for (_, request), row in answers if request.id in ids]
            metric = expand(task.task.metrics)[0]
            scores["tasks"][task.name] = Measurement(metric, score_rows([metric], rows), {})
        for sampled_benchmark, benchmark in zip(self.samples.benchmarks, benchmarks, strict=True):
            result = sampled_benchmark.score(evaluator.answer_benchmark(benchmark))
            scores["watched"][benchmark.name] = Measurement(result.primary, result.scores, {})
        return scores

    def _add(self, step: int, scores: Scores) -> None:
        """Record a measured step. Steps that an earlier, longer attempt had measured already keep their order."""
        for group, lines in self._lines.items():
            for name, line in lines.items():
                base, current = self._base[group][name], scores[group][name]
                point = step_point(step, PairedScores(line.primary, base.scores, current.scores))
                lines[name] = line.with_point(point)
        lines_as_json = {
            group: {name: line.as_json() for name, line in lines.items()}
            for group, lines in self._lines.items()
        }
        record = {**self._identity, "version": __version__, **lines_as_json}
        step_record.write(self._context.folder.path, record)

    def _summary(self, step: int) -> str:
        """The scores of a step, each with its change since step 0, in a line."""
        return ", ".join(
            f"{name} {_shown(line, point)}"
            for group in GROUPS
            for name, line in self._lines[group].items()
            for point in line.points
            if point.step == step
        )


def _lines(record: Mapping[str, Any]) -> dict[str, dict[str, CurveLine]]:
    return {
        group: {name: CurveLine.from_json(line) for name, line in record[group].items()} for group in GROUPS
    }


def _shown(line: CurveLine, point: StepPoint) -> str:
    """A value and its change, on the scale that people are shown."""
    if point.value is None:
        return "has no value"
    value = wording.format_number(wording.display_value(line.primary, point.value))
    if point.difference is None:
        return value
    change = wording.display_value(line.primary, point.difference.value)
    return f"{value} ({wording.format_number(change, sign=True)})"


class _StopRequestedError(Exception):
    """A stop is requested while a step is measured."""


class _SampleProgress(SilentListener):
    """Reports the progress over several tasks and benchmarks as one, and stops between two batches where a stop is requested."""

    def __init__(self, listener: Listener, total: int, stop_requested: Callable[[], bool]) -> None:
        self._listener, self._total, self._stop_requested = listener, total, stop_requested
        self._finished = 0

    def advance(self, done: int, total: int) -> None:
        """Pass on how many of all questions are answered."""
        if self._stop_requested():
            raise _StopRequestedError
        self._listener.advance(self._finished + done, self._total)
        if done == total:
            self._finished += total
