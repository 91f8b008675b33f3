"""What `import tutelage` offers: the command line's jobs as functions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.core.types import Json

if TYPE_CHECKING:
    from tutelage.comparison import RunComparison
    from tutelage.config import Recipe
    from tutelage.evaluation.evaluate import EvaluationResult
    from tutelage.evaluation.progress import Listener
    from tutelage.job.run import RunResult
    from tutelage.metrics import Row
    from tutelage.prediction.options import PredictionOptions
    from tutelage.prediction.predict import Predictions
    from tutelage.prediction.responder import Responder
    from tutelage.scoring.scorecard import Scorecard


def run(
    recipe: Recipe | Mapping[str, Json] | str | Path,
    *,
    sets: Sequence[str] = (),
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    listen: Listener | None = None,
) -> RunResult:
    """Do a recipe's whole job, or what is left of it: measure the base, tune, measure again, compare, report.

    Args:
        recipe: a recipe's file, its content as a mapping (paths are then relative to the current folder), or a
            `Recipe`.
        sets: changes of a recipe's file, as `path.to.field=value`.
        out: the run folder; `runs/<name>-<hash>` by default.
        data_dir: where `local` data files are looked for; TUTELAGE_DATA when not given.
        listen: is told what happens.

    Raises:
        InputError: recipe, data or model is wrong, or the folder is another run's.
        MachineError: disk, network or another process stood in the way.
    """
    from tutelage.config import Recipe, from_mapping, load
    from tutelage.core.errors import InputError
    from tutelage.job.run import run as do

    if isinstance(recipe, str | Path):
        read = load(Path(recipe), sets=sets)
    elif sets:
        raise InputError("`sets` changes a recipe's file", where="sets", fix="change the recipe itself")
    else:
        read = recipe if isinstance(recipe, Recipe) else from_mapping(recipe)
    return do(read, out=_path(out), data_dir=_data(data_dir), listener=listen)


def evaluate(
    model: str, benchmarks: str | Sequence[str], *, listen: Listener | None = None, **options: Any
) -> EvaluationResult:
    """Score a model as it is on benchmarks. Responses are stored; the same call again resumes after any stop.

    Args:
        model: a hub id, a folder, a .gguf file, a run folder, or the bundled default's name.
        benchmarks: names from `tutelage benchmarks list`, or paths of your own specs; one or several.
        listen: receives progress.
        options: the other fields of `EvaluationOptions`, such as `limit=200`. `data_dir` is TUTELAGE_DATA by default.

    Raises:
        InputError: the model, a benchmark or the folder is not what it should be.
        TypeError: there is no such option.
    """
    from tutelage.evaluation.evaluate import evaluate as do
    from tutelage.evaluation.options import EvaluationOptions

    names = (benchmarks,) if isinstance(benchmarks, str) else tuple(benchmarks)
    options |= {"data_dir": _data(options.get("data_dir")), "out": _path(options.get("out"))}
    return do(EvaluationOptions(model=model, benchmarks=names, **options), listener=listen)


def predict(
    model: str | Path,
    rows: str | Path | Sequence[str | Mapping[str, Json]],
    *,
    listen: Listener | None = None,
    **options: Any,
) -> Predictions:
    """Answer rows with a model, a run through its recipe's own prompt. With `out`, the same call again resumes after any stop.

    Args:
        model: a run folder, a hub id, a folder, a .gguf file, an adapter, or a bundled name.
        rows: a data file's name; or texts, each for the one column that the prompt reads; or rows of columns.
        listen: receives progress.
        options: the other fields of `PredictionOptions`, such as `out="answers.csv"`, `prompt="Translate: {{ text }}"`,
            `keep=["topic"]` or `temperature=0.7`. `data_dir` is TUTELAGE_DATA by default.

    Raises:
        InputError: the model, the rows or the options are wrong; InputErrors for several rows.
        MachineError: the disk, the memory, or another process stood in the way.
        TypeError: there is no such option.
    """
    from tutelage.prediction.predict import predict as do

    read = Path(rows) if isinstance(rows, str | Path) else rows
    return do(_prediction_options(model, options), read, listener=listen)


def load(model: str | Path, **options: Any) -> Responder:
    """Load a model to answer rows in Python: `generate`, `score` and `chat`.

    Args:
        model: a run folder, a hub id, a folder, a .gguf file, an adapter, or a bundled name.
        options: `task` (of a run with several), `prompt`, `chat_template`, `recipe` and `data_dir` of `PredictionOptions`.

    Raises:
        InputError: no such model, a damaged one, or no such task.
        MachineError: there is not enough memory.
        TypeError: there is no such option.
    """
    from tutelage.prediction.asker import asker_of
    from tutelage.prediction.responder import load_responder

    takes = ("task", "prompt", "chat_template", "recipe", "data_dir")
    if unknown := set(options) - set(takes):
        raise TypeError(f"load() takes {', '.join(takes)}, not {', '.join(sorted(unknown))}")
    return load_responder(asker_of(_prediction_options(model, options), say=lambda _: None))


def compare(first: str | Path, *others: str | Path, seed: int = 0) -> list[RunComparison]:
    """Compare finished runs or evaluations with the first, item by item, from what their folders hold.

    Args:
        first: the folder that the others are compared with.
        others: folders of runs or evaluations.
        seed: of the draws of intervals and tests.

    Raises:
        InputError: a folder holds no results, or two did not answer the same items.
    """
    from tutelage.comparison import compare_runs

    return compare_runs(Path(first), *map(Path, others), seed=seed)


def score(
    metrics: str | Sequence[str],
    predictions: str | Path | Sequence[Row],
    *,
    against: str | Path | Sequence[Row] | None = None,
    seed: int = 0,
) -> Scorecard:
    """Score predictions, and compare them with another model's on the same items. Imports neither torch nor transformers.

    Args:
        metrics: a name or names, with options as `name:key=value`.
        predictions: a .jsonl file (or .jsonl.gz) of rows, or `tutelage.Row` objects.
        against: the same items with another model's predictions; differences are `predictions` minus `against`.
        seed: of the draws of intervals and tests.

    Raises:
        InputError: a metric is not known or cannot read a row, or the two do not hold the same items.
    """
    from tutelage.scoring import scorecard
    from tutelage.scoring.predictions import Predictions, read_predictions

    def rows(given: str | Path | Sequence[Row]) -> Predictions:
        if isinstance(given, str | Path):
            return read_predictions(Path(given))
        return Predictions("rows", tuple(given), tuple(range(1, len(given) + 1)))

    names = [metrics] if isinstance(metrics, str) else metrics
    other = None if against is None else rows(against)
    return scorecard.score_predictions(names, rows(predictions), against=other, seed=seed)


def _prediction_options(model: str | Path, options: Mapping[str, Any]) -> PredictionOptions:
    from tutelage.prediction.options import PredictionOptions

    keep = options.get("keep", ())
    paths = {name: _path(options.get(name)) for name in ("out", "recipe")}
    columns = (keep,) if isinstance(keep, str) else tuple(keep)
    data_dir = _data(options.get("data_dir"))
    return PredictionOptions(
        **{**options, **paths, "model": str(model), "keep": columns, "data_dir": data_dir}
    )


def _data(given: str | Path | None) -> Path | None:
    return _path(given or os.environ.get("TUTELAGE_DATA") or None)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
