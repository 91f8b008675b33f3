"""The page of a run: read what the run left, lay it out, write one file that needs no network and no script."""

from __future__ import annotations

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

from tutelage.core import files
from tutelage.core.version import __version__
from tutelage.report import card, curves, examples, mixture, scores, shown
from tutelage.report.environment import environment, style
from tutelage.report.scores import Measured
from tutelage.results import document
from tutelage.results.store import Store

FIX = "run the recipe again: it writes what is missing and answers nothing twice"


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
    page = run_folder / "report.html"
    files.write_text(page, render(read(run_folder)))
    return page


def read(run_folder: Path) -> Left:
    """Read what the page is made of."""
    results = document.read(run_folder / "results.json")
    names = [("task", name) for name in results["tasks"]] + [
        ("benchmark", name) for name in results["watched"]
    ]
    with Store.open(run_folder / "results.sqlite", read_only=True) as store:
        steps, chosen = store.steps(), examples.collect(store, names)
    recipe = files.read_bytes(run_folder / "recipe.yaml", what="the run's recipe", fix=FIX)
    return Left(
        folder=run_folder,
        results=results,
        card=document.load_json(run_folder / "data" / "card.json", what="the data card", fix=FIX),
        recipe=recipe.decode("utf-8", "replace"),
        steps=steps,
        examples=chosen,
    )


def render(left: Left) -> str:
    """The page as text."""
    recipe, verdict = left.results["recipe"], left.results["verdict"]
    script = resources("tutelage.report").joinpath("templates", "page.js").read_text("utf-8")
    budgets = recipe.get("retain") or {}
    tasks = scores.measured(left.results["tasks"], watched=False, budgets={})
    watched = scores.measured(left.results["watched"], watched=True, budgets=budgets)
    return environment(text=shown.text, plain=shown.plain, count=shown.count).get_template("page.html.j2").render(
        style=style("style.css"),
        script=Markup(script),  # noqa: S704 - ours
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        title=shown.plain(recipe.get("name") or left.folder.name),
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
        recipe=shown.CONTROLS.sub("\N{REPLACEMENT CHARACTER}", left.recipe),
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
    return " and ".join(shown.plain(one.name) for one in members)


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
        ("Model", shown.plain(recipe.get("model"))),
        ("Taught", ", ".join(shown.plain(name) for name in left.results["tasks"]) or "nothing"),
        ("Tuned", shown.plain(method)),
        ("Minimised", _minimised(training.get("objective") or {})),
        ("Steps", str(training.get("steps", len(left.steps)))),
        ("Rows seen", shown.count(training["rows_seen"]).text if "rows_seen" in training else ""),
        ("Tokens seen", shown.count(tokens).text if tokens is not None else ""),
        ("Packs filled", _filled(training)),
        ("Training time", shown.duration(seconds) if seconds else ""),
        ("Whole job", shown.duration(whole) if whole else ""),
        ("Finished", _day(left.results["provenance"].get("ended"))),
    ]
    return [(name, value) for name, value in facts if value]


def _minimised(objective: Mapping[str, Any]) -> str:
    """The parts of the objective with their weights; '' for the loss of completions alone."""
    parts = {name: weight for name, weight in objective.items() if name != "completion_loss"}
    said = (f"{shown.plain(name).replace('_', ' ')} {shown.plain(weight)}" for name, weight in parts.items())
    return ", ".join(["completion loss", *said]) if parts else ""


def _filled(training: Mapping[str, Any]) -> str:
    """The share of the packs' room that rows took; of source and target for encoder-decoder models."""
    fill = training.get("fill")
    if fill is None:
        return ""
    shares = fill if isinstance(fill, Mapping) else {"": fill}
    said = ", ".join(
        f"{100 * float(share):.0f} % {shown.plain(side)}".rstrip() for side, share in shares.items()
    )
    return f"{said} in {shown.count(training['packs']).text} packs"


def _day(moment: Any) -> str:
    """A moment as a date that people read, or as it stands."""
    try:
        return f"{datetime.fromisoformat(moment):%-d %B %Y}"
    except (TypeError, ValueError):
        return shown.plain(moment)


def _provenance(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), shown.plain(value)) for key, value in found.items() if key != "load"]


def _stated(left: Left, key: str) -> list[str]:
    """Words or lines that the run itself stated; a run that stated none gets none made up."""
    stated = left.results["provenance"].get(key)
    return [shown.plain(one) for one in stated] if isinstance(stated, list) else []
