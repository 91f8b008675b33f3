"""Schemas of the JSON documents in a run's or an evaluation's folder, checked whenever a document is read.

Unknown keys are ignored, and keys that older versions did not write may be missing. A key that is present must have its
type. `check` turns every mismatch into an InputError with file and field.

A validator raises ValueError("FIELD|EXPECTED"), from which `check` makes where and expected of the error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tutelage.core.errors import InputError, InputErrors
from tutelage.core.limits import MAX_ERRORS

MAX_MAGNITUDE = 1e100
"""All numbers of a document are smaller than this, so that their sums and squares do not overflow."""

Number = Annotated[float, Field(strict=True, gt=-MAX_MAGNITUDE, lt=MAX_MAGNITUDE, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1.000001, allow_inf_nan=False)]
"""A probability, with room for rounding."""
Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Text = Annotated[str, Field(strict=True)]
Counts = dict[Text, Count]
Answer = Literal["yes", "no", "unclear"]


class Schema(BaseModel):
    """A JSON object; only the keys that are named here are checked."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ScoreSchema(Schema):
    """A metric's value with its interval."""

    value: Number
    low: Number
    high: Number
    n: Count


class DifferenceSchema(ScoreSchema):
    """Tuned minus base."""

    p: Share
    p_adjusted: Share | None = None
    effect: Number | None = None
    minimum_detectable_effect: Number | None = Field(default=None, alias="detectable")


class SelfCheckSchema(Schema):
    """The self-check of an evaluation: items that were asked again one by one."""

    n: Count
    wrong: list[Text]
    ties: Count
    difference: Number | None = None


class ExtractionSchema(Schema):
    """How many answers were extracted with doubt, by kind of doubt."""

    n: Count
    unmarked: Count
    ambiguous: Count
    cut_off: Count
    empty: Count


class DroppedShotsSchema(Schema):
    """Exemplars that did not fit into the context."""

    items: Count
    examples: Count


class CaveatsSchema(Schema):
    """What a reader has to know about a benchmark's scores."""

    version: Any = None
    shots: Count | None = None
    missing_parts: list[Text] = []
    sampled_of: Count | None = None
    sizes: Counts = {}
    shots_dropped: DroppedShotsSchema | None = None
    notes: list[Text] = []
    self_check: SelfCheckSchema | None = None
    extraction: ExtractionSchema | None = None


class WatchedSchema(Schema):
    """A watched benchmark: only the keys that are read together with the store."""

    caveats: CaveatsSchema = Field(default=CaveatsSchema(), alias="told")


class OutcomeSchema(Schema):
    """One task or benchmark: scores of base and tuned model, and their differences."""

    primary: Text
    base: dict[Text, ScoreSchema]
    tuned: dict[Text, ScoreSchema]
    difference: dict[Text, DifferenceSchema]
    parts: dict[Text, OutcomeSchema] = {}
    caveats: CaveatsSchema = Field(default=CaveatsSchema(), alias="told")

    @model_validator(mode="after")
    def _sides_have_the_same_metrics(self) -> Self:
        for side in ("base", "tuned", "difference"):
            if self.primary not in getattr(self, side):
                raise ValueError(f"primary|a metric that stands in {side}")
            if getattr(self, side).keys() != self.base.keys():
                raise ValueError(f"{side}|the same metrics as in base")
        return self


class MeanSchema(Schema):
    """A mean over tasks."""

    value: Number
    low: Number
    high: Number
    n: Count


class MeanDifferenceSchema(MeanSchema):
    """The difference of two means."""

    p: Share


class TaskGroupSchema(Schema):
    """Several tasks, averaged."""

    tasks: list[Text]
    without: list[Text]
    base: MeanSchema
    tuned: MeanSchema
    difference: MeanDifferenceSchema


class VerdictSchema(Schema):
    """Whether the model learned, whether it forgot, and the sentence that says so."""

    learned: Answer
    forgot: Answer
    sentence: Text


class EvaluationDigestsSchema(Schema):
    """The hashes of one evaluation: of items and responses, and of scores."""

    model: Text
    suite: Text
    name: Text
    fingerprint: Text
    answers: Text
    scores: Text


class StoreDigestsSchema(Schema):
    """The hashes of a results.sqlite: of each evaluation that counts, and of the training log."""

    evaluations: list[EvaluationDigestsSchema]
    steps: Text


class FileSchema(Schema):
    """One file of a manifest."""

    size: Count
    sha256: Annotated[str, Field(strict=True, pattern="^[0-9a-f]{64}$")]


class TunedRecordSchema(Schema):
    """tuned.json."""

    identity: Text
    step: Count | None = None
    steps: Count | None = None
    validation_loss: Number | None = None
    files: dict[Text, FileSchema] | None = None
    recorded: Literal["when written", "later"] | None = None
    base: Text | None = None
    totals: dict[Text, Any] | None = Field(default=None, alias="seen")


class RunSourcesSchema(Schema):
    """What a results.json was computed from, as hashes."""

    card: Text
    store: StoreDigestsSchema
    tuned: TunedRecordSchema


class ResultsHeadSchema(Schema):
    """The keys of results.json that are read together with the store beside it."""

    recipe: dict[Text, Any]
    provenance: dict[Text, Any]
    watched: dict[Text, WatchedSchema] = {}
    made_from: RunSourcesSchema | None = None


class ResultsSchema(Schema):
    """results.json."""

    recipe: dict[Text, Any]
    provenance: dict[Text, Any]
    tasks: dict[Text, OutcomeSchema]
    watched: dict[Text, OutcomeSchema]
    verdict: VerdictSchema
    groups: dict[Text, TaskGroupSchema] = {}
    made_from: RunSourcesSchema | None = None


class BenchmarkSchema(CaveatsSchema):
    """One benchmark of an evaluation.json."""

    primary: Text
    scores: dict[Text, ScoreSchema]
    groups: list[Text] = []
    headline: Text = ""
    parts: dict[Text, dict[Text, ScoreSchema]] = {}


class EvaluationSourcesSchema(Schema):
    """What an evaluation.json was computed from, as hashes."""

    store: StoreDigestsSchema


class EvaluationSchema(Schema):
    """evaluation.json."""

    provenance: dict[Text, Any]
    benchmarks: dict[Text, BenchmarkSchema]
    base: dict[Text, BenchmarkSchema] = {}
    made_from: EvaluationSourcesSchema | None = None


def check(schema: type[Schema], document: Mapping[str, Any], *, where: str, fix: str) -> None:
    """Check a document against its schema.

    Raises:
        InputErrors: at most 20 mismatches, each with file and field.
    """
    try:
        schema.model_validate(document)
    except ValidationError as error:
        mistakes = [_mistake(mismatch, where, fix) for mismatch in error.errors(include_url=False)]
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
    """One mismatch that pydantic reports, as an InputError."""
    path = [str(step) for step in error["loc"] if step not in _UNION_MEMBERS]
    kind, context = error["type"], error.get("ctx", {})
    found, expected = _shortened(error["input"]), _EXPECTED.get(kind, "")
    if kind == "missing":
        found, expected = "nothing", "a value"
    elif kind == "value_error":
        field, _, expected = str(context["error"]).partition("|")
        path.append(field)
        found = _shortened(_value_at(error["input"], field))
    elif kind == "literal_error":
        expected = str(context["expected"]).replace("'", "").replace(", ", " or ")
    return InputError(
        "not as it must be",
        where=f"{where}: {'.'.join(path)}",
        found=found,
        expected=expected or str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, "),
        fix=fix,
    )


_UNION_MEMBERS = frozenset({"float", "dict[constrained-str,float]", "[key]"})
"""What pydantic adds to the path of keys: the members of a union, and a mark for keys."""


def _value_at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else getattr(value, step, None)
    return value


def _shortened(value: Any) -> str:
    if value is None:
        return "nothing"
    try:
        text = json.dumps(value, ensure_ascii=True, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text[:200]
