"""`tutelage export RUN --to DIR`: writes a tuned model, a sum of adapters, an interpolation with the base, scores, or answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run or model folder; with --format lm-eval or predictions also the folder of an evaluation.",
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="DIR",
            help="The folder to write; with --format predictions a file: .jsonl, .csv, .tsv or .parquet.",
        ),
    ],
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="Merge the adapter into the base, so that nothing else is needed. Without it the adapter is written.",
        ),
    ] = False,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="RUN", help="Add another adapter of the same base; may be repeated."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", metavar="W,W", help="With --add: a weight for RUN and for each added adapter."
        ),
    ] = None,
    combination: Annotated[
        Literal["cat", "linear", "svd"] | None,
        typer.Option(
            "--combination",
            help="With --add: cat is the exact sum (the default), svd reduces its rank, linear adds the factors.",
        ),
    ] = None,
    interpolate: Annotated[
        float | None,
        typer.Option(
            "--interpolate",
            metavar="SHARE",
            help="Interpolate the weights between the base (0) and the tuned model (1): WiSE-FT.",
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option("--dtype", help="With --merge: the number format of the merged weights; float32."),
    ] = None,
    format_: Annotated[
        Literal["model", "lm-eval", "predictions"],
        typer.Option(
            "--format",
            help="model: the model; lm-eval: scores and answers in the format of lm-evaluation-harness; "
            "predictions: the answers to the test rows, as `tutelage score` reads them.",
        ),
    ] = "model",
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Write the tuned model with its tokenizer and chat template, loadable with plain transformers or peft; or its scores."""
    options = {
        "--merge": merge,
        "--add": bool(add),
        "--weights": weights is not None,
        "--combination": combination is not None,
        "--interpolate": interpolate is not None,
        "--dtype": dtype is not None,
    }
    used = [option for option, is_used in options.items() if is_used]
    if format_ != "model":
        _refuse_model_options(used, format_)
        write_results = _export_scores if format_ == "lm-eval" else _export_answers
        write_results(Path(run), to, as_json=json)
        return
    from tutelage.models import base_record, load, loading_lines, resolve
    from tutelage.models.combine import combine
    from tutelage.models.export import export as write
    from tutelage.models.export import output_folder
    from tutelage.models.interpolate import interpolate_with_base
    from tutelage.models.resolution import with_adapter_apart

    _check(used)
    names = [run, *(add or [])]
    sources = [resolve(name, say=console.say) for name in names]
    source = sources[0]
    inputs = [Path(name) for name in names if Path(name).exists()]
    inputs += [folder for input_source in sources for folder in (input_source.folder, input_source.weights)]
    output_folder(to, inputs=inputs).check()
    if interpolate is not None:
        interpolate_with_base(source, interpolate, to, inputs=inputs)
    elif add:
        loaded = combine(sources, _numbers(weights), combination=combination or "cat")
        write(loaded, to, merge=merge, base=source.base or source, inputs=inputs, dtype=dtype)
    else:
        if source.kind == "run" and not merge:
            source = with_adapter_apart(source)
        card = None if source.base else base_record.existing_model_card(source)
        # An adapter is merged in float32, and the sum is rounded.
        loaded = load(source, dtype=dtype if dtype and not source.base else "float32")
        base = source.base or source
        write(loaded, to, merge=merge, base=base, inputs=inputs, card=card, dtype=dtype)
    lines = loading_lines(to, shown=str(to.absolute()))
    console.show_result({"folder": str(to), "load": lines}, "\n".join(lines), as_json=json)


def _refuse_model_options(used: list[str], format_: str) -> None:
    if used:
        written = "scores" if format_ == "lm-eval" else "answers"
        raise InputError(
            f"the options are for models, and {written} are written",
            where=f"--format {format_}",
            found=", ".join(used),
            fix="remove them, or export the model with a second command",
        )


def _export_answers(folder: Path, to: Path, *, as_json: bool) -> None:
    """Write the answers that a run or an evaluation stored."""
    from tutelage.prediction.stored import export_predictions

    rows = export_predictions(folder, to)
    console.show_result({"file": str(to), "rows": rows}, f"{rows} answers: {to}", as_json=as_json)


def _export_scores(folder: Path, to: Path, *, as_json: bool) -> None:
    """Write the scores of an evaluation or of a run, whose base and tuned model are written both."""
    from tutelage.comparison.runs import open_results
    from tutelage.results import lm_eval

    with open_results(folder) as store:
        names = lm_eval.write(to, store, inputs=[folder])
    files = "\n".join(str(to / name) for name in names)
    console.show_result({"folder": str(to), "files": names}, files, as_json=as_json)


def _check(used: list[str]) -> None:
    """Refuse options that would have no effect."""
    for option in ("--weights", "--combination"):
        if option in used and "--add" not in used:
            raise InputError(
                "the option belongs to --add",
                where=option,
                fix="name another adapter with --add, or remove it",
            )
    if "--dtype" in used and "--merge" not in used:
        raise InputError(
            "the option belongs to --merge",
            where="--dtype",
            expected="--merge: an adapter alone keeps the numbers that it was trained in",
            fix="add --merge, or remove --dtype",
        )
    if "--interpolate" in used and ("--add" in used or "--merge" in used):
        raise InputError(
            "the options do not go together",
            where="--interpolate",
            found="--add" if "--add" in used else "--merge",
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
