"""The page of a run: read what the run left, lay it out, write one file that needs no network and no script."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tutelage.core import files, hashing, outputs
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.version import __version__
from tutelage.report import curves, examples, formatting, mixture, scores
from tutelage.report import data_card as card
from tutelage.report.environment import environment, style
from tutelage.report.scores import Measured
from tutelage.results import card_schema, digests, document, tuned_record
from tutelage.results.store import Store

FIX = "run the recipe again: it writes what is missing and answers nothing twice"
_OLDER = re.compile(
    rb"<footer>Written by Tutelage [^<\n]{1,40} from results\.json, results\.sqlite, data/card\.json and recipe\.yaml"
)
"""In reports that were written before pages were marked."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a run left, read and checked."""

    folder: Path
    results: Mapping[str, Any]
    card: Mapping[str, Any]
    recipe: str
    steps: Sequence[Mapping[str, float]]
    examples: Sequence[examples.Examples]


def write(run_folder: Path) -> Path:
    """Write `report.html` of a run from results.json, results.sqlite, data/card.json and recipe.yaml.

    Returns:
        The page's path.

    Raises:
        InputError: the folder is no finished run, or one of the four files is damaged.
    """
    page = output(run_folder)
    page.write(render(read(run_folder)))
    return page.path


def output(run_folder: Path) -> outputs.Page:
    """Where a run's page stands: one that is not this program's, or that somebody changed, is not replaced."""
    return outputs.Page(run_folder / "report.html", advice="move it to another place", older=_OLDER)


def read(run_folder: Path) -> Left:
    """Read what the page is made of, and check that it belongs together.

    Raises:
        InputError: a file is missing or damaged, or was changed after results.json was computed.
    """
    _check_run(run_folder)
    path = run_folder / "results.json"
    results = document.read(path)
    made = results.get("made_from") or {}
    record = tuned_record.read(run_folder)
    if record is not None or made:
        tuned_record.require_model(run_folder, made.get("tuned") or record or {})
    names = [("task", name) for name in results["tasks"]] + [
        ("benchmark", name) for name in results["watched"]
    ]
    with Store.open(run_folder / "results.sqlite", read_only=True) as store:
        digests.require_unchanged(store, made.get("store"), by=path)
        steps, chosen = store.steps(), examples.collect(store, names)
    recipe = files.read_bytes(run_folder / "recipe.yaml", what="the run's recipe", fix=FIX)
    return Left(
        folder=run_folder,
        results=results,
        card=_card(run_folder / "data" / "card.json", made.get("card")),
        recipe=_same_recipe(recipe, results["recipe"], run_folder / "recipe.yaml"),
        steps=steps,
        examples=chosen,
    )


def _check_run(folder: Path) -> None:
    """Refuse what is no run's folder, before one of its files is missed.

    Raises:
        InputError: it is not there, is a file, or holds no run.
    """
    run = "the folder of a finished run, as `tutelage run` leaves it"
    if not folder.is_dir():
        beside = folder.parent.iterdir() if folder.parent.is_dir() else []
        raise InputError(
            "a run is a folder" if folder.exists() else "there is no such folder",
            where=str(folder),
            found="a file" if folder.exists() else "nothing of this name",
            expected=run,
            fix=did_you_mean(
                folder.name,
                sorted(path.name for path in beside if path.is_dir()),
                form=f"{folder.parent}/{{}}",
            )
            or "check the name; `ls runs` shows your runs",
        )
    if (folder / "evaluation.json").is_file() and not (folder / "results.json").is_file():
        raise InputError(
            "the folder holds an evaluation, and a page is written of a run",
            where=str(folder),
            expected=run,
            fix=f"read {folder / 'evaluation.json'}, or hold it against another one with `tutelage compare`",
        )
    if not (folder / "recipe.yaml").is_file() and not (folder / "results.json").is_file():
        names = sorted(path.name for path in folder.iterdir())
        raise InputError(
            "the folder holds no run",
            where=str(folder),
            found=", ".join(names[:5]) or "an empty folder",
            expected=run,
            fix="name the folder that `tutelage run` printed",
        )


def _card(path: Path, recorded: str | None) -> dict[str, Any]:
    """The data card, as it was when the results were computed."""
    card = document.load_checked(path, card_schema.Card, what="the data card", fix=FIX)
    if recorded is not None and hashing.of_json(card) != recorded:
        raise InputError("the data card was changed after it was written", where=str(path), fix=FIX)
    return card


def _same_recipe(content: bytes, recipe: Mapping[str, Any], path: Path) -> str:
    """The text of recipe.yaml, which has to say what results.json says."""
    if document.recorded_recipe(path) != recipe:
        raise InputError(
            "the run's record of its recipe is not the recipe of its results",
            where=str(path),
            expected=f"what {path.with_name('results.json')} holds as recipe",
            fix=f"remove {path} and run the recipe again: it is written again, and nothing is answered twice",
        )
    return content.decode("utf-8", "replace")


def render(left: Left) -> str:
    """The page as text."""
    recipe, verdict = left.results["recipe"], left.results["verdict"]
    script = resources("tutelage.report").joinpath("templates", "page.js").read_text("utf-8")
    budgets = recipe.get("retain") or {}
    tasks = scores.measured(left.results["tasks"], watched=False, budgets={})
    watched = scores.measured(left.results["watched"], watched=True, budgets=budgets)
    return environment(text=formatting.text, plain=formatting.plain, count=formatting.count).get_template("page.html.j2").render(
        style=style("style.css"),
        script=Markup(script),  # noqa: S704 - ours
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        title=formatting.plain(recipe.get("name") or left.folder.name),
        headline=_headline(verdict, tasks, watched),
        verdict=verdict,
        tasks=tasks,
        watched=watched,
        facts=_facts(left, recipe),
        means=mixture.means(left.results),
        mixture=mixture.seen(left.card),
        curves=curves.losses(left.steps),
        other_curves=curves.others(left.steps),
        examples=left.examples,
        groups=examples.GROUPS,
        left_out=len(tasks) + len(watched) - len(left.examples),
        base=str((left.card.get("base") or {}).get("about") or ""),
        card=card.tasks(left.card),
        overlaps=card.overlaps(left.card),
        more_tasks=max(0, len(left.card.get("tasks") or {}) - card.MOST_TASKS),
        glossary=scores.glossary([*tasks, *watched]),
        provenance=_provenance(left.results["provenance"]),
        recipe=formatting.CONTROLS.sub("\N{REPLACEMENT CHARACTER}", left.recipe),
        load=_stated(left, "load"),
        chat=f"tutelage chat {shlex.quote(str(left.folder))} --against base",
        again=shlex.join(_stated(left, "command")),
        version=__version__,
    )  # fmt: skip


def _headline(verdict: Mapping[str, Any], tasks: Sequence[Measured], watched: Sequence[Measured]) -> str:
    """Both answers in a few words; what was not measured is said to be so."""
    fell = [one for one in watched if one.main.moved == "fell"]
    learned = {
        "yes": f"It learned {_named(tasks, 'tasks')}",
        "no": f"It got worse at {_named([one for one in tasks if one.main.moved == 'fell'], 'tasks')}",
        "unclear": f"Whether it learned {_named(tasks, 'tasks')} is unclear",
    }
    forgot = {
        "yes": f"it forgot some of {_named(fell, 'benchmarks')}",
        "no": f"it kept {_named(watched, 'benchmarks')}",
        "unclear": f"whether it forgot {_named(watched, 'benchmarks')} is unclear",
    }
    first = learned[verdict["learned"]] if tasks else "What it learned was not measured"
    second = forgot[verdict["forgot"]] if watched else "what it forgot was not measured"
    if first.startswith("It") and second.startswith("it "):
        joint = ", but" if (verdict["learned"] == "yes") == (verdict["forgot"] == "yes") else " and"
        return f"{first}{joint} {second.removeprefix('it ') if joint == ' and' else second}."
    return f"{first}; {second}."


def _named(members: Sequence[Measured], plural: str) -> str:
    """One by its name, two by both, more by their number."""
    if len(members) > 2:
        return f"{len(members)} {plural}"
    return " and ".join(formatting.plain(one.name) for one in members)


def _facts(left: Left, recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was tuned, on what, how, and how long it took."""
    tune = recipe.get("tune") or {}
    training = left.card.get("training") or {}
    named = str(tune.get("method", ""))
    method = {
        "lora": "LoRA",
        "rslora": "rsLoRA",
        "dora": "DoRA",
        "qlora": "QLoRA",
        "full": "all weights",
    }.get(named, named)
    for field in ("rank", "virtual_tokens", "block_size", "train_last"):
        if named != "full" or field == "train_last":
            method += f", {field.replace('_', ' ')} {tune[field]}" if tune.get(field) else ""
    seconds = sum(step.get("seconds", 0.0) for step in left.steps)
    tokens = training.get("tokens_seen")
    whole = left.results["provenance"].get("seconds")
    facts = [
        ("Model", formatting.plain(recipe.get("model"))),
        ("Taught", ", ".join(formatting.plain(name) for name in left.results["tasks"]) or "nothing"),
        ("Tuned", formatting.plain(method)),
        ("Minimised", _minimised(training.get("objective") or {})),
        ("Steps", str(training.get("steps", len(left.steps)))),
        ("Rows seen", formatting.count(training["rows_seen"]).text if "rows_seen" in training else ""),
        ("Tokens seen", formatting.count(tokens).text if tokens is not None else ""),
        ("Packs filled", _filled(training)),
        ("Training time", formatting.duration(seconds) if seconds else ""),
        ("Whole job", formatting.duration(whole) if whole else ""),
        ("Finished", _day(left.results["provenance"].get("ended"))),
    ]
    return [(name, value) for name, value in facts if value]


def _minimised(objective: Mapping[str, Any]) -> str:
    """The parts of the objective with their weights; '' for the loss of completions alone."""
    parts = {name: weight for name, weight in objective.items() if name != "completion_loss"}
    said = (
        f"{formatting.plain(name).replace('_', ' ')} {formatting.plain(weight)}"
        for name, weight in parts.items()
    )
    return ", ".join(["completion loss", *said]) if parts else ""


def _filled(training: Mapping[str, Any]) -> str:
    """The share of the packs' room that rows took; of source and target for encoder-decoder models."""
    fill = training.get("fill")
    if fill is None:
        return ""
    shares = fill if isinstance(fill, Mapping) else {"": fill}
    said = ", ".join(
        f"{100 * float(share):.0f} % {formatting.plain(side)}".rstrip() for side, share in shares.items()
    )
    return f"{said} in {formatting.count(training['packs']).text} packs"


def _day(moment: Any) -> str:
    """A moment as a date that people read, or as it stands."""
    try:
        return f"{datetime.fromisoformat(moment):%-d %B %Y}"
    except (TypeError, ValueError):
        return formatting.plain(moment)


def _provenance(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), formatting.plain(value)) for key, value in found.items() if key != "load"]


def _stated(left: Left, key: str) -> list[str]:
    """Words or lines that the run itself stated; a run that stated none gets none made up."""
    stated = left.results["provenance"].get(key)
    return [formatting.plain(one) for one in stated] if isinstance(stated, list) else []
