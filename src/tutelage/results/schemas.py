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
Answer = Literal["yes", "no", "unclear"]


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


class SelfCheck(Shape):
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


class Remarks(Shape):
    """What is to be known of a benchmark beside its scores."""

    version: Any = None
    shots: Count | None = None
    missing_parts: list[Text] = []
    sampled_of: Count | None = None
    sizes: Counts = {}
    shots_dropped: LeftExamples | None = None
    notes: list[Text] = []
    self_check: SelfCheck | None = None
    extraction: Extraction | None = None


class Watched(Shape):
    """A watched benchmark, as the readers of the store beside results.json need it."""

    told: Remarks = Remarks()


class Outcome(Shape):
    """One task or benchmark, before and after."""

    primary: Text
    base: dict[Text, Score]
    tuned: dict[Text, Score]
    difference: dict[Text, Difference]
    parts: dict[Text, Outcome] = {}
    told: Remarks = Remarks()

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

    learned: Answer
    forgot: Answer
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


class Beside(Shape):
    """What of a results.json the readers of the store beside it need."""

    recipe: dict[Text, Any]
    provenance: dict[Text, Any]
    watched: dict[Text, Watched] = {}
    made_from: MadeFrom | None = None


class Results(Shape):
    """results.json."""

    recipe: dict[Text, Any]
    provenance: dict[Text, Any]
    tasks: dict[Text, Outcome]
    watched: dict[Text, Outcome]
    verdict: Verdict
    groups: dict[Text, Group] = {}
    made_from: MadeFrom | None = None


class Benchmark(Remarks):
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
