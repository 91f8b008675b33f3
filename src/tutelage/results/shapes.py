"""The shapes of the JSON documents that a run or an evaluation leaves, checked whenever one is read.

Keys that are not named here are let through, and what older versions did not write may be missing; what is there has
to have its type. `check` turns every mismatch into an InputError with file and field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tutelage.core.errors import InputError, InputErrors
from tutelage.core.limits import MAX_ERRORS

FAR = 1e100
"""No number of a document is as large as this: sums and squares of what is smaller do not overflow."""

Number = Annotated[float, Field(strict=True, gt=-FAR, lt=FAR, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1.000001, allow_inf_nan=False)]
"""A probability, with room for rounding."""
Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Text = Annotated[str, Field(strict=True)]
Counts = dict[Text, Count]
Words = Literal["yes", "no", "unclear"]


class Shape(BaseModel):
    """A JSON object of which only the named keys are looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Score(Shape):
    """A metric's value."""

    value: Number
    low: Number
    high: Number
    n: Count


class Difference(Score):
    """Tuned minus base."""

    p: Share
    p_adjusted: Share | None = None
    effect: Number | None = None
    detectable: Number | None = None


class Again(Shape):
    """What an evaluation's self-check found."""

    n: Count
    wrong: list[Text]
    ties: Count
    difference: Number | None = None


class Extraction(Shape):
    """How many answers were found with doubt."""

    n: Count
    unmarked: Count
    ambiguous: Count
    cut_off: Count
    empty: Count


class LeftExamples(Shape):
    """Worked examples that did not fit."""

    items: Count
    examples: Count


class Told(Shape):
    """What is to be known of a benchmark beside its scores."""

    version: Any = None
    shots: Count | None = None
    missing_parts: list[Text] = []
    sampled_of: Count | None = None
    sizes: Counts = {}
    shots_dropped: LeftExamples | None = None
    notes: list[Text] = []
    self_check: Again | None = None
    extraction: Extraction | None = None


class Outcome(Shape):
    """One task or benchmark, before and after."""

    primary: Text
    base: dict[Text, Score]
    tuned: dict[Text, Score]
    difference: dict[Text, Difference]
    parts: dict[Text, Outcome] = {}
    told: Told = Told()

    @model_validator(mode="after")
    def _primary_is_there(self) -> Self:
        for side in ("base", "tuned", "difference"):
            if self.primary not in getattr(self, side):
                raise ValueError(f"primary|a metric that stands in {side}")
            if getattr(self, side).keys() != self.base.keys():
                raise ValueError(f"{side}|the same metrics as in base")
        return self


class Mean(Shape):
    """A mean over tasks."""

    value: Number
    low: Number
    high: Number
    n: Count


class MeanDifference(Mean):
    """The difference of two means."""

    p: Share


class Group(Shape):
    """Tasks summed up."""

    tasks: list[Text]
    without: list[Text]
    base: Mean
    tuned: Mean
    difference: MeanDifference


class Verdict(Shape):
    """Both answers, and the sentence."""

    learned: Words
    forgot: Words
    sentence: Text


class Digests(Shape):
    """The hashes of one evaluation: what was asked and answered, and what it scored."""

    model: Text
    suite: Text
    name: Text
    fingerprint: Text
    answers: Text
    scores: Text


class StoreRecord(Shape):
    """The hashes of a results.sqlite: of each evaluation that counts, and of the training log."""

    evaluations: list[Digests]
    steps: Text


class FileRecord(Shape):
    """One file of a manifest."""

    size: Count
    sha256: Annotated[str, Field(strict=True, pattern="^[0-9a-f]{64}$")]


class TunedRecord(Shape):
    """tuned.json."""

    identity: Text
    step: Count | None = None
    steps: Count | None = None
    validation_loss: Number | None = None
    files: dict[Text, FileRecord] | None = None
    recorded: Literal["when written", "later"] | None = None
    base: Text | None = None
    seen: dict[Text, Any] | None = None


class MadeFrom(Shape):
    """What a results.json was computed from."""

    card: Text
    store: StoreRecord
    tuned: TunedRecord


class Results(Shape):
    """results.json."""

    recipe: dict[Text, Any]
    provenance: dict[Text, Any]
    tasks: dict[Text, Outcome]
    watched: dict[Text, Outcome]
    verdict: Verdict
    groups: dict[Text, Group] = {}
    made_from: MadeFrom | None = None


class Benchmark(Told):
    """One benchmark of an evaluation.json."""

    primary: Text
    scores: dict[Text, Score]
    groups: list[Text] = []
    headline: Text = ""
    parts: dict[Text, dict[Text, Score]] = {}


class EvaluationMadeFrom(Shape):
    """What an evaluation.json was computed from."""

    store: StoreRecord


class Evaluation(Shape):
    """evaluation.json."""

    provenance: dict[Text, Any]
    benchmarks: dict[Text, Benchmark]
    base: dict[Text, Benchmark] = {}
    made_from: EvaluationMadeFrom | None = None


class Quantiles(Shape):
    """Lengths in tokens; empty when there are no rows."""

    min: Count | None = None
    median: Count | None = None
    p95: Count | None = None
    max: Count | None = None


class Bars(Shape):
    """A histogram; empty when there are no rows."""

    start: Count = 0
    width: Count = 1
    bars: list[Count] = []


class Tokens(Shape):
    """What one split of a task is in tokens."""

    tokens: Count | None = None
    loss_tokens: Count | None = None
    truncated: Count | None = None
    prompt: Quantiles | None = None
    completion: Quantiles | None = None
    histograms: dict[Text, Bars] = {}

    @model_validator(mode="after")
    def _both(self) -> Self:
        if self.tokens and self.loss_tokens is None:
            raise ValueError("loss_tokens|a whole number beside tokens")
        for side, bars in self.histograms.items():
            extent = getattr(self, side, None) if side in ("prompt", "completion") else None
            if (
                extent is not None
                and bars.bars
                and extent != Quantiles()
                and None in extent.__dict__.values()
            ):
                raise ValueError(f"{side}|min, median, p95 and max")
        return self


class Place(Shape):
    """A row that was left out."""

    where: Text | None = None
    why: Text | None = None


class Leak(Shape):
    """A test row and the training row that says the same."""

    test: Any
    train: Any


class Looked(Shape):
    """Test rows that a person has looked at."""

    rows: Count
    first: Any


class Row(Shape):
    """A row with its tokens."""

    id: Any = None
    origin: Any = None
    tokens: list[Text] = []
    mask: list[Any] = []


class TaskCard(Shape):
    """What the card says of one task."""

    source: dict[Text, Any] | None = None
    rows: Any = None
    splits: Counts | None = None
    tokens: dict[Text, Tokens] | None = None
    wordings: dict[Text, Counts] | None = None
    shots: Counts | None = None
    repeated: Counts | None = None
    near: Counts | None = None
    dropped: list[Place] | None = None
    leaks: dict[Text, list[Leak]] | None = None
    looked: Looked | None = None
    examples: list[Row] | None = None


class Hit(Shape):
    """A watched item that stands in training."""

    item: Any
    train: Any
    how: Any


class Overlap(Shape):
    """A watched benchmark's items among the training rows."""

    items: Count
    found: Count
    first: list[Hit]


class Form(Shape):
    """What training saw in one style or under one template."""

    rows: Count
    tokens: Count
    loss_tokens: Count


class Seen(Form):
    """What training saw of one task."""

    asked: Number | None = None
    most: Count | None = None
    styles: dict[Text, Form]
    templates: dict[Text, Form]


class Training(Shape):
    """What training saw in all."""

    objective: dict[Text, Number] | None = None
    steps: Count | None = None
    rows_seen: Count | None = None
    tokens_seen: Count | None = None
    loss_tokens_seen: Count | None = None
    packs: Count | None = None
    fill: Number | dict[Text, Number] | None = None
    tasks: dict[Text, Seen] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fill is not None and self.packs is None:
            raise ValueError("packs|a whole number beside fill")
        if self.tasks and not sum(one.rows for one in self.tasks.values()):
            raise ValueError("tasks|at least one row")
        return self


class Replay(Shape):
    """What was mixed in so that it is not forgotten."""

    from_: Text = Field(alias="from")
    token_share: Number
    row_share: Number


class LeftOut(Shape):
    """A task that is too near to what is held out."""

    task: Any
    cluster: Any


class Mixture(Shape):
    """What the card says of the mixture."""

    said: list[Any] | None = None
    replay: Replay | None = None
    left_out: list[LeftOut] | None = None


class Card(Shape):
    """data/card.json."""

    tasks: dict[Text, TaskCard] | None = None
    overlap: dict[Text, Overlap] | None = None
    training: Training | None = None
    mixture: Mixture | None = None

    @model_validator(mode="after")
    def _replayed_is_there(self) -> Self:
        seen = (self.training and self.training.tasks) or {}
        replay = self.mixture and self.mixture.replay
        if seen and replay:
            if replay.from_ not in seen:
                raise ValueError("mixture.replay.from|a task that training saw")
            if not sum(one.tokens for one in seen.values()):
                raise ValueError("training.tasks|at least one token")
        return self


def check(shape: type[Shape], document: Mapping[str, Any], *, where: str, fix: str) -> None:
    """Check a document against its shape.

    Raises:
        InputErrors: what does not fit, at most 20, each with file and field.
    """
    try:
        shape.model_validate(document)
    except ValidationError as error:
        mistakes = [_mistake(one, where, fix) for one in error.errors(include_url=False)]
        raise InputErrors(f"{where} is not a whole {Path(where).name}", mistakes[:MAX_ERRORS]) from None


_EXPECTED = {
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
    "string_type": "a text",
}


def _mistake(error: Mapping[str, Any], where: str, fix: str) -> InputError:
    """One mismatch that pydantic names, as ours."""
    path = [str(step) for step in error["loc"] if step not in _BRANCHES]
    kind, context = error["type"], error.get("ctx", {})
    found, expected = _found(error["input"]), _EXPECTED.get(kind, "")
    if kind == "missing":
        found, expected = "nothing", "a value"
    elif kind == "value_error":
        field, _, expected = str(context["error"]).partition("|")
        path.append(field)
        found = _found(_below(error["input"], field))
    elif kind == "literal_error":
        expected = str(context["expected"]).replace("'", "").replace(", ", " or ")
    return InputError(
        "not as it must be",
        where=f"{where}: {'.'.join(path)}",
        found=found,
        expected=expected or str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, "),
        fix=fix,
    )


_BRANCHES = frozenset({"float", "dict[constrained-str,float]", "[key]"})
"""What pydantic puts into a path beside keys: the members of a union."""


def _below(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else getattr(value, step, None)
    return value


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    try:
        text = json.dumps(value, ensure_ascii=True, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text[:200]
