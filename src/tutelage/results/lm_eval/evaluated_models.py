"""Which models an export covers: the one of an evaluation, or base and tuned of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tutelage.core.errors import InputError
from tutelage.results.digests import read_evaluation, read_results
from tutelage.results.evaluation import Evaluation
from tutelage.results.name_marks import benchmark_caveats
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """One model's scored evaluations.

    Attributes:
        label: "base", "tuned" or another label; "" if it is the only model.
        model: the model's name.
        evaluations: of each task and benchmark the one that was scored last.
        caveats: by benchmark, what evaluation.json or results.json says about its scores.
        provenance: where the model was evaluated.
        started: when, in seconds since 1970; None if unknown.
        seconds: how long it took; None if the run also did other work.
    """

    label: str
    model: str
    evaluations: Sequence[Evaluation]
    caveats: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Any]
    started: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Document:
    """What is used of evaluation.json or results.json: names of models by label, caveats by benchmark, provenance."""

    models: Mapping[str, str]
    caveats: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Any]


def evaluated_models(store: Store) -> list[EvaluatedModel]:
    """List every model that has scores in a store, the base first.

    Raises:
        InputError: nothing was scored, or the document beside the store is damaged.
    """
    by_label: dict[str, list[Evaluation]] = {}
    for evaluation in store.last_scored().values():
        by_label.setdefault(evaluation.model, []).append(evaluation)
    if not by_label:
        raise InputError(
            "nothing has been scored here yet",
            where=str(store.path),
            fix="finish it with the command that began it, then export",
        )
    document = _read_document(RunFolder(store.path.parent))
    labels = sorted(by_label, key=lambda label: label != "base")
    alone = len(labels) == 1
    return [_model(label, by_label[label], document, alone=alone) for label in labels]


def _model(
    label: str, evaluations: Sequence[Evaluation], document: _Document, *, alone: bool
) -> EvaluatedModel:
    sessions = [session for evaluation in evaluations for session in evaluation.provenance()]
    provenance = document.provenance or (sessions[0] if sessions else {})
    started, ended = timestamp(provenance.get("started")), timestamp(provenance.get("ended"))
    return EvaluatedModel(
        label="" if alone else label,
        model=document.models.get(label, document.models.get("", label)),
        evaluations=evaluations,
        caveats=document.caveats,
        provenance=provenance,
        started=started,
        seconds=ended - started if alone and started is not None and ended is not None else None,
    )


def _read_document(folder: RunFolder) -> _Document:
    """Read the document beside the store; a run or an evaluation that was not finished has none."""
    if folder.evaluation.is_file():
        document = read_evaluation(folder.evaluation)
        provenance = document["provenance"]
        model = str(provenance.get("model", folder.path.name))
        names = {"": model, "base": f"{model}, adapter off", "tuned": model}
        return _Document(names, benchmark_caveats(document), provenance)
    if folder.results.is_file():
        document = read_results(folder.results)
        names = {"base": str(document["recipe"].get("model", "base")), "tuned": folder.path.name}
        return _Document(names, benchmark_caveats(document), document["provenance"])
    return _Document({"": folder.path.name}, {}, {})


def timestamp(time: object) -> float | None:
    """Convert an ISO 8601 time to seconds since 1970; None for any other value."""
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return None
