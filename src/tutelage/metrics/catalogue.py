"""The catalogue of metrics, and metric names with their options such as `rouge1:stemmer=false`."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tutelage.core.errors import InputError
from tutelage.core.suggestions import nearest
from tutelage.core.version import __version__

Option = bool | int | float | str
MODEL = "model"
"""The option that names a model. A metric that has the option cannot score without a model."""
Direction = Literal["higher", "lower", "target", "none"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One metric of the catalogue.

    Attributes:
        name: the name in recipes and on the command line.
        module: the module of `tutelage.metrics` that computes it.
        implementation: its `MetricImplementation` there.
        kind: how items make the value, which decides its interval and test.
        low: the smallest possible value.
        high: the largest possible value.
        better: which values are better: higher ones, lower ones, those nearer to `target`, or none.
        target: the best value where `better` is `target`, else None.
        summary: one sentence for people.
        paper: where it was defined.
        program: the program whose values it equals.
        options: each option's type or choices, default and meaning.
        fixed: option values that the name itself stands for.
        reads: fields that a row must have beside its references.
        may_read: fields that it reads where a row has them.
        predicted: fields that only a prediction's row can have, such as a confidence: `tutelage score` reads them.
    """

    name: str
    module: str
    implementation: str
    kind: Literal["proportion", "mean", "other"]
    low: float
    high: float
    better: Direction
    target: float | None
    summary: str
    paper: str
    program: str
    options: Mapping[str, Mapping[str, Any]]
    fixed: Mapping[str, Option] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    may_read: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert (self.target is not None) == (self.better == "target"), self.name

    @property
    def needs_model(self) -> bool:
        """Whether the metric reads texts with a model that the option `model` names."""
        return MODEL in self.options

    def in_signature(self, option: str) -> bool:
        """Whether the signature has an option as it was written; else the metric's note says what it stands for."""
        return bool(self.options.get(option, {}).get("in_signature", True))


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric with all its options; `text` is how the user wrote it."""

    text: str
    entry: CatalogueEntry
    options: Mapping[str, Option]

    @property
    def signature(self) -> str:
        """Name, options and version: what must agree for two scores to be comparable."""
        options = [
            f"{key}:{_as_text(value)}" for key, value in self.options.items() if self.entry.in_signature(key)
        ]
        return "|".join([self.entry.name, *options, f"version:{__version__}"])


@functools.cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """Every metric by name."""
    table = _table()
    return {name: _entry(name, fields, table["options"]) for name, fields in table["metrics"].items()}


def metric_names() -> list[str]:
    """All names of metrics and of groups of metrics, in the catalogue's order."""
    return [*_table()["groups"], *catalogue()]


def expand(names: Sequence[str]) -> list[str]:
    """Replace names of groups by their metrics, options included, and drop duplicates: `rouge` becomes four metrics.

    Raises:
        InputError: a name or an option does not exist.
    """
    metrics: list[str] = []
    for text in names:
        name, _, options = text.partition(":")
        members = _table()["groups"].get(name, [name])
        metrics += [f"{member}:{options}" if options else member for member in members]
    for text in metrics:
        parse(text)
    return list(dict.fromkeys(metrics))


@functools.lru_cache(maxsize=512)
def parse(text: str) -> MetricSpec:
    """Read one metric's name and options.

    Raises:
        InputError: the name, an option or its value does not exist; the nearest existing one is named.
    """
    name, *pairs = text.split(":")
    entry = catalogue().get(name)
    if entry is None:
        close = nearest(name, metric_names())
        raise InputError(
            "there is no such metric",
            where=f"metric {text!r}",
            found=name or "an empty name",
            expected=f"one of {', '.join(metric_names())}",
            fix=f"did you mean {close}?" if close else "choose one of these",
        )
    options: dict[str, Option] = {key: option["default"] for key, option in entry.options.items()}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in entry.options:
            close = nearest(key, list(entry.options))
            raise InputError(
                "there is no such option" if equals else "an option is written key=value",
                where=f"metric {text!r}",
                found=pair or "nothing",
                expected=", ".join(f"{option}=..." for option in entry.options) or f"{name} has no options",
                fix=f"did you mean {close}?" if close else None,
            )
        options[key] = _option_value(text, key, value, entry.options[key])
    return MetricSpec(text, entry, {**options, **entry.fixed})


def _option_value(text: str, key: str, value: str, option: Mapping[str, Any]) -> Option:
    choices = [_as_text(choice) for choice in option.get("choices", [])]
    kind = option.get("type", "choice")
    parsed = _parse_option(value, kind, choices)
    inside = isinstance(parsed, bool | str) or (
        parsed is not None and option.get("min", parsed) <= parsed <= option.get("max", parsed)
    )
    if parsed is None or not inside:
        limits = " to ".join(str(option[end]) for end in ("min", "max") if end in option)
        expected = {"bool": "true or false", "choice": ", ".join(choices)}.get(kind, f"{kind} {limits}")
        raise InputError(
            f"{key} cannot be that",
            where=f"metric {text!r}",
            found=value or "nothing",
            expected=expected.strip(),
        )
    return parsed


def _parse_option(value: str, kind: str, choices: Sequence[str]) -> Option | None:
    """The option's value, None when it is not of its kind."""
    if kind == "bool":
        return {"true": True, "false": False}.get(value.lower())
    if kind == "choice":
        return value if value in choices else None
    if kind == "text" or value in choices:
        return value
    try:
        number = int(value) if kind == "int" else float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


OF_TEXTS = ("logprob", "tokens")
"""The fields that come with a text whose likelihood a model was asked for."""


def check_scores_answers(text: str, *, without_fields: bool = False, provided: Collection[str] = ()) -> None:
    """Check that a metric can score the answers of a model to a recipe's or benchmark's questions.

    Args:
        text: a metric's name with its options, or a group's.
        without_fields: whether the questions have no fields beside prompt and references.
        provided: fields that come with the answers, as choices come with their log-probabilities.

    Raises:
        InputError: the metric does not exist, or reads fields that such answers do not have.
    """
    for metric in expand([text]):
        spec = parse(metric)
        if spec.options.get("invalid") == "refuse":
            raise InputError(
                "a model may answer something that is no number, and the metric would then stop the run",
                where=f"metric {text!r}",
                found=metric,
                expected="the number that stands for such answers, as in T5",
                fix=f"write {spec.entry.name}:invalid=-1, or another number",
            )
        require_model(spec)
        missing = [name for name in spec.entry.predicted if name not in provided]
        reads = spec.entry.reads if without_fields else ()
        missing = missing or [name for name in reads if name not in provided]
        if missing:
            raise InputError(
                f"the metric reads {' and '.join(missing)}, which these answers do not have",
                where=f"metric {text!r}",
                found=spec.entry.name,
                expected="a metric of prediction and references, such as rougeL, accuracy or exact_match",
                fix="choose another metric; `tutelage score` takes this one for files that have the field",
            )


def require_model(spec: MetricSpec) -> None:
    """Raise an InputError when a metric needs a model and its options name none."""
    if spec.entry.needs_model and not spec.options[MODEL]:
        raise InputError(
            f"{spec.entry.name} needs an encoder",
            where=f"metric {spec.text!r}",
            found="no model",
            expected="model=FOLDER or model=OWNER/NAME, such as model=FacebookAI/roberta-large",
            fix=f"write {spec.text}:model=FOLDER",
        )


def check_primary(text: str) -> None:
    """Check that a metric can decide whether a model learned or forgot: some of its values are better than others.

    Raises:
        InputError: the metric does not exist or has no direction.
    """
    entry = parse(expand([text])[0]).entry
    if entry.better == "none":
        raise InputError(
            f"{entry.name} cannot be the primary metric: none of its values is better than another",
            where=f"metric {text!r}",
            found=f"{text} in first place",
            expected="a metric with a direction first, such as rougeL or accuracy",
            fix="name another metric first; this one may follow it",
        )


def _entry(name: str, fields: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]]) -> CatalogueEntry:
    low, high = fields["range"]
    module, _, implementation = fields["implementation"].rpartition(".")
    return CatalogueEntry(
        name=name,
        module=module,
        implementation=implementation,
        kind=fields["kind"],
        low=-math.inf if low is None else float(low),
        high=math.inf if high is None else float(high),
        better=fields.get("better", "higher"),
        target=float(fields["target"]) if "target" in fields else None,
        summary=fields["summary"],
        paper=fields.get("paper", ""),
        program=fields.get("program", ""),
        options={shared[key].get("name", key): shared[key] for key in fields.get("options", [])},
        fixed=fields.get("fixed", {}),
        reads=tuple(fields.get("reads", ())),
        may_read=tuple(fields.get("may_read", ())),
        predicted=tuple(fields.get("predicted", ())),
    )


@functools.cache
def _table() -> dict[str, Any]:
    from tutelage.core import yamltext  # PyYAML takes as long to import as all of the metrics

    return yamltext.table("tutelage.metrics", "catalogue.yaml")


def _as_text(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
