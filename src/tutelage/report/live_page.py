"""The page of a run that is not finished: how its training goes, and the last answers. `report.html` becomes it until the run is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.locks import holder, is_held
from tutelage.core.version import __version__
from tutelage.report import curves, formatting, step_curves
from tutelage.report.environment import environment, static
from tutelage.report.formatting import Text
from tutelage.report.run_page import output
from tutelage.results import document, step_log, step_record
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store

MAX_ANSWERS = 8
_MARK = '<meta name="tutelage-page" content="unfinished run">'
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class RecentAnswer:
    """An answer of those that came last."""

    prompt: Text
    references: tuple[Text, ...]
    answer: Text


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """What a run's folder holds before the run is done.

    Attributes:
        folder: the run's folder.
        recipe: the resolved recipe.
        steps: the training log up to the step that was done last.
        curve: the scores of measured steps, as in results.json; None where the training is not tracked.
        model: whose answers the last ones are: base, tuned or step 40; "" without answers.
        dataset: the task or benchmark that they are of.
        answers: the last answers of it.
        state: what works on the run, or that nothing does.
    """

    folder: Path
    recipe: Mapping[str, Any]
    steps: Sequence[Mapping[str, float]]
    curve: Mapping[str, Any] | None
    model: str
    dataset: str
    answers: Sequence[RecentAnswer]
    state: str


def is_unfinished(run_folder: Path) -> bool:
    """Whether a folder holds a run that was begun and has no results yet."""
    folder = RunFolder(run_folder)
    return folder.recipe.is_file() and folder.store.is_file() and not folder.results.is_file()


def is_live(page: Path) -> bool:
    """Whether a page is of a run that was not finished when it was written."""
    try:
        with page.open("rb") as file:
            return _MARK.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def write(run_folder: Path, *, status: str | None = None, reload: float | None = None) -> Path:
    """Write the page of an unfinished run.

    Args:
        run_folder: the run.
        status: the stage and the times, as the running process knows them; None says who works on the run.
        reload: seconds after which a browser reads the page anew; None for never.

    Returns:
        The page's path.

    Raises:
        InputError: the place of the page has another file, or a file of the run is damaged.
        MachineError: the disk does not take it.
    """
    page = output(run_folder)
    page.write(render(read(run_folder), status=status, reload=reload))
    return page.path


def read(run_folder: Path) -> UnfinishedRun:
    """Read what an unfinished run has so far, also while it is at work.

    Raises:
        InputError: a file is damaged.
    """
    folder = RunFolder(run_folder)
    done = step_log.read(folder.log)
    last = done[-1]["step"] if done else 0
    with Store.open(folder.store, read_only=True) as store:
        # Beyond the last step the store may have entries of an earlier training.
        steps = [step for step in store.steps() if step["step"] <= last] if done else []
        newest = store.newest_answered()
        model, dataset, answers = "", "", []
        if newest is not None:
            model, dataset = newest.model, newest.name
            responses = newest.responses()
            answered = [item for item in newest.items() if item.id in responses][-MAX_ANSWERS:]
            answers = [
                RecentAnswer(
                    formatting.text(item.prompt),
                    tuple(map(formatting.text, item.references[:3])),
                    formatting.text(responses[item.id].text),
                )
                for item in reversed(answered)
            ]
    user = holder(folder.lock) if is_held(folder.lock) else None
    return UnfinishedRun(
        folder=run_folder,
        recipe=document.recorded_recipe(folder.recipe) or {},
        steps=steps,
        curve=_curve(run_folder, last),
        model=model,
        dataset=dataset,
        answers=answers,
        state=f"At work: {user}." if user else "Nothing works on it now: the same command goes on with it.",
    )


def _curve(run_folder: Path, last: int) -> dict[str, Any] | None:
    """The scores of the steps that were measured, in the form of results.json."""
    record = None
    with suppress(InputError):  # a damaged one is measured again, and is no reason to show nothing
        record = step_record.read(run_folder)
    if record is None:
        return None
    groups: dict[str, Any] = {
        group: {
            name: {**line, "points": [point for point in line["points"] if point["step"] <= last]}
            for name, line in record[group].items()
        }
        for group in ("tasks", "watched")
    }
    return {"steps": max(1, last), "delivered": max(1, last), "sentence": "", "left_out": [], **groups}


def _headline(steps: Sequence[int], model: str) -> str:
    """How far it came, in a few words."""
    if not steps:
        return "Not in training yet."
    return f"Trained for {steps[-1]} steps." if model == "tuned" else f"In training: step {steps[-1]}."


def render(run: UnfinishedRun, *, status: str | None, reload: float | None) -> str:
    """Make the page."""
    jinja = environment(text=formatting.text, plain=formatting.plain, count=formatting.count)
    losses = curves.losses(run.steps)
    steps = [int(step["step"]) for step in run.steps if step["step"] > 0]
    return jinja.get_template("live.html.j2").render(
        mark=_MARK,
        style=static("style.css"),
        title=formatting.plain(run.recipe.get("name") or run.folder.name),
        headline=_headline(steps, run.model),
        status=formatting.plain(status or run.state),
        reload=None if reload is None else f"{reload:g}",
        written=f"{datetime.now().astimezone():%-d %B %Y, %H:%M:%S}",
        curves=losses,
        other_curves=curves.others([step for step in run.steps if step["step"] > 0]),
        step_curves=step_curves.step_curves(run.curve),
        model=formatting.plain(run.model),
        dataset=formatting.plain(run.dataset),
        answers=run.answers,
        version=__version__,
    )
