"""The page of a run: one HTML file that works without a network and without scripts."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tutelage.comparison.failures import Failures, failures_of_run
from tutelage.core import hashing, outputs, regular, yamltext
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.version import __version__
from tutelage.report import (
    curves,
    data_card,
    diagnosis,
    examples,
    failures,
    formatting,
    headline,
    mixture,
    protection,
    scores,
    sequence,
    step_curves,
)
from tutelage.report.environment import environment, static
from tutelage.report.scores import ScoreChart
from tutelage.results import diagnosis_document, digests, document, tuned_record
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store

_OLDER = re.compile(
    rb"<footer>Written by Tutelage [^<\n]{1,40} from results\.json, results\.sqlite, data/card\.json and recipe\.yaml"
)
"""Matches reports that were written before pages had marks."""
_METHODS = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "qlora": "QLoRA",
    "full": "all weights",
}


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The files of a finished run, read and checked.

    Attributes:
        folder: the run's folder.
        results: the content of results.json.
        card: the data card.
        recipe: the text of recipe.yaml.
        steps: the training log.
        examples: examples of each task and benchmark.
        failures: where the tuned model still fails, by task and benchmark.
        diagnosis: the content of diagnosis.json; None where there is none.
    """

    folder: Path
    results: Mapping[str, Any]
    card: Mapping[str, Any]
    recipe: str
    steps: Sequence[Mapping[str, float]]
    examples: Sequence[examples.Examples]
    failures: Sequence[Failures] = ()
    diagnosis: Mapping[str, Any] | None = None


def write(run_folder: Path) -> Path:
    """Write `report.html` into a run's folder, made of results.json, results.sqlite, data/card.json and recipe.yaml.

    Returns:
        The page's path.

    Raises:
        InputError: the folder is no finished run, or one of the four files is damaged.
    """
    page = output(run_folder)
    page.write(render(read(run_folder)))
    return page.path


def output(run_folder: Path) -> outputs.Page:
    """The file of a run's page. A file that is no page of Tutelage, or that was edited, is not replaced."""
    return outputs.Page(RunFolder(run_folder).report, advice="move it to another place", older=_OLDER)


def read(run_folder: Path) -> FinishedRun:
    """Read a run's files, and check that they belong together.

    Raises:
        InputError: a file is missing or damaged, or was changed after results.json was computed.
    """
    folder = RunFolder(run_folder)
    _check_run(folder)
    results = document.read(folder.results)
    made_from = results.get("made_from") or {}
    record = tuned_record.read(run_folder)
    if record is not None or made_from:
        tuned_record.require_model(run_folder, made_from.get("tuned") or record or {})
    names = [("task", name) for name in results["tasks"]] + [
        ("benchmark", name) for name in results["watched"]
    ]
    with Store.open(folder.store, read_only=True) as store:
        digests.require_unchanged(store, made_from.get("store"), by=folder.results)
        steps, chosen = store.steps(), examples.collect(store, names)
        failing = tuple(failures_of_run(store))
    return FinishedRun(
        folder=run_folder,
        results=results,
        card=_read_card(folder.card, made_from.get("card")),
        recipe=_read_recipe(folder, results["recipe"]),
        steps=steps,
        examples=chosen,
        failures=failing,
        diagnosis=diagnosis_document.read(run_folder),
    )


def _check_run(run: RunFolder) -> None:
    """Refuse a folder that is no run with one clear error, before any of its files is missed.

    Raises:
        InputError: it does not exist, is a file, or holds no run.
    """
    folder = run.path
    expected = "the folder of a finished run, as `tutelage run` leaves it"
    if not folder.is_dir():
        siblings = folder.parent.iterdir() if folder.parent.is_dir() else []
        names = sorted(path.name for path in siblings if path.is_dir())
        raise InputError(
            "a run is a folder" if folder.exists() else "there is no such folder",
            where=str(folder),
            found="a file" if folder.exists() else "nothing of this name",
            expected=expected,
            fix=did_you_mean(folder.name, names, form=f"{folder.parent}/{{}}")
            or "check the name; `ls runs` shows your runs",
        )
    if run.evaluation.is_file() and not run.results.is_file():
        raise InputError(
            "the folder holds an evaluation, and a page is written of a run",
            where=str(folder),
            expected=expected,
            fix=f"read {run.evaluation}, or compare it with another one with `tutelage compare`",
        )
    if not run.recipe.is_file() and not run.results.is_file():
        names = sorted(path.name for path in folder.iterdir())
        raise InputError(
            "the folder holds no run",
            where=str(folder),
            found=", ".join(names[:5]) or "an empty folder",
            expected=expected,
            fix="name the folder that `tutelage run` printed",
        )


def _read_card(path: Path, recorded: str | None) -> dict[str, Any]:
    """Read the data card; `recorded` is its hash when the results were computed, None if unknown."""
    card = document.load_checked(path, "card", subject="the data card", fix=document.FIX)
    if recorded is not None and hashing.of_json(card) != recorded:
        raise InputError("the data card was changed after it was written", where=str(path), fix=document.FIX)
    return card


def _read_recipe(run: RunFolder, recipe: Mapping[str, Any]) -> str:
    """Read the text of recipe.yaml, which must hold the same recipe as results.json."""
    content = regular.read_regular(run.recipe, subject="the run's recipe", fix=document.FIX)
    if document.recorded_recipe(run.recipe) != recipe:
        raise InputError(
            "the run's record of its recipe is not the recipe of its results",
            where=str(run.recipe),
            expected=f"what {run.results} holds as recipe",
            fix=f"remove {run.recipe} and run the recipe again: it is written again, and nothing is answered twice",
        )
    return content.decode("utf-8", "replace")


def render(run: FinishedRun) -> str:
    """Make the page of a run."""
    recipe, verdict = run.results["recipe"], run.results["verdict"]
    script = static("page.js")
    budgets = recipe.get("retain") or {}
    tasks = scores.charts(run.results["tasks"], watched=False, budgets={})
    watched = scores.charts(run.results["watched"], watched=True, budgets=budgets)
    jinja = environment(
        text=formatting.text,
        plain=formatting.plain,
        count=formatting.count,
        percent=formatting.percent,
        probability=formatting.probability,
    )
    return jinja.get_template("page.html.j2").render(
        style=static("style.css"),
        script=script,
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        title=formatting.plain(recipe.get("name") or run.folder.name),
        headline=headline.headline(verdict, tasks, watched, run.failures),
        meaning=headline.meaning(verdict, tasks, watched),
        figures=_figures(tasks, watched),
        verdict=verdict,
        tasks=tasks,
        watched=watched,
        facts=_facts(run, recipe),
        means=run.results.get("groups"),
        search=protection.search_table(run.results.get("protection")),
        sequence=sequence.sequence_tables(run.results.get("sequence")),
        diagnosis=diagnosis.section(
            run.diagnosis,
            current=run.diagnosis is not None and diagnosis_document.is_of(run.diagnosis, run.results),
        ),
        mixture=mixture.trained_mixture(run.card),
        curves=curves.losses(run.steps),
        step_curves=step_curves.step_curves(run.results.get("curve")),
        other_curves=curves.others(run.steps),
        examples=run.examples,
        groups=examples.GROUPS,
        failures=failures.tables(run.failures),
        left_out=len(tasks) + len(watched) - len(run.examples),
        base=str((run.card.get("base") or {}).get("about") or ""),
        task_cards=data_card.tasks(run.card),
        overlap=run.card.get("overlap"),
        MAX_LISTED=data_card.MAX_LISTED,
        more_tasks=max(0, len(run.card.get("tasks") or {}) - data_card.MAX_TASKS),
        glossary=scores.glossary([*tasks, *watched]),
        words=yamltext.table("tutelage.report", "words.yaml"),
        provenance=[
            (key.replace("_", " "), formatting.plain(value))
            for key, value in run.results["provenance"].items()
            if key != "load"
        ],
        recipe=formatting.CONTROLS.sub("\N{REPLACEMENT CHARACTER}", run.recipe),
        load=_recorded_lines(run, "load"),
        chat=f"tutelage chat {shlex.quote(str(run.folder))} --against base",
        again=shlex.join(_recorded_lines(run, "command")),
        version=__version__,
    )


def _figures(tasks: Sequence[ScoreChart], watched: Sequence[ScoreChart]) -> list[ScoreChart]:
    """The two scores above all others: the task that is worst now, and what was watched and lost most."""
    lowest = sorted(tasks, key=lambda chart: chart.main.goodness_at)[:1]
    most_lost = sorted(watched, key=lambda chart: chart.main.gain_at)[:1]
    return [*lowest, *most_lost]


def _facts(run: FinishedRun, recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was tuned, on what, how, and how long it took: names and values for the head of the page."""
    training = run.card.get("training") or {}
    seconds = sum(step.get("seconds", 0.0) for step in run.steps)
    tokens = training.get("tokens_seen")
    job_seconds = run.results["provenance"].get("seconds")
    facts = [
        ("Model", formatting.plain(recipe.get("model"))),
        ("Taught", ", ".join(formatting.plain(name) for name in run.results["tasks"]) or "nothing"),
        ("Tuned", formatting.plain(_method(recipe.get("tune") or {}))),
        ("Minimised", _objective(training.get("objective") or {})),
        ("Steps", str(training.get("steps", len(run.steps)))),
        ("Rows seen", formatting.count(training["rows_seen"]).text if "rows_seen" in training else ""),
        ("Tokens seen", formatting.count(tokens).text if tokens is not None else ""),
        ("Packs filled", _packing(training)),
        ("Training time", formatting.duration(seconds) if seconds else ""),
        ("Whole job", formatting.duration(job_seconds) if job_seconds else ""),
        ("Finished", _date(run.results["provenance"].get("ended"))),
    ]
    return [(name, value) for name, value in facts if value]


def _method(tune: Mapping[str, Any]) -> str:
    """The tuning method with its size."""
    method = str(tune.get("method", ""))
    fields = ("train_last",) if method == "full" else ("rank", "virtual_tokens", "block_size", "train_last")
    sizes = [f"{field.replace('_', ' ')} {tune[field]}" for field in fields if tune.get(field)]
    return ", ".join([_METHODS.get(method, method), *sizes])


def _objective(objective: Mapping[str, Any]) -> str:
    """The terms of the objective with their weights; '' if it is the completion loss alone."""
    terms = [
        f"{formatting.plain(name).replace('_', ' ')} {formatting.plain(weight)}"
        for name, weight in objective.items()
        if name != "completion_loss"
    ]
    return ", ".join(["completion loss", *terms]) if terms else ""


def _packing(training: Mapping[str, Any]) -> str:
    """How full the packs are; of encoder-decoder models, for source and target apart."""
    fill = training.get("fill")
    if fill is None:
        return ""
    shares = fill if isinstance(fill, Mapping) else {"": fill}
    percents = ", ".join(
        f"{100 * float(share):.0f} % {formatting.plain(side)}".rstrip() for side, share in shares.items()
    )
    return f"{percents} in {formatting.count(training['packs']).text} packs"


def _date(moment: Any) -> str:
    """A moment as a date for people, or unchanged if it is none."""
    try:
        return f"{datetime.fromisoformat(moment):%-d %B %Y}"
    except (TypeError, ValueError):
        return formatting.plain(moment)


def _recorded_lines(run: FinishedRun, key: str) -> list[str]:
    """A list of texts in the run's provenance; empty if there is none."""
    lines = run.results["provenance"].get(key)
    return [formatting.plain(line) for line in lines] if isinstance(lines, list) else []
