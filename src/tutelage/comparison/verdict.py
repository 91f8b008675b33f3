"""Did it learn, did it forget: the rules, and the sentence that says so with numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.comparison import wording
from tutelage.comparison.budgets import exceeds
from tutelage.comparison.task_comparison import ALPHA, DEFAULT_BUDGET, TaskComparison
from tutelage.comparison.wording import format_number

VerdictWord = Literal["yes", "no", "unclear"]
MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes, no or unclear for both questions, and the same in a sentence.

    `over_budget` names what lost more than a stated budget, not by chance.
    """

    learned: VerdictWord
    forgot: VerdictWord
    sentence: str
    over_budget: tuple[str, ...] = ()

    def as_json(self) -> dict[str, str]:
        """The verdict as in results.json."""
        return {"learned": self.learned, "forgot": self.forgot, "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class SideNames:
    """The names of the two sides. `kind` chooses the sentences: `run` for base and tuned, `runs` for two runs."""

    kind: Literal["run", "runs"] = "run"
    base: str = "base"
    tuned: str = "tuned"


def verdict(
    tasks: Sequence[TaskComparison],
    watched: Sequence[TaskComparison],
    *,
    budgets: Mapping[str, float],
    names: SideNames,
) -> Verdict:
    """Judge comparisons with adjusted p values.

    Learned: yes when every task improved, no when one got worse, else unclear. Forgot: yes when something watched got
    worse; no when for all of it a loss above its budget is excluded; else unclear. What was not measured is unclear, and
    so is a change of a metric without a direction.
    """
    sentences = wording.verdict_sentences(names.kind)
    parts = [
        sentences["prefix"].format(base=names.base, tuned=names.tuned) + _learned_sentence(tasks, sentences),
        _forgot_sentence(watched, budgets, sentences),
        _parts_sentence(watched, sentences),
    ]
    return Verdict(
        learned=_learned(tasks),
        forgot=_forgot(watched, budgets),
        sentence=" ".join(part for part in parts if part),
        over_budget=tuple(
            benchmark.name
            for benchmark in watched
            if benchmark.name in budgets and benchmark.worsened and _is_over_budget(benchmark, budgets)
        ),
    )


def _learned(tasks: Sequence[TaskComparison]) -> VerdictWord:
    if any(task.worsened for task in tasks):
        return "no"
    return "yes" if tasks and all(task.improved for task in tasks) else "unclear"


def _forgot(watched: Sequence[TaskComparison], budgets: Mapping[str, float]) -> VerdictWord:
    if any(benchmark.worsened for benchmark in watched):
        return "yes"
    excluded = [benchmark.excludes_loss_above(_budget(benchmark, budgets)) for benchmark in watched]
    return "no" if excluded and all(excluded) else "unclear"


def _budget(comparison: TaskComparison, budgets: Mapping[str, float]) -> float:
    return budgets.get(comparison.name, DEFAULT_BUDGET)


def _is_over_budget(comparison: TaskComparison, budgets: Mapping[str, float]) -> bool:
    """Whether the loss is above the budget; without a scale of 0 to 100 it cannot be said to be within."""
    loss = comparison.loss_points
    return loss is None or exceeds(loss, _budget(comparison, budgets))


def _learned_sentence(tasks: Sequence[TaskComparison], sentences: Mapping[str, str]) -> str:
    if not tasks:
        return sentences["no_tasks"]
    groups: dict[str, list[TaskComparison]] = {"rose": [], "fell": [], "open": [], "no_direction": []}
    for task in tasks:
        if task.gain is None:
            group = "no_direction"
        else:
            group = "rose" if task.improved else "fell" if task.worsened else "open"
        groups[group].append(task)
    return _grouped_sentences(groups, sentences, budgets=None)


def _forgot_sentence(
    watched: Sequence[TaskComparison], budgets: Mapping[str, float], sentences: Mapping[str, str]
) -> str:
    if not watched:
        return sentences["not_watched"]
    names = ("lost_over", "lost_within", "unsettled", "few", "kept", "no_direction")
    groups: dict[str, list[TaskComparison]] = {name: [] for name in names}
    for benchmark in watched:
        groups[_watched_group(benchmark, budgets)].append(benchmark)
    return _grouped_sentences(groups, sentences, budgets=budgets)


def _watched_group(comparison: TaskComparison, budgets: Mapping[str, float]) -> str:
    """Which of the verdict's sentences speaks about something watched."""
    budget, worst = _budget(comparison, budgets), comparison.worst_loss_points
    if comparison.gain is None:
        return "no_direction"
    if comparison.worsened:
        return "lost_over" if _is_over_budget(comparison, budgets) else "lost_within"
    if worst is None or exceeds(worst, budget):
        return "unsettled"
    return "few" if comparison.too_few_for(budget) else "kept"


def _parts_sentence(watched: Sequence[TaskComparison], sentences: Mapping[str, str]) -> str:
    """Parts that got worse, so that a mean does not hide them."""
    worse = [
        f"{name} of {benchmark.name}: {_change(part)}"
        for benchmark in watched
        for name, part in benchmark.parts.items()
        if part.worsened
    ]
    return sentences["parts"].format(changes=_first_few(worse)) if worse else ""


def _grouped_sentences(
    groups: Mapping[str, Sequence[TaskComparison]],
    sentences: Mapping[str, str],
    *,
    budgets: Mapping[str, float] | None,
) -> str:
    spoken = []
    for key, members in groups.items():
        if members:
            changes = [_change(comparison, budgets) for comparison in members[:MAX_NAMED]]
            if len(members) > 1:
                changes = [
                    f"{comparison.name}: {text}" for comparison, text in zip(members, changes, strict=False)
                ]
            spoken.append(
                sentences[key].format(
                    names=_first_few([comparison.name for comparison in members], separator=", "),
                    changes=_first_few(changes, count=len(members)),
                )
            )
    return " ".join(spoken)


def _change(comparison: TaskComparison, budgets: Mapping[str, float] | None = None) -> str:
    """One change in numbers: `right answers rose from 2.5 to 86.3 of 100 (+83.8 points, 95 % interval ...)`."""
    metric, difference = comparison.primary, comparison.primary_difference
    words = wording.metric_wording(metric)
    base, tuned = (
        format_number(wording.display_value(metric, side[metric].value))
        for side in (comparison.base, comparison.tuned)
    )
    value, low, high = (
        format_number(wording.display_value(metric, number), sign=True)
        for number in (difference.value, difference.low, difference.high)
    )
    verb = "rose" if difference.value > 0 else "fell"
    moved = f"{verb} from {base} to {tuned}" if base != tuned else f"stayed at {base}"
    scale, unit = (" of 100", " points") if words.points is not None else ("", "")
    facts = [f"{value}{unit}", f"95 % interval {low} to {high}", f"{difference.n} items"]
    if words.target is not None:
        facts.append(f"best at {format_number(wording.display_value(metric, words.target))}")
    if budgets is not None and wording.budget_points(metric) is not None:
        facts.append(f"budget {format_number(_budget(comparison, budgets))}")
    p, adjusted = difference.p, difference.p_adjusted
    if adjusted is not None and p < ALPHA <= adjusted:
        facts.append(f"p {p:.4f}, but {adjusted:.4f} adjusted for all that were compared")
    return f"{words.phrase} {moved}{scale} ({', '.join(facts)})"


def _first_few(texts: Sequence[str], *, count: int | None = None, separator: str = "; ") -> str:
    """The first texts, and how many more there are of `count`."""
    more = (len(texts) if count is None else count) - MAX_NAMED
    return separator.join([*texts[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])])
