"""Prompts from nothing: the base writes what a user would ask, from the beginning of the user's turn on, and then answers it.

A model that was tuned on conversations also learned what users write (Z. Xu et al., "Magpie: Alignment data synthesis from scratch by
prompting aligned LLMs with nothing", 2024, arXiv 2406.08464). So the prompts are near what the model was tuned on, in its languages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutelage.benchmarks import Benchmark
from tutelage.config.protect_block import MIN_PROMPTS, PROMPT_SAMPLES, PROMPT_TOKENS, SelfReplay
from tutelage.core.errors import InputError
from tutelage.core.types import Request, Response, Sampling
from tutelage.data.duplicates import contaminated_items, near_duplicate_groups
from tutelage.engine.sampling import draws
from tutelage.protection.sample_quality import NEAR, reason_to_drop


@dataclass(frozen=True, slots=True)
class PromptCounts:
    """What became of the sampled prompts.

    Attributes:
        sampled: how many were sampled.
        kept: those that are asked.
        cut_off: those whose turn had not ended at the limit.
        empty: those without text.
        degenerate: those that repeat themselves.
        duplicates: those near an earlier one.
        watched: those near an item of a watched benchmark.
    """

    sampled: int
    kept: int
    cut_off: int
    empty: int
    degenerate: int
    duplicates: int
    watched: int

    def dropped(self) -> str:
        """The counts of dropped prompts for people; "" where none was dropped."""
        reasons = {
            "cut off": self.cut_off,
            "empty": self.empty,
            "repeating themselves": self.degenerate,
            "near another": self.duplicates,
            "near a watched item": self.watched,
        }
        return ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)

    def sentence(self) -> str:
        """The counts for people."""
        dropped = self.dropped()
        return f"{self.kept} of {self.sampled} sampled prompts are asked" + (
            f"; dropped: {dropped}" if dropped else ""
        )


def sample_prompts(
    settings: SelfReplay,
    benchmarks: Sequence[Benchmark],
    ask: Callable[[Sequence[Request]], Sequence[Response]],
) -> tuple[tuple[str, ...], PromptCounts]:
    """Sample prompts from the base, and drop what is unfit or watched.

    Args:
        settings: of the replay, with a temperature above 0.
        benchmarks: what is watched.
        ask: gives the base's responses, in the requests' order.

    Raises:
        InputError: the model's user turn cannot be opened, or fewer than `MIN_PROMPTS` prompts remain.
    """
    request = Request(
        "self-replay-prompt",
        "generate",
        "",
        max_new_tokens=settings.prompt_max_tokens or PROMPT_TOKENS,
        form="user",
        sampling=Sampling(settings.temperature, settings.top_p, settings.seed),
    )
    responses = ask(draws(request, settings.prompt_samples or PROMPT_SAMPLES))
    reasons = Counter(reason_to_drop(response) for response in responses)
    fit = [response.text.strip() for response in responses if not reason_to_drop(response)]
    groups = near_duplicate_groups(fit, NEAR)
    distinct = [text for index, text in enumerate(fit) if groups[index] == index]
    prompts = _unwatched(distinct, benchmarks)
    counts = PromptCounts(
        sampled=len(responses),
        kept=len(prompts),
        cut_off=reasons["cut off"],
        empty=reasons["empty"],
        degenerate=reasons["degenerate"],
        duplicates=len(fit) - len(distinct),
        watched=len(distinct) - len(prompts),
    )
    if counts.kept < MIN_PROMPTS:
        raise InputError(
            "too few of the sampled prompts are fit to be asked",
            where="protect.self_replay.prompts",
            found=f"{counts.kept} of {counts.sampled}; dropped: {counts.dropped() or 'none'}",
            expected=f"at least {MIN_PROMPTS}",
            fix="raise prompt_samples; raise prompt_max_tokens if most are cut off; or take bundled",
        )
    return tuple(prompts), counts


def _unwatched(prompts: Sequence[str], benchmarks: Sequence[Benchmark]) -> list[str]:
    """The prompts that are not near an item of what is watched."""
    items = [item.prompt for benchmark in benchmarks for item in benchmark.items]
    unwatched = list(prompts)
    # A search names one prompt for each item: others near the same item are named once that one is dropped.
    while items and (watched := {match.row for match in contaminated_items(items, unwatched, NEAR)}):
        unwatched = [prompt for index, prompt in enumerate(unwatched) if index not in watched]
    return unwatched
