"""Metric names with their options: `rouge1`, `rouge1:stemmer=false`; what there is, and what was asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.version import __version__

Option = bool | int | float | str
Kind = Literal["proportion", "mean", "other"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One metric of the catalogue.

    Attributes:
        name: what it is asked for by.
        family: the function that counts it.
        kind: how items make the value, and so which interval and test it gets.
        low: the smallest possible value.
        high: the largest possible value.
        better: the direction in which it is better.
        summary: one sentence for people.
        paper: where it was defined.
        program: the program whose values it equals.
        options: each option's type or choices, default and meaning.
        fixed: option values that the name itself stands for.
        reads: fields that a row must bring beside its references.
        predicted: fields that only the row of a prediction can bring, such as a confidence: `tutelage score` reads them.
    """

    name: str
    implementation: str
    kind: Kind
    low: float
    high: float
    better: Literal["higher", "lower"]
    summary: str
    paper: str
    program: str
    options: Mapping[str, Mapping[str, Any]]
    fixed: Mapping[str, Option] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric with its options filled in; `text` is how it was asked for."""

    text: str
    entry: CatalogueEntry
    options: Mapping[str, Option]

    @property
    def signature(self) -> str:
        """Name, options and version: what must agree for two scores to be comparable."""
        parts = [self.entry.name, *(f"{key}:{_plain(value)}" for key, value in self.options.items())]
        return "|".join([*parts, f"version:{__version__}"])


@functools.cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """Every metric by name."""
    raw = _raw()
    shared = raw["options"]
    return {name: _entry(name, told, shared) for name, told in raw["metrics"].items()}


def metric_names() -> list[str]:
    """All metric names and group names, in the catalogue's order."""
    return [*_raw()["groups"], *catalogue()]


def expand(spec: Sequence[str]) -> list[str]:
    """The metrics that names stand for: `rouge` becomes its four, options are handed on, doubles go.

    Raises:
        InputError: a name or an option is not known.
    """
    found: list[str] = []
    for text in spec:
        name, _, options = text.partition(":")
        members = _raw()["groups"].get(name, [name])
        found += [f"{member}:{options}" if options else member for member in members]
    for text in found:
        parse(text)
    return list(dict.fromkeys(found))


def check(text: str) -> None:
    """Raise an InputError with the nearest name when a metric's or group's name or an option is not known."""
    expand([text])


def higher_is_better(text: str) -> bool:
    """The direction of a metric; a group's is that of its first."""
    return parse(expand([text])[0]).entry.better == "higher"


@functools.lru_cache(maxsize=512)
def parse(text: str) -> MetricSpec:
    """Read one metric's name and options.

    Raises:
        InputError: the name, an option or its value is not known; the nearest known one is said.
    """
    name, *given = text.split(":")
    entry = catalogue().get(name)
    if entry is None:
        raise InputError(
            "there is no such metric",
            where=f"metric {text!r}",
            found=name or "an empty name",
            expected=f"one of {', '.join(metric_names())}",
            fix=did_you_mean(name, metric_names()) or "choose one of these",
        )
    options: dict[str, Option] = {key: told["default"] for key, told in entry.options.items()}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or key not in entry.options:
            raise InputError(
                "there is no such option" if equals else "an option is written key=value",
                where=f"metric {text!r}",
                found=pair or "nothing",
                expected=", ".join(f"{own}=..." for own in entry.options) or f"{name} has no options",
                fix=did_you_mean(key, list(entry.options)),
            )
        options[key] = _value(text, key, value, entry.options[key])
    return MetricSpec(text, entry, {**options, **entry.fixed})


def _value(text: str, key: str, value: str, told: Mapping[str, Any]) -> Option:
    allowed = [_plain(choice) for choice in told.get("choices", [])]
    kind = told.get("type", "choice")
    read = _read(value, kind, allowed)
    inside = isinstance(read, (bool, str)) or (
        read is not None and told.get("min", read) <= read <= told.get("max", read)
    )
    if read is None or not inside:
        limits = " to ".join(str(told[end]) for end in ("min", "max") if end in told)
        expected = {"bool": "true or false", "choice": ", ".join(allowed)}.get(
            kind, f"{kind} {limits}".strip()
        )
        raise InputError(
            f"{key} cannot be that", where=f"metric {text!r}", found=value or "nothing", expected=expected
        )
    return read


def _read(value: str, kind: str, allowed: Sequence[str]) -> Option | None:
    """The option's value, None when it is not of its kind."""
    if kind == "bool":
        return {"true": True, "false": False}.get(value.lower())
    if kind == "choice":
        return value if value in allowed else None
    if kind == "text" or value in allowed:
        return value
    try:
        number = int(value) if kind == "int" else float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def check_scores_answers(text: str, *, without_fields: bool = False, provided: Collection[str] = ()) -> None:
    """Check that a metric can score the answers of a model to a recipe's or benchmark's questions.

    Args:
        text: a metric's name with its options, or a group's.
        without_fields: whether the questions have no fields beside prompt and references.
        provided: fields that answers bring of themselves, as choices bring their log-probabilities.

    Raises:
        InputError: the metric is not known, or reads what such answers do not have.
    """
    for one in expand([text]):
        spec = parse(one)
        entry = spec.entry
        if spec.options.get("invalid") == "refuse":
            raise InputError(
                "a model may answer what is no number, and the metric would then stop the run",
                where=f"metric {text!r}",
                found=one,
                expected="the number that stands for such answers, as T5 has it",
                fix=f"write {entry.name}:invalid=-1, or another number",
            )
        needs = [name for name in entry.predicted if name not in provided] or (
            entry.reads if without_fields else ()
        )
        if needs:
            raise InputError(
                f"the metric reads {' and '.join(needs)}, which these answers do not have",
                where=f"metric {text!r}",
                found=entry.name,
                expected="a metric of prediction and references, such as rougeL, accuracy or exact_match",
                fix="choose another metric; `tutelage score` takes this one for files that have the field",
            )


def _entry(name: str, told: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]]) -> CatalogueEntry:
    low, high = told["range"]
    return CatalogueEntry(
        name=name,
        implementation=told["implementation"],
        kind=told["kind"],
        low=-math.inf if low is None else float(low),
        high=math.inf if high is None else float(high),
        better=told.get("better", "higher"),
        summary=told["summary"],
        paper=told.get("paper", ""),
        program=told.get("program", ""),
        options={shared[key].get("name", key): shared[key] for key in told.get("options", [])},
        fixed=told.get("fixed", {}),
        reads=tuple(told.get("reads", ())),
        predicted=tuple(told.get("predicted", ())),
    )


@functools.cache
def _raw() -> dict[str, Any]:
    from tutelage.core import yamltext  # PyYAML takes as long to import as all of the metrics

    raw: dict[str, Any] = yamltext.table("tutelage.metrics", "catalogue.yaml")
    return raw


def _plain(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
