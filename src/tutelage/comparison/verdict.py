"""Did it learn, did it forget: the rules, and the sentence that says so with numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.comparison import wording
from tutelage.comparison.budgets import exceeds
from tutelage.comparison.outcome import ALPHA, DEFAULT_BUDGET, Outcome

Word = Literal["yes", "no", "unclear"]
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes, no or unclear for both questions, and the same in a sentence.

    `over_budget` names what lost more than a stated budget, not by chance.
    """

    learned: Word
    forgot: Word
    sentence: str
    over_budget: tuple[str, ...] = ()

    def as_json(self) -> dict[str, str]:
        """The verdict as results.json holds it."""
        return {"learned": self.learned, "forgot": self.forgot, "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class SideNames:
    """How the two sides are called. `kind` chooses the sentences: `run` for base and tuned, `runs` for two runs."""

    kind: Literal["run", "runs"] = "run"
    base: str = "base"
    tuned: str = "tuned"


def verdict(
    tasks: Sequence[Outcome], watched: Sequence[Outcome], *, budgets: Mapping[str, float], names: SideNames
) -> Verdict:
    """Judge adjusted outcomes.

    Learned: yes when every task rose, no when one fell, else unclear. Forgot: yes when something watched fell; no when
    for all of it a loss above its budget is excluded; else unclear. What was not measured is unclear.
    """
    say = wording.sentences(names.kind)
    parts = [
        say["prefix"].format(base=names.base, tuned=names.tuned) + _learned_sentence(tasks, say),
        _forgot_sentence(watched, budgets, say),
        _parts_sentence(watched, say),
    ]
    return Verdict(
        learned=_learned(tasks),
        forgot=_forgot(watched, budgets),
        sentence=" ".join(part for part in parts if part),
        over_budget=tuple(
            one.name for one in watched if one.name in budgets and one.fell and _over(one, budgets)
        ),
    )


def _learned(tasks: Sequence[Outcome]) -> Word:
    if any(one.fell for one in tasks):
        return "no"
    return "yes" if tasks and all(one.rose for one in tasks) else "unclear"


def _forgot(watched: Sequence[Outcome], budgets: Mapping[str, float]) -> Word:
    if any(one.fell for one in watched):
        return "yes"
    return "no" if watched and all(_excluded(one, budgets) for one in watched) else "unclear"


def _budget(one: Outcome, budgets: Mapping[str, float]) -> float:
    return budgets.get(one.name, DEFAULT_BUDGET)


def _excluded(one: Outcome, budgets: Mapping[str, float]) -> bool:
    """Whether a loss above the budget is excluded."""
    return one.excludes(_budget(one, budgets))


def _too_few(one: Outcome, budgets: Mapping[str, float]) -> bool:
    """Whether the interval alone would exclude a loss above the budget, and there are too few items for it."""
    worst, budget = one.worst_loss_points, _budget(one, budgets)
    return worst is not None and not exceeds(worst, budget) and one.too_few(budget)


def _over(one: Outcome, budgets: Mapping[str, float]) -> bool:
    """Whether the loss is above the budget; without a scale of 0 to 100 it cannot be said to be within."""
    loss = one.loss_points
    return loss is None or exceeds(loss, _budget(one, budgets))


def _learned_sentence(tasks: Sequence[Outcome], say: Mapping[str, str]) -> str:
    if not tasks:
        return say["no_tasks"]
    groups = {
        "rose": [one for one in tasks if one.rose],
        "fell": [one for one in tasks if one.fell],
        "open": [one for one in tasks if not one.rose and not one.fell],
    }
    return _grouped(groups, say, budgets=None)


def _forgot_sentence(watched: Sequence[Outcome], budgets: Mapping[str, float], say: Mapping[str, str]) -> str:
    if not watched:
        return say["not_watched"]
    fell = [one for one in watched if one.fell]
    rest = [one for one in watched if not one.fell]
    groups = {
        "lost_over": [one for one in fell if _over(one, budgets)],
        "lost_within": [one for one in fell if not _over(one, budgets)],
        "unsettled": [one for one in rest if not _excluded(one, budgets) and not _too_few(one, budgets)],
        "few": [one for one in rest if _too_few(one, budgets)],
        "kept": [one for one in rest if _excluded(one, budgets)],
    }
    return _grouped(groups, say, budgets=budgets)


def _parts_sentence(watched: Sequence[Outcome], say: Mapping[str, str]) -> str:
    """Parts that fell, so that a mean does not hide them."""
    fell = [(name, one, part) for one in watched for name, part in one.parts.items() if part.fell]
    if not fell:
        return ""
    changes = [f"{name} of {one.name}: {_change(part)}" for name, one, part in fell[:MOST_NAMED]]
    return say["parts"].format(changes=_listed(changes, more=len(fell) - MOST_NAMED))


def _grouped(
    groups: Mapping[str, Sequence[Outcome]], say: Mapping[str, str], *, budgets: Mapping[str, float] | None
) -> str:
    found = []
    for key, members in groups.items():
        if members:
            changes = _listed(
                [_named(one, _change(one, budgets), alone=len(members) == 1) for one in members[:MOST_NAMED]],
                more=len(members) - MOST_NAMED,
            )
            shown = _listed(
                [one.name for one in members[:MOST_NAMED]], more=len(members) - MOST_NAMED, between=", "
            )
            found.append(say[key].format(names=shown, changes=changes))
    return " ".join(found)


def _named(one: Outcome, change: str, *, alone: bool) -> str:
    return change if alone else f"{one.name}: {change}"


def _change(one: Outcome, budgets: Mapping[str, float] | None = None) -> str:
    """One change in numbers: `right answers rose from 2.5 to 86.3 of 100 (+83.8 points, 95 % interval ...)`."""
    spoken = wording.metric_wording(one.primary)
    base, tuned = (
        wording.number(wording.display_value(one.primary, side[one.primary].value))
        for side in (one.base, one.tuned)
    )
    value, low, high = (
        wording.display_value(one.primary, number) for number in (one.main.value, one.main.low, one.main.high)
    )
    verb = "rose" if value > 0 else "fell"
    moved = f"{verb} from {base} to {tuned}" if base != tuned else f"stayed at {base}"
    scale, unit = (" of 100", " points") if spoken.points is not None else ("", "")
    budget = (
        f", budget {wording.number(_budget(one, budgets))}"
        if budgets is not None and spoken.points is not None
        else ""
    )
    return (
        f"{spoken.phrase} {moved}{scale} ({wording.number(value, sign=True)}{unit}, 95 % interval "
        f"{wording.number(low, sign=True)} to {wording.number(high, sign=True)}, {one.main.n} items{budget}{_adjusted(one)})"
    )


def _adjusted(one: Outcome) -> str:
    """Both p values where the adjustment alone makes the change one that may be chance."""
    p, adjusted = one.main.p, one.main.p_adjusted
    if adjusted is None or not p < ALPHA <= adjusted:
        return ""
    return f", p {p:.4f}, but {adjusted:.4f} adjusted for all that were compared"


def _listed(found: Sequence[str], *, more: int = 0, between: str = "; ") -> str:
    if more > 0:
        return between.join([*found, f"and {more} more"])
    return between.join(found)
