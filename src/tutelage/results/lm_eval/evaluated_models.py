"""Whose scores are written: the one model of an evaluation, or base and tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.results.digests import read_evaluation, read_results
from tutelage.results.evaluation import Evaluation
from tutelage.results.store import Store


@dataclass(frozen=True, slots=True)
class Side:
    """One model's scored evaluations.

    Attributes:
        label: "base" or "tuned" (or another label), "" when there is one model only.
        model: the model's name.
        evaluations: of each task and benchmark the one that was scored last.
        told: by benchmark, what `evaluation.json` says of it beside its scores.
        provenance: where it was measured.
        started: when, in seconds since 1970; None when that is not known.
        seconds: how long it took; None when other work lies between.
    """

    label: str
    model: str
    evaluations: Sequence[Evaluation]
    told: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Any]
    started: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Said:
    """What evaluation.json or results.json says."""

    models: Mapping[str, str]
    told: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Any]


def sides(store: Store) -> list[Side]:
    """Every model that was scored here, the base first.

    Raises:
        InputError: nothing was scored, or the document beside the store is damaged.
    """
    found: dict[str, dict[tuple[str, str], Evaluation]] = {}
    for one in store.evaluations():
        if one.parts():
            found.setdefault(one.model, {})[one.suite, one.name] = one
    if not found:
        raise InputError(
            "nothing has been scored here yet",
            where=str(store.path),
            fix="finish it with the command that began it, then export",
        )
    said = _said(store.path.parent)
    alone = len(found) == 1
    return [
        _side(label, tuple(found[label].values()), said, alone=alone)
        for label in sorted(found, key=lambda label: label != "base")
    ]


def _side(label: str, evaluations: Sequence[Evaluation], said: _Said, *, alone: bool) -> Side:
    sessions = [session for one in evaluations for session in one.provenance()]
    provenance = said.provenance or (sessions[0] if sessions else {})
    started, ended = moment(provenance.get("started")), moment(provenance.get("ended"))
    return Side(
        label="" if alone else label,
        model=said.models.get(label, said.models.get("", label)),
        evaluations=evaluations,
        told=said.told,
        provenance=provenance,
        started=started,
        seconds=ended - started if alone and started is not None and ended is not None else None,
    )


def _said(folder: Path) -> _Said:
    """What the document beside the store says; nothing, where the work has not come so far."""
    evaluation, results = folder / "evaluation.json", folder / "results.json"
    if evaluation.is_file():
        document = read_evaluation(evaluation)
        provenance = document["provenance"]
        model = str(provenance.get("model", folder.name))
        names = {"": model, "base": f"{model}, adapter off", "tuned": model}
        return _Said(names, document["benchmarks"], provenance)
    if results.is_file():
        document = read_results(results)
        told = {name: one.get("told", {}) for name, one in document.get("watched", {}).items()}
        names = {"base": str(document["recipe"].get("model", "base")), "tuned": folder.name}
        return _Said(names, told, document["provenance"])
    return _Said({"": folder.name}, {}, {})


def moment(time: object) -> float | None:
    """An ISO 8601 time in seconds since 1970; None when it is none."""
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return None
