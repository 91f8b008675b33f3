"""Benchmarks ready to run: their items as requests, and a model's responses as scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tutelage.benchmarks.aggregates import ScoredPart, group_scores
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.spec import PartSpec, RunnableSpec
from tutelage.benchmarks.task_scores import TASK_SCORE, ScoredTask, mean_task_score
from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.types import Json, Request, Response
from tutelage.metrics import ItemScores, Row, score_rows
from tutelage.metrics.choices import expected_choice, most_likely_choice


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """A model's scores on a benchmark.

    Attributes:
        primary: the metric that a verdict looks at.
        scores: over all items, by metric; every item weighs the same.
        parts: the same for each part.
        groups: the same for groups of parts, and for averages that weigh parts otherwise (`micro`, `macro`).
        headline: the group whose score is usually quoted; "" for the score over all items.
    """

    primary: str
    scores: Mapping[str, ItemScores]
    parts: Mapping[str, Mapping[str, ItemScores]]
    groups: Mapping[str, Mapping[str, ItemScores]] = field(default_factory=dict)
    headline: str = ""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that was read and checked.

    Attributes:
        name: its name; development items have `:development` behind it.
        spec: what its parts ask.
        items: its questions, in the file's order.
        sizes: how many items each part has in all, also if only a sample is used.
        missing: parts whose data was not found.
        notes: what the user should know of its spec and data.
        substitutes: parts whose rows are not the benchmark's official ones.
        diagnostic: parts that are in no average over parts, here or not.
    """

    name: str
    spec: RunnableSpec
    items: tuple[BenchmarkItem, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    substitutes: tuple[str, ...] = ()
    diagnostic: tuple[str, ...] = ()

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why an average over the parts is not the benchmark's own: averaged parts that are missing or not its official rows."""
        reasons = {"missing": self.averaged(self.missing), "substituted": self.averaged(self.substitutes)}
        return tuple(f"{reason}: {', '.join(parts)}" for reason, parts in reasons.items() if parts)

    def averaged(self, parts: Sequence[str]) -> list[str]:
        """Those parts that count in the average over parts."""
        return [part for part in parts if part not in self.diagnostic]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that have items, in the spec's order."""
        here = {item.part for item in self.items}
        return tuple(part for part in self.spec.parts if part in here)

    @property
    def fingerprint(self) -> str:
        """The sha256 of all that scores depend on: prompts, choices, right answers, how answers are read, metrics."""
        items = [
            [
                item.id,
                item.part,
                item.full_prompt,
                list(item.choices),
                list(item.references),
                item.pattern,
                self._answer_settings(item.part),
                *(
                    [item.form, item.join, item.exemplar_turns]
                    if item.form == "text" or item.exemplar_turns
                    else []
                ),
                *([dict(item.fields), item.cluster] if item.fields or item.cluster is not None else []),
                *([list(item.predictions)] if item.predictions else []),
                *([list(item.categories)] if item.categories else []),
                *([["continuation", item.continuation]] if item.continuation else []),
                *([[item.output.stop, item.output.pattern]] if item.output else []),
            ]
            for item in self.items
        ]
        memberships = {
            name: [part.group, part.fold] for name, part in self.spec.parts.items() if part.group or part.fold
        }
        content: list[Any] = [self.name, self.spec.version, list(self.spec.metrics), items]
        content += [memberships] if memberships else []
        if self.spec.aggregate == "tasks":
            content.append({name: [part.metrics, *_scoring(part)] for name, part in self.spec.parts.items()})
        return hashing.of_json(content)

    def members(self, group: str) -> list[str]:
        """The ids of a group's items; of all items where the name is that of an average."""
        ids = [
            item.id
            for item in self.items
            if group in self.spec.parts[item.part].groups or group in _category_groups(item)
        ]
        return ids or [item.id for item in self.items]

    def requests(self) -> list[Request]:
        """The items as requests to an engine, in their order."""
        return [item.request(self.spec.parts[item.part]) for item in self.items]

    def score(self, responses: Mapping[str, Response]) -> BenchmarkScores:
        """Score a model's responses.

        Args:
            responses: by item id; responses to other items are ignored.

        Raises:
            InputError: an item has no response, or one that does not answer it. It never counts as wrong.
        """
        missing = [item.id for item in self.items if item.id not in responses]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(self.items)} items of {self.name} have no response",
                found="none for " + ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else ""),
                expected="one response for every item",
                fix="evaluate again: what was answered is kept, the rest is asked",
            )
        rows = [self.row(item, responses[item.id]) for item in self.items]
        parts = {
            part: score_rows(self.metrics_of(part), [row for row in rows if row.task == part])
            for part in self.parts
        }
        if self.spec.aggregate == "tasks":
            return self._score_tasks(rows, parts)
        scores = score_rows(self.spec.metrics, rows)
        memberships = {
            name: ScoredPart(part.groups, part.fold, self.sizes.get(name, 0))
            for name, part in self.spec.parts.items()
            if name in parts
        }
        groups = group_scores(self.spec.metrics, rows, memberships, scores)
        headline = self.spec.aggregate if self.spec.aggregate in groups else ""
        return BenchmarkScores(next(iter(scores)), scores, parts, groups, headline)

    def metrics_of(self, part: str) -> Sequence[str]:
        """The metrics of a part: its own, or those of the benchmark."""
        return self.spec.parts[part].metrics or self.spec.metrics

    def _score_tasks(
        self, rows: Sequence[Row], parts: Mapping[str, Mapping[str, ItemScores]]
    ) -> BenchmarkScores:
        """The scores of tasks with metrics of their own, and the mean of their task scores."""
        tasks = {
            name: self._task(name, parts[name], [index for index, row in enumerate(rows) if row.task == name])
            for name in parts
        }
        groups: dict[str, list[str]] = {}
        for name in tasks:
            for group in self.spec.parts[name].groups:
                groups.setdefault(group, []).append(name)

        def mean(names: Sequence[str]) -> dict[str, ItemScores]:
            return {TASK_SCORE: mean_task_score([tasks[name] for name in names], rows)}

        averaged = [name for name in tasks if self.spec.parts[name].averaged] or list(tasks)
        return BenchmarkScores(
            TASK_SCORE,
            _over_all_rows(mean(averaged), averaged, rows),
            {name: {**mean([name]), **parts[name]} for name in tasks},
            {group: mean(names) for group, names in groups.items()} | self._category_scores(rows),
        )

    def _category_scores(self, rows: Sequence[Row]) -> dict[str, dict[str, ItemScores]]:
        """The scores of each category of items within its part."""
        members: dict[str, list[int]] = {}
        for index, item in enumerate(self.items):
            for group in _category_groups(item):
                members.setdefault(group, []).append(index)
        scores = {}
        for group, indices in members.items():
            part_name = self.items[indices[0]].part
            chosen = [rows[index] for index in indices]
            by_metric = score_rows(self.metrics_of(part_name), chosen)
            task = self._task(part_name, by_metric, range(len(chosen)))
            scores[group] = {TASK_SCORE: mean_task_score([task], chosen), **by_metric}
        return scores

    def _task(self, name: str, by_metric: Mapping[str, ItemScores], rows: Sequence[int]) -> ScoredTask:
        part = self.spec.parts[name]
        return ScoredTask(
            scored=list(by_metric.values())[: part.scored],
            rows=rows,
            fold=part.fold or name,
            low=part.low,
            high=part.high,
        )

    def row(self, item: BenchmarkItem, response: Response) -> Row:
        """An answer as metrics read it."""
        part = self.spec.parts[item.part]
        if part.kind == "choose":
            return _chosen(item, part, response)
        reader = part.reading or item.output or part.rule
        answer = reader.answer(response.text)
        references = tuple(map(reader.reference, item.references))
        if item.accepts is not None:
            # What follows the pattern is right whatever it says; what does not equals no reference, as those follow it.
            # No answer is wrong even where the pattern would take it.
            answer = references[0] if answer and item.accepts.matches(answer) else answer
        return Row(answer, references, item.fields, task=item.part, cluster=item.cluster)

    def _answer_settings(self, part_name: str) -> list[str | int | bool]:
        """How the answers of a part are read, for the fingerprint."""
        part = self.spec.parts[part_name]
        if part.kind == "choose":
            return [part.kind, part.normalise, *([] if part.predict == "likeliest" else [part.predict])]
        if part.reading is not None:
            return [
                part.kind,
                part.max_new_tokens,
                *part.stop,
                hashing.of_json(part.reading.model_dump(mode="json")),
            ]
        rule = part.rule
        return [part.kind, part.max_new_tokens, *part.stop, rule.pattern.pattern, rule.take, rule.fold]


def _chosen(item: BenchmarkItem, part: PartSpec, response: Response) -> Row:
    """The row of an answer to `choose`: the choice with the largest normalised log-probability, the first of equals."""
    count = len(item.choices)
    unfit = len(response.logprobs) != count or any(map(math.isnan, response.logprobs))
    if unfit or (part.normalise == "tokens" and len(response.lengths) != count):
        raise InputError(
            f"the response to {item.id} does not fit its choices",
            found=f"log-probabilities: {', '.join(f'{value:.3g}' for value in response.logprobs) or 'none'}",
            expected=f"{count} numbers, one a choice",
            fix="remove the evaluation's folder and evaluate again",
        )
    fields: dict[str, Json] = {
        **item.fields,
        "choices": list(item.choices),
        "logprobs": list(response.logprobs),
        "lengths": list(response.lengths),
    }
    row = Row("", item.references, fields, task=item.part, cluster=item.cluster)
    if part.predict == "expected":
        return replace(row, prediction=repr(expected_choice(row, part.normalise, where=item.id)))
    choice = most_likely_choice(row, part.normalise, where=item.id)
    if item.predictions:
        choice = item.predictions[item.choices.index(choice)]
    return replace(row, prediction=choice)


def _category_groups(item: BenchmarkItem) -> list[str]:
    """The names of the groups of an item's categories, which begin with its part's name."""
    return [f"{item.part}: {category}" for category in item.categories]


def _over_all_rows(
    scores: dict[str, ItemScores], parts: Sequence[str], rows: Sequence[Row]
) -> dict[str, ItemScores]:
    """Scores over the rows of some parts, with `rows` as indices among all rows."""
    members = [index for index, row in enumerate(rows) if row.task in parts]
    return {
        name: replace(score, rows=tuple(members[row] for row in score.rows)) for name, score in scores.items()
    }


def _scoring(part: PartSpec) -> list[Any]:
    """How a part's metrics become its task score, for the fingerprint."""
    return [part.scored, part.low, part.high, part.averaged]
