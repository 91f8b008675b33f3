"""The base model's own answers to everyday prompts, to be mixed into training: sampled once, kept in the run folder.

Replaying what the base itself says keeps its distribution where the tasks do not reach (arXiv 2505.13811).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.config.mixture_block import Pool, Replay
from tutelage.config.protect_block import BUNDLED, PROMPT_SAMPLES, PROMPT_TOKENS, SAMPLED, SelfReplay
from tutelage.config.schema import Recipe
from tutelage.core import files, hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import shorten
from tutelage.core.types import Request, Response, Sampling
from tutelage.data import DataSource, find, read_all
from tutelage.data.duplicates import contaminated_items
from tutelage.engine.sampling import draws
from tutelage.protection.prompts import bundled_prompts
from tutelage.protection.sample_quality import NEAR, reason_to_drop
from tutelage.protection.sampled_prompts import PromptCounts

NAME = "self-replay"
FIELD = "prompt"


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """What became of the answers.

    Attributes:
        asked: how many answers were sampled.
        kept: answers that are replayed.
        cut_off: answers that had not ended at the limit.
        empty: answers without text.
        degenerate: answers that repeat themselves.
        prompts: what became of the prompts, where the base wrote them too.
    """

    asked: int
    kept: int
    cut_off: int
    empty: int
    degenerate: int
    prompts: PromptCounts | None = None

    def as_json(self) -> dict[str, Any]:
        """The counts as in the record of the answers and in the data card."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ReplayCounts:
        """Read what `as_json` wrote. Raises TypeError where a count is missing."""
        prompts = values.get("prompts")
        return cls(**{**values, "prompts": None if prompts is None else PromptCounts(**prompts)})

    def sentence(self) -> str:
        """The counts for people."""
        reasons = {"cut off": self.cut_off, "empty": self.empty, "repeating themselves": self.degenerate}
        dropped = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        answers = f"{self.kept} of the base's own answers are replayed" + (
            f"; dropped: {dropped}" if dropped else ""
        )
        return answers if self.prompts is None else f"{self.prompts.sentence()}. {answers}"


def written_prompts(settings: SelfReplay, root: Path) -> tuple[str, ...]:
    """The prompts that people wrote: the bundled ones, or those of the user's file.

    Raises:
        InputError: the user's file is wrong, or has a row without the column `prompt`.
    """
    if settings.prompts == BUNDLED:
        return bundled_prompts()
    rows = read_all(find(DataSource(path=settings.prompts), root=root, data_dir=None)).examples
    prompts = []
    for row in rows:
        prompt = row.fields.get(FIELD)
        if not isinstance(prompt, str) or not prompt.strip():
            raise InputError(
                "a row has no prompt",
                where=str(row.origin),
                found="the columns " + ", ".join(row.fields),
                expected=f"a text in the column {FIELD}",
                fix=f"name the column {FIELD}, or fill the row",
            )
        prompts.append(prompt)
    return tuple(dict.fromkeys(prompts))


def check_prompts(prompts: Sequence[str], benchmarks: Sequence[Benchmark]) -> None:
    """Refuse prompts that stand in a watched benchmark, exactly or nearly: its scores would say nothing about forgetting.

    Raises:
        InputErrors: each such prompt, with the item.
    """
    items = [item for benchmark in benchmarks for item in benchmark.items]
    matches = contaminated_items([item.prompt for item in items], prompts, NEAR) if items else []
    raise_all(
        "the prompts of the self-replay",
        [
            InputError(
                "a prompt stands in a watched benchmark",
                where=f"protect.self_replay.prompts: {shorten(prompts[match.row])}",
                found=f"near the item {items[match.item].id}",
                expected="prompts that nothing watched asks",
                fix="take it out of the file",
            )
            for match in matches
        ],
    )


def key_of(settings: SelfReplay, prompt_source: Sequence[str], base: str, chat_template: str | None) -> str:
    """The hash of all that the answers depend on.

    Args:
        settings: of the replay; its share is no part of the key.
        prompt_source: the prompts; where the base writes them, the fingerprints of the benchmarks that they are kept away from.
        base: the base model's fingerprint.
        chat_template: in use.
    """
    of_prompts = {"prompt_samples", "prompt_max_tokens"}
    sampling = settings.model_dump(mode="json", exclude={"share", "prompts", *of_prompts})
    if settings.prompts == SAMPLED:
        sampling["prompts"] = [
            SAMPLED,
            settings.prompt_samples or PROMPT_SAMPLES,
            settings.prompt_max_tokens or PROMPT_TOKENS,
        ]
    return hashing.of_json([sampling, list(prompt_source), base, chat_template])


def kept_counts(path: Path, key: str) -> ReplayCounts | None:
    """The counts of answers that were written before; None when there are none, or others."""
    record = _record(path)
    try:
        written = json.loads(record.read_text("utf-8"))
        if written["key"] != key or written["sha256"] != hashing.of_file(path):
            return None
        return ReplayCounts.from_json(written["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_answers(
    path: Path,
    key: str,
    settings: SelfReplay,
    prompts: Sequence[str],
    ask: Callable[[Sequence[Request]], Sequence[Response]],
    *,
    sampled: PromptCounts | None = None,
) -> ReplayCounts:
    """Sample the base's answers and write those that are fit to be learned, as rows with prompt and completion.

    Args:
        path: the file of rows; a record beside it has its hash and the counts.
        key: from `key_of`.
        settings: of the replay.
        prompts: what is asked.
        ask: gives the base's responses, in the requests' order.
        sampled: what became of the prompts, where the base wrote them too.

    Raises:
        InputError: no answer is fit to be learned.
    """
    sampling = (
        Sampling(settings.temperature, settings.top_p, settings.seed) if settings.temperature > 0 else None
    )
    asked_once = [
        Request(
            f"{NAME}-{number}", "generate", prompt, max_new_tokens=settings.max_new_tokens, sampling=sampling
        )
        for number, prompt in enumerate(prompts)
    ]
    requests = [each for request in asked_once for each in draws(request, settings.draws)]
    responses = ask(requests)
    reasons = Counter(reason_to_drop(response) for response in responses)
    rows = [
        {"prompt": request.prompt, "completion": response.text.strip()}
        for request, response in zip(requests, responses, strict=True)
        if not reason_to_drop(response)
    ]
    if not rows:
        raise InputError(
            "the base answers none of the prompts to an end, so nothing of it can be replayed",
            where="protect.self_replay",
            found=", ".join(f"{count} {reason}" for reason, count in reasons.items()),
            expected="a model that answers prompts",
            fix="raise max_new_tokens, or take a base that was tuned on instructions",
        )
    counts = ReplayCounts(
        asked=len(requests),
        kept=len(rows),
        cut_off=reasons["cut off"],
        empty=reasons["empty"],
        degenerate=reasons["degenerate"],
        prompts=sampled,
    )
    files.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    record = {"key": key, "sha256": hashing.of_file(path), "counts": counts.as_json()}
    files.write_text(_record(path), json.dumps(record, indent=1) + "\n")
    return counts


def with_replay(recipe: Recipe, settings: SelfReplay, path: Path) -> Recipe:
    """The recipe with the answers as a pool that is only replayed."""
    pool: dict[str, Any] = {"name": NAME, "data": {"path": str(path.absolute())}}
    replay = Replay.model_validate(
        {"from": Pool.model_validate(pool), "share": settings.share, "repeat": True}
    )
    with_pool = recipe.model_copy(update={"replay": replay})
    with_pool._root, with_pool._notes = recipe.root, recipe.notes  # noqa: SLF001  # a copy of the same recipe
    return with_pool


def _record(path: Path) -> Path:
    return path.with_suffix(".json")
