"""The top of a run's page: what changed in one sentence, and what that means for the reader in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tutelage.comparison.failures import Failures, wrong_share
from tutelage.comparison.share_words import FEW_ITEMS
from tutelage.report import formatting
from tutelage.report.scores import ScoreChart

_LEARNED = {
    ("yes", None): "It got better at {names}",
    ("yes", "yes"): "It got better at {names}, reaches the target",
    ("yes", "no"): "It got better at {names}, misses the target",
    ("yes", "unclear"): "It got better at {names}, may or may not reach the target",
    ("no", None): "It got worse at {names}",
    ("unclear", None): "Whether it got better at {names} is unclear",
    ("unclear", "yes"): "Whether it got better at {names} is unclear, though it reaches the target",
}
"""By learned and reached; what is not here is said without the target, which the page states below."""
_LOST = "Before you use it, look at what was lost; protect: auto in the recipe keeps losses within a budget."
_MISSED = "It is not good enough yet by the recipe's own target: see what is still wrong, and add rows of that kind."
_TOO_FEW = (
    "The test rows are too few to tell this from chance: give split.test more of them before you decide."
)
_TOO_FEW_WATCHED = (
    "The watched items are too few to exclude a loss that matters: watch more of them before you rely on it."
)
_FORGOT = {
    "yes": "forgot some of {names}",
    "no": "kept {names}",
    "unclear": "may or may not have forgotten some of {names}",
}


def headline(
    verdict: Mapping[str, Any],
    tasks: Sequence[ScoreChart],
    watched: Sequence[ScoreChart],
    failures: Sequence[Failures] = (),
) -> str:
    """What got better, how far that goes, and what was kept, in one sentence that also says what was not measured.

    Args:
        verdict: of results.json.
        tasks: the charts of the tasks.
        watched: the charts of the watched benchmarks.
        failures: where the tuned model still fails.
    """
    first = _about_tasks(verdict, tasks, failures) if tasks else "What it learned was not measured"
    if not watched:
        return f"{first}; what it forgot was not measured."
    second = _about_watched(verdict, watched)
    if not first.startswith("It "):
        return f"{first}; it {second}."
    good = verdict["learned"] == "yes" and verdict.get("reached") != "no", verdict["forgot"] == "no"
    if all(good) or not any(good):
        return f"{first}{',' if ',' in first else ''} and {second}."
    return f"{first}, but {second}."


def _about_tasks(
    verdict: Mapping[str, Any], tasks: Sequence[ScoreChart], failures: Sequence[Failures]
) -> str:
    learned, reached = verdict["learned"], verdict.get("reached")
    shown = [chart for chart in tasks if chart.main.change == "fell"] if learned == "no" else tasks
    form = _LEARNED.get((learned, reached)) or _LEARNED[learned, None]
    clause = form.format(names=_names(shown, "tasks"))
    if learned == "yes" and reached is None and len(tasks) == 1:
        words = [
            wrong_share(each.wrong, each.judged)
            for each in failures
            if (each.suite, each.name) == ("task", tasks[0].name)
        ]
        clause += "".join(f", is {each}" for each in words if each)
    return clause + _few(tasks)


def _about_watched(verdict: Mapping[str, Any], watched: Sequence[ScoreChart]) -> str:
    worse = [chart for chart in watched if chart.main.change == "fell" or chart.lost_nats]
    shown = worse if verdict["forgot"] == "yes" else watched
    return _FORGOT[verdict["forgot"]].format(names=_names(shown, "benchmarks")) + _few(watched)


def _few(charts: Sequence[ScoreChart]) -> str:
    """That there were few items, where there were."""
    fewest = min(chart.main.independent for chart in charts)
    if fewest >= FEW_ITEMS:
        return ""
    return f" ({'some ' * (len(charts) > 1)}on only {fewest} item{'s' * (fewest != 1)})"


def _names(charts: Sequence[ScoreChart], plural: str) -> str:
    """The names of one or two; the number of more."""
    if len(charts) > 2:
        return f"{len(charts)} {plural}"
    return " and ".join(formatting.plain(chart.name) for chart in charts)


def meaning(verdict: Mapping[str, Any], tasks: Sequence[ScoreChart], watched: Sequence[ScoreChart]) -> str:
    """What a reader can do with the verdict, in one sentence: the most pressing of what it says."""
    learned, reached, forgot = verdict["learned"], verdict.get("reached"), verdict["forgot"]
    example = f"reach: {{{tasks[0].main.metric}: 90}}" if tasks else "reach"
    advice = (
        (bool(tasks) and learned == "no", "Do not use it for this: the base does it better."),
        (bool(watched) and forgot == "yes", _LOST),
        (reached == "no", _MISSED),
        (bool(tasks) and "unclear" in (learned, reached), _TOO_FEW),
        (not watched, "To learn what it cost, add watch: [{benchmark: general-probe}] to the recipe."),
        (forgot == "unclear", _TOO_FEW_WATCHED),
        (
            reached == "yes",
            "By the recipe's own target it is good enough to use, within the intervals below.",
        ),
        (
            True,
            f"Whether that is good enough is yours to say: see what is still wrong, or state a target, such as {example}.",
        ),
    )
    return next(sentence for applies, sentence in advice if applies)
