"""`tutelage export RUN --to DIR`: the tuned model somewhere else, added to others, or on the way back to its base."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError


class Combination(StrEnum):
    """How adapters are added up."""

    CAT = "cat"
    LINEAR = "linear"
    SVD = "svd"


class Format(StrEnum):
    """What is written."""

    MODEL = "model"
    LM_EVAL = "lm-eval"


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, or a model folder; with --format lm-eval, of an evaluation too.",
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write.")],
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Write the sum of base and adapter, so that nothing else is needed."),
    ] = False,
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add", metavar="RUN", help="Another adapter of the same base to add up; may be repeated."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="W,W", help="With --add: a weight for RUN and for each added one."),
    ] = None,
    combination: Annotated[
        Combination | None,
        typer.Option(
            "--combination",
            help="With --add: cat is the exact sum (the default), svd of lower rank, linear adds the factors.",
        ),
    ] = None,
    interpolate: Annotated[
        float | None,
        typer.Option(
            "--interpolate",
            metavar="SHARE",
            help="Weights between the base (0) and the tuned model (1), merged: WiSE-FT.",
        ),
    ] = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="model: the model itself; lm-eval: scores and answers of an evaluation or run, as lm-evaluation-harness has them.",
        ),
    ] = Format.MODEL,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Write the tuned model with its tokenizer and chat template, loadable with plain transformers or peft; or what was scored."""
    if format_ is Format.LM_EVAL:
        _refuse_with_scores(add, weights, combination, interpolate, merge=merge)
        return _scores(Path(run), to, as_json=json)
    from tutelage.models import base_record, load, loading_lines, resolve
    from tutelage.models.combine import combine
    from tutelage.models.export import export as write
    from tutelage.models.export import output_folder
    from tutelage.models.interpolate import interpolate_with_base

    others = add or []
    _check(others, weights, combination, interpolate, merge=merge)
    sources = [resolve(name, say=console.say) for name in (run, *others)]
    source = sources[0]
    inputs = [Path(name) for name in (run, *others) if Path(name).exists()]
    inputs += [folder for one in sources for folder in (one.folder, one.weights)]
    output_folder(to, inputs=inputs).check()
    if interpolate is not None:
        interpolate_with_base(source, interpolate, to, inputs=inputs)
    elif others:
        loaded = combine(sources, _numbers(weights), combination=(combination or Combination.CAT).value)
        write(loaded, to, merge=merge, base=source.base or source, inputs=inputs)
    else:
        card = None if source.base else base_record.existing_model_card(source)
        write(load(source), to, merge=merge, base=source.base or source, inputs=inputs, card=card)
    lines = loading_lines(to, shown=str(to.absolute()))
    if json:
        console.print_json({"folder": str(to), "load": lines})
    else:
        console.show("\n".join(lines))
    return 0


def _scores(folder: Path, to: Path, *, as_json: bool) -> int:
    """What was scored in an evaluation or run; of a run before and after."""
    from tutelage.comparison.runs import open_results
    from tutelage.results import lm_eval

    with open_results(folder) as store:
        names = lm_eval.write(to, store, inputs=[folder])
    if as_json:
        console.print_json({"folder": str(to), "files": names})
    else:
        console.show("\n".join(str(to / name) for name in names))
    return 0


def _refuse_with_scores(
    add: list[str] | None,
    weights: str | None,
    combination: Combination | None,
    interpolate: float | None,
    *,
    merge: bool,
) -> None:
    given = {
        "--merge": merge,
        "--add": bool(add),
        "--weights": weights is not None,
        "--combination": combination is not None,
        "--interpolate": interpolate is not None,
    }
    if found := [name for name, there in given.items() if there]:
        raise InputError(
            "the options are for models, and scores are written",
            where="--format lm-eval",
            found=", ".join(found),
            fix="remove them, or export the model by a command of its own",
        )


def _check(
    others: list[str],
    weights: str | None,
    combination: Combination | None,
    interpolate: float | None,
    *,
    merge: bool,
) -> None:
    """Refuse options that would be read by nothing."""
    given = {"--weights": weights is not None, "--combination": combination is not None}
    for option in (name for name, there in given.items() if there and not others):
        raise InputError(
            "the option belongs to --add", where=option, fix="name another adapter with --add, or remove it"
        )
    if interpolate is not None and (others or merge):
        raise InputError(
            "the options do not go together",
            where="--interpolate",
            found="--add" if others else "--merge",
            expected="--interpolate alone: what it writes is merged",
            fix="add up and merge into a folder first, or remove it",
        )


def _numbers(weights: str | None) -> list[float]:
    try:
        return [float(part) for part in (weights or "").split(",") if part.strip()]
    except ValueError:
        raise InputError(
            "not numbers",
            where="--weights",
            found=weights,
            expected="numbers with commas between, as 0.5,0.5",
        ) from None
