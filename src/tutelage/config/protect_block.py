"""The recipe's block for protection against forgetting: what is mixed into training, and which scales of the change are tried."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tutelage.core.validation import Block, Text, mistake
from tutelage.training.settings import Seed, unit

PATH = (0.4, 0.55, 0.7, 0.85, 1.0)
"""The scales that `auto` tries."""
BUNDLED = "bundled"
SAMPLED = "sampled"
PROMPT_SAMPLES = 320
PROMPT_TOKENS = 60
MIN_PROMPTS = 32
"""With fewer sampled prompts a share of the training tokens would be a few texts again and again."""
Scale = Annotated[float, Field(gt=0, le=1)]


def _as_tuple(value: Any) -> Any:
    """A list as a tuple: behind `_by_name` values are Python's, where strict mode takes no list for a tuple."""
    return tuple(value) if isinstance(value, list) else value


class SelfReplay(Block):
    """The base model's own answers to everyday prompts, mixed into the training rows: it keeps how to answer them.

    After arXiv 2505.13811, which replays samples of the base itself.
    """

    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.3,
        description="Share of all tokens that are trained on, prompts included.",
        examples=[0.2],
        json_schema_extra=unit("share of tokens"),
    )
    prompts: Text = Field(
        BUNDLED,
        description="Where the prompts come from: bundled (438 everyday instructions), sampled (the base writes them too), or a file of "
        "your own: JSON lines, CSV or another table with a column prompt.",
        examples=["everyday.jsonl"],
    )
    prompt_samples: Annotated[int, Field(ge=MIN_PROMPTS, le=100_000)] | None = Field(
        None,
        description=f"Prompts that are sampled before the unfit ones are dropped, for prompts: sampled; {PROMPT_SAMPLES} by default.",
        examples=[500],
        json_schema_extra=unit("prompts"),
    )
    prompt_max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="Most tokens of a sampled prompt; those that do not end by then are dropped. For prompts: sampled; "
        f"{PROMPT_TOKENS} by default.",
        examples=[100],
        json_schema_extra=unit("tokens"),
    )
    temperature: Annotated[float, Field(ge=0, le=5)] = Field(
        1.0,
        description="Of the sampling of answers: 1 draws from the base's own distribution, 0 takes its likeliest answer.",
        examples=[0.7],
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        0.95,
        description="Answers are sampled from the likeliest tokens that have this share of the probability.",
        examples=[1.0],
        json_schema_extra=unit("probability"),
    )
    max_new_tokens: Annotated[int, Field(ge=1, le=100_000)] = Field(
        96,
        description="Most tokens of an answer; answers that do not end by then are left out.",
        examples=[200],
        json_schema_extra=unit("tokens"),
    )
    draws: Annotated[int, Field(ge=1, le=100)] = Field(
        1,
        description="Answers that are sampled for each prompt.",
        examples=[2],
        json_schema_extra=unit("answers a prompt"),
    )
    seed: Seed = Field(0, description="Seed of the sampling.", examples=[1])


class Protect(Block):
    """What keeps a tuned model from forgetting."""

    self_replay: SelfReplay | None = Field(
        None,
        description="Mix the base model's own answers into training; none by default.",
        examples=[{"share": 0.3}],
    )
    scales: Annotated[tuple[Scale, ...], BeforeValidator(_as_tuple)] = Field(
        (),
        description="Scales of the tuned change: the largest is delivered if it is within all budgets, else the one with the best gain that is. "
        "None by default.",
        examples=[[0.5, 0.75, 1.0]],
    )


def _by_name(value: Any) -> Any:
    """What `auto` and `none` stand for."""
    if not isinstance(value, str):
        return value
    if value == "none":
        return None
    if value == "auto":
        return {"self_replay": {}, "scales": PATH}
    raise mistake(
        "not a way to protect",
        found=value,
        expected="auto, none, or a block with self_replay and scales",
        fix="write protect: auto",
    )


Protection = Annotated[
    Protect | None,
    BeforeValidator(_by_name, json_schema_input_type=Literal["auto", "none"] | Protect | None),
]
