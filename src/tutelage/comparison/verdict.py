"""Did it learn, did it forget: the rules, and the sentence that says so with numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.comparison import reach, wording
from tutelage.comparison.budget_words import budget_word, excluded_loss
from tutelage.comparison.budgets import Budget, Nats, exceeds
from tutelage.comparison.nats_words import NatsWord, lost_nats, nats_facts
from tutelage.comparison.task_comparison import ALPHA, DEFAULT_BUDGET, TaskComparison
from tutelage.comparison.wording import format_number

VerdictWord = Literal["yes", "no", "unclear"]
MAX_NAMED = 3

_GROUPS = (
    "rose",
    "fell",
    "open",
    "lost_over",
    "lost",
    "lost_unsettled",
    "lost_within",
    "unsettled",
    "few",
    "unclear",
    "kept",
    "not_lost",
    "no_direction",
)
"""The sentences of the verdict in their order: those about tasks, those about watched benchmarks, and one for either."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes, no or unclear for both questions, and the same in a sentence.

    `over_budget` names what lost more than a stated budget, not by chance. `reached` says whether all targets of the recipe are
    reached; None without any.
    """

    learned: VerdictWord
    forgot: VerdictWord
    sentence: str
    over_budget: tuple[str, ...] = ()
    reached: VerdictWord | None = None

    def as_json(self) -> dict[str, str]:
        """The verdict as in results.json; `reached` is there where the recipe states a target."""
        target = {"reached": self.reached} if self.reached else {}
        return {"learned": self.learned, "forgot": self.forgot, **target, "sentence": self.sentence}


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
    budgets: Mapping[str, Budget],
    names: SideNames,
) -> Verdict:
    """Judge comparisons with adjusted p values.

    Learned: yes when every task improved, no when one got worse, else unclear. Forgot: yes when something watched got
    worse; no when for all of it a loss above its budget is excluded; else unclear. What was not measured is unclear, and
    so is a change of a metric without a direction. Reached: yes when all targets are, no when one is missed, else unclear.
    """
    sentences = wording.verdict_sentences(names.kind)
    watched_groups = [_watched_group(benchmark, budgets) for benchmark in watched]
    about_tasks = _grouped_sentences(tasks, list(map(_task_group, tasks)), sentences)
    about_watched = _grouped_sentences(watched, watched_groups, sentences, budgets)
    parts = [
        sentences["prefix"].format(base=names.base, tuned=names.tuned)
        + (about_tasks or sentences["no_tasks"]),
        *_target_sentences(tasks),
        _cut_sentence(tasks, sentences, names),
        about_watched or sentences["not_watched"],
        _parts_sentence(watched, sentences),
    ]
    return Verdict(
        learned=_learned(tasks),
        forgot=_forgot(watched, budgets),
        sentence=" ".join(part for part in parts if part),
        reached=_reached(tasks),
        over_budget=tuple(
            benchmark.name
            for benchmark in watched
            if benchmark.name in budgets and budget_word(benchmark, budgets[benchmark.name]).word == "over"
        ),
    )


def _learned(tasks: Sequence[TaskComparison]) -> VerdictWord:
    if any(task.worsened for task in tasks):
        return "no"
    return "yes" if tasks and all(task.improved for task in tasks) else "unclear"


def _target_sentences(tasks: Sequence[TaskComparison]) -> list[str]:
    """A sentence for each target, those that are missed first; beyond the first few they are counted."""
    stated = [(task.name, target) for task in tasks for target in task.reach]
    order = ("missed", "cannot tell", "reached")
    stated.sort(key=lambda each: order.index(each[1].word))
    rest = [target.word for _, target in stated[MAX_NAMED:]]
    counts = ", ".join(f"{rest.count(word)} {word}" for word in order if word in rest)
    return [
        *(reach.sentence(name, target) for name, target in stated[:MAX_NAMED]),
        *([f"Of {len(rest)} more targets: {counts}."] if rest else []),
    ]


def _reached(tasks: Sequence[TaskComparison]) -> VerdictWord | None:
    words = [target.word for task in tasks for target in task.reach]
    if not words:
        return None
    return "no" if "missed" in words else "unclear" if "cannot tell" in words else "yes"


def _forgot(watched: Sequence[TaskComparison], budgets: Mapping[str, Budget]) -> VerdictWord:
    if any(map(_lost, watched)):
        return "yes"
    within = [
        budget_word(benchmark, budgets.get(benchmark.name, DEFAULT_BUDGET)).word == "within"
        for benchmark in watched
    ]
    return "no" if within and all(within) else "unclear"


def _lost(comparison: TaskComparison) -> bool:
    """Whether something was lost, not by chance: in the primary metric, or in nats where the budget is in nats."""
    return comparison.worsened or (comparison.nats is not None and lost_nats(comparison.nats))


def _task_group(task: TaskComparison) -> str:
    """Which of the verdict's sentences speaks about a task."""
    if task.gain is None:
        return "no_direction"
    return "rose" if task.improved else "fell" if task.worsened else "open"


def _watched_group(comparison: TaskComparison, budgets: Mapping[str, Budget]) -> str:
    """Which of the verdict's sentences speaks about something watched; without a stated budget none names a budget."""
    if comparison.gain is None and comparison.nats is None:
        return "no_direction"
    budget = budgets.get(comparison.name)
    if budget is None:
        excluded = comparison.excludes_loss_above(DEFAULT_BUDGET)
        return "lost" if comparison.worsened else "not_lost" if excluded else "unclear"
    word = budget_word(comparison, budget).word
    if _lost(comparison):
        return {"over": "lost_over", "within": "lost_within", "cannot tell": "lost_unsettled"}[word]
    if word == "within":
        return "kept"
    worst = comparison.worst_loss_points
    if isinstance(budget, Nats) or worst is None or exceeds(worst, budget):
        return "unsettled"
    return "few"


def _cut_sentence(tasks: Sequence[TaskComparison], sentences: Mapping[str, str], names: SideNames) -> str:
    """How many answers ended at the limit of tokens, which no metric forgives."""
    counts = [
        (f"{task.name}: " if len(tasks) > 1 else "")
        + f"{names.base} {task.cut.base}, {names.tuned} {task.cut.tuned} of {task.cut.of}"
        for task in tasks
        if task.cut
    ]
    return sentences["cut"].format(changes=_first_few(counts)) if counts else ""


def _parts_sentence(watched: Sequence[TaskComparison], sentences: Mapping[str, str]) -> str:
    """Parts that got worse, so that a mean does not hide them; averages over parts are no parts."""
    worse = [
        f"{name} of {benchmark.name}: {_change(part)}"
        for benchmark in watched
        for name, part in benchmark.parts.items()
        if part.worsened and name not in wording.AVERAGES
    ]
    return sentences["parts"].format(changes=_first_few(worse)) if worse else ""


def _grouped_sentences(
    comparisons: Sequence[TaskComparison],
    groups: Sequence[str],
    sentences: Mapping[str, str],
    budgets: Mapping[str, Budget] | None = None,
) -> str:
    """One sentence for each group that has members; `groups` has the group of each comparison."""
    texts = []
    for key in _GROUPS:
        members = [comparison for comparison, group in zip(comparisons, groups, strict=True) if group == key]
        if members:
            named = [f"{member.name}: " if len(members) > 1 else "" for member in members]
            changes = [name + _change(member, budgets) for name, member in zip(named, members, strict=True)]
            names = _first_few([member.name for member in members], separator=", ")
            texts.append(sentences[key].format(names=names, changes=_first_few(changes)))
    return " ".join(texts)


def _change(comparison: TaskComparison, budgets: Mapping[str, Budget] | None = None) -> str:
    """One change in numbers: `right answers rose from 2.5 to 86.3 of 100 (+83.8 points, 95 % interval ...)`."""
    metric, difference = comparison.primary, comparison.primary_difference
    words = wording.metric_wording(metric)
    base, tuned = (
        wording.format_score(metric, side[metric].value) for side in (comparison.base, comparison.tuned)
    )
    value, low, high = (
        wording.format_score(metric, number, sign=True)
        for number in (difference.value, difference.low, difference.high)
    )
    verb = "rose" if difference.value > 0 else "fell"
    moved = f"{verb} from {base} to {tuned}" if base != tuned else f"stayed at {base}"
    scale, unit = (" of 100", " points") if words.points is not None else ("", "")
    facts = [f"{value}{unit}", f"95 % interval {low} to {high}", f"{difference.n} items"]
    facts += comparison.facts
    if words.target is not None:
        facts.append(f"best at {wording.format_score(metric, words.target)}")
    if budgets is not None and (comparison.nats or wording.budget_points(metric) is not None):
        facts += _budget_facts(comparison, budgets.get(comparison.name))
    p, adjusted = difference.p, difference.p_adjusted
    if adjusted is not None and p < ALPHA <= adjusted:
        facts.append(
            f"p {wording.format_p(p)}, but {wording.format_p(adjusted)} adjusted for all that were compared"
        )
    return f"{words.phrase} {moved}{scale} ({', '.join(facts)})"


def _budget_facts(comparison: TaskComparison, budget: Budget | None) -> list[str]:
    """The budget, and how many items would do where they are too few; without one, the loss above which all is excluded."""
    if budget is None:
        excluded = excluded_loss(comparison)
        return [] if excluded is None else [f"a loss above {format_number(excluded)} is excluded"]
    word = budget_word(comparison, budget)
    if isinstance(word, NatsWord):
        return nats_facts(word)
    needed = [f"about {word.items:,} items would settle it"] if word.items is not None else []
    return [f"budget {format_number(word.points)}", *needed]


def _first_few(texts: Sequence[str], *, separator: str = "; ") -> str:
    """The first texts, and how many more there are."""
    more = len(texts) - MAX_NAMED
    return separator.join([*texts[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])])
