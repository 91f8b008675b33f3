"""Where a tuned model still fails: items that stayed wrong, answers that were cut off, classes, entities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tutelage.comparison.class_report import ClassReport, class_report
from tutelage.comparison.entity_report import EntityReport, entity_report
from tutelage.comparison.judged_items import judge
from tutelage.comparison.share_words import share_in_words
from tutelage.core.types import Response
from tutelage.results.evaluation import Evaluation
from tutelage.results.store import Store


@dataclass(frozen=True, slots=True)
class Failures:
    """What the tuned model still gets wrong of one task or benchmark.

    Attributes:
        suite: "task" or "benchmark".
        name: of the task or benchmark.
        items: how many items both models answered.
        judged: of how many it can be said that their answer is right or wrong.
        judges: the metrics that say so.
        still_wrong: the ids of the items that base and tuned model both answer wrongly.
        wrong: how many the tuned model answers wrongly in all.
        cut_off: the ids of the items whose tuned answer ended at the longest allowed length.
        classes: scores of each class; None where the references are no classes.
        entities: what was missed and invented; None without a metric of entities.
    """

    suite: str
    name: str
    items: int
    judged: int
    judges: tuple[str, ...]
    still_wrong: tuple[str, ...]
    wrong: int
    cut_off: tuple[str, ...]
    classes: ClassReport | None = None
    entities: EntityReport | None = None

    def as_json(self) -> dict[str, Any]:
        """As `compare RUN --json` prints it."""
        return {
            "suite": self.suite,
            "name": self.name,
            "items": self.items,
            "judged": self.judged,
            "judges": list(self.judges),
            "wrong": self.wrong,
            "still_wrong": list(self.still_wrong),
            "cut_off": list(self.cut_off),
            **({"classes": self.classes.as_json()} if self.classes else {}),
            **({"entities": self.entities.as_json()} if self.entities else {}),
        }


def failures_of_run(store: Store) -> Iterator[Failures]:
    """Yield the failures of every task and benchmark that base and tuned model of a run both answered, tasks first."""
    scored = store.last_scored()
    keys = {key[1:]: None for key in scored}
    for suite, name in sorted(keys, key=lambda key: key[0] != "task"):
        base, tuned = (scored.get((model, suite, name)) for model in ("base", "tuned"))
        if base is not None and tuned is not None and suite in ("task", "benchmark"):
            yield failures(base, tuned)


def wrong_in_words(base: Evaluation, tuned: Evaluation) -> str:
    """How many answers the tuned model gets wrong, such as "still wrong in 6 of 10"; "" where no metric says so of an answer."""
    sides = judge(base, tuned).right.values()
    return wrong_share(sum(not right for _, right in sides), len(sides))


def wrong_share(wrong: int, judged: int) -> str:
    """Wrong answers as a share in words; "" where none was judged."""
    return f"still wrong in {share_in_words(wrong, judged)}" if judged else ""


def failures(base: Evaluation, tuned: Evaluation) -> Failures:
    """Find what the tuned model still fails at, from two scored evaluations of the same items."""
    judged = judge(base, tuned)
    before, after = base.responses(), tuned.responses()
    items = [item for item in tuned.items() if item.id in before and item.id in after]
    metrics = list(tuned.item_scores())
    return Failures(
        suite=tuned.suite,
        name=tuned.name,
        items=len(items),
        judged=len(judged.right),
        judges=judged.judges,
        still_wrong=judged.still_wrong,
        wrong=sum(not right for _, right in judged.right.values()),
        cut_off=tuple(item.id for item in items if is_cut_off(after[item.id])),
        classes=class_report(metrics, items, before, after),
        entities=entity_report(metrics, items, before, after),
    )


def is_cut_off(response: Response) -> bool:
    """Whether an answer ended at the longest allowed length; an answer that was chosen has none."""
    return response.choice is None and response.finish == "length"
