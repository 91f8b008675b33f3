"""A chat template that writes the time: one instant a run and an evaluation, that of its first start, whatever day it is."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tutelage import config as recipes
from tutelage import evaluate
from tutelage.config.identity import run_folder
from tutelage.core import clock as clocks
from tutelage.core.errors import InputError, MachineError
from tutelage.engine import Engine
from tutelage.evaluation.progress import SilentListener
from tutelage.inspection.inspect import inspect
from tutelage.job.run import run, train
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare import template_clock
from tutelage.templates import chat_renderer
from tutelage.tokens import rendering
from tutelage.training.events import Event, StepDone

FIRST = datetime(2026, 1, 31, 23, 59, 50, tzinfo=UTC)
CLOCK = "{% set c = strftime_now %}<|im_start|>system\n{{ c('%d %b %Y %H:%M:%S') }}<|im_end|>\n"
TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROBE = ["general-probe"]


@pytest.fixture
def at(monkeypatch):
    """Set the clock to so many days after the first start."""

    def go(days: float) -> datetime:
        moment = FIRST + timedelta(days=days)
        monkeypatch.setattr(clocks, "now", lambda: moment)
        return moment

    go(0)
    return go


@pytest.fixture
def dated(tmp_path, tiny_model_folder) -> Path:
    """A model whose chat template writes date and time, seconds too."""
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "dated"))
    (folder / "chat_template.jinja").write_text(CLOCK + TURNS, "utf-8")
    return folder


@pytest.fixture
def recipe(job, dated):
    """The job's recipe with that model, and little to ask."""
    text = (job / "recipe.yaml").read_text("utf-8").replace("epochs: 4", "epochs: 1")
    (job / "recipe.yaml").write_text(text, "utf-8")
    return recipes.load(
        job / "recipe.yaml", sets=[f"model={dated}", "watch=[]", "retain={}", "tune.checkpoint_every=1"]
    )


@pytest.fixture
def shown(monkeypatch):
    """The instants that templates were shown."""
    real, seen = chat_renderer.render, set()

    def render(template, talks, beside, moment):
        seen.add(moment.moment)
        return real(template, talks, beside, moment)

    monkeypatch.setattr(chat_renderer, "render", render)
    return seen


class StopsAt(SilentListener):
    """Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.last = step

    def event(self, event: Event) -> None:
        if isinstance(event, StepDone) and event.step == self.last:
            raise KeyboardInterrupt


def weights(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "model").glob("*.safetensors")}


def test_a_run_stopped_and_taken_up_a_week_later_ends_as_if_it_had_not_been(recipe, job, at, shown):
    train(recipe, out=job / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=job / "stopped", listener=StopsAt(2))
    assert list((job / "stopped" / "checkpoints").iterdir())

    class Midnight(SilentListener):
        def stage(self, *_: str) -> None:
            at(8)

    at(7)
    kept = job / "stopped" / template_clock.NAME
    text = kept.read_text("ascii")
    kept.write_text("yesterday\n", "ascii")
    with pytest.raises(InputError, match="holds no instant"):
        train(recipe, out=job / "stopped")
    kept.unlink()
    with pytest.raises(InputError, match="instant"):
        train(recipe, out=job / "stopped")
    kept.write_text(text, "ascii")
    shown.clear()
    outcome = run(recipe, out=job / "stopped", listener=Midnight())
    assert weights(job / "stopped") == weights(job / "whole")
    assert shown == {FIRST}, "training, validation, base and tuned are shown one instant"
    note = {"instant": FIRST.isoformat(), "read": {"%d %b %Y %H:%M:%S": "31 Jan 2026 23:59:50"}}
    card = json.loads((job / "stopped" / "data" / "card.json").read_text("utf-8"))
    assert card["template_clock"] == outcome.results["provenance"]["template_clock"] == note
    assert "31 Jan 2026 23:59:50" in (job / "stopped" / "report.html").read_text("utf-8")
    assert not run(recipe, out=job / "stopped").fresh


def test_a_template_without_a_clock_leaves_a_folder_as_before(job, at, monkeypatch):
    recipe = recipes.load(job / "recipe.yaml", sets=["watch=[]", "retain={}", "tune.epochs=1"])
    folder = train(recipe, out=job / "out")
    assert not (folder / template_clock.NAME).exists()
    assert "template_clock" not in json.loads((folder / "data" / "card.json").read_text("utf-8"))
    assert "instant" not in json.loads((folder / "tuned.json").read_text("utf-8")).get("needs", {})


def test_a_recipes_date_is_what_every_run_reads(job, dated, at, shown):
    def named(day):
        sets = [f"model={dated}", "watch=[]", "retain={}", "tune.steps=1", f"date={day}"]
        return recipes.load(job / "recipe.yaml", sets=sets)

    at(5)
    folder = train(named("2025-12-24"), out=job / "out")
    (moment,) = shown
    assert (moment.year, moment.month, moment.day, moment.hour) == (2025, 12, 24, 0)
    assert recipes.load(folder / "recipe.yaml").date == named("2025-12-24").date
    for wrong in ("31.12.2025", "0001-01-01", "2025-12-24T10:00:00", "true"):
        with pytest.raises(InputError, match="not a day"):
            named(wrong)


def test_inspect_warns_and_shows_the_runs_own_instant(recipe, job, at, monkeypatch):
    monkeypatch.chdir(job)
    (warning,) = [one for one in inspect(recipe).findings if one.kind == "template-reads-clock"]
    assert warning.level == "warning"
    assert "'%d %b %Y %H:%M:%S' as '31 Jan 2026 23:59:50'" in warning.found
    clock = template_clock.clock_for(run_folder(recipe).path)
    clock.note({"%d": "31"})
    template_clock.keep_instant(run_folder(recipe).path, clock)
    at(4)
    (warning,) = [one for one in inspect(recipe).findings if one.kind == "template-reads-clock"]
    assert "31 Jan 2026" in warning.found


def test_an_evaluation_has_one_instant_also_after_a_stop(tmp_path, dated, at, shown):
    class Stops(SilentListener):
        def advance(self, done: int, *_: int) -> None:
            if done:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(str(dated), PROBE, limit=1, out=tmp_path / "out", listen=Stops())
    shown.clear()
    at(2)
    document = evaluate(str(dated), PROBE, limit=1, out=tmp_path / "out").document
    asked = shown - {FIRST + timedelta(days=2)}  # what is looked at before the folder is known
    assert asked == {FIRST}
    assert document["provenance"]["template_clock"]["instant"] == FIRST.isoformat()
    other = evaluate(str(dated), PROBE, limit=1, out=tmp_path / "other").document
    assert other["provenance"]["template_clock"]["instant"] == (FIRST + timedelta(days=2)).isoformat()


def test_answers_of_another_second_are_not_taken(tmp_path, dated, at, monkeypatch):
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "0")
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    real, asked = Engine.answer, []
    monkeypatch.setattr(
        Engine, "answer", lambda self, requests, **how: asked.extend(requests) or real(self, requests, **how)
    )

    def count(name):
        asked.clear()
        evaluate(str(dated), PROBE, limit=1, out=tmp_path / name)
        return len(asked)

    whole = count("one")
    assert whole
    assert count("the same second") == 0
    at(2 / 86400)
    assert count("two seconds later") == whole


def test_two_processes_never_mix_their_instants(tmp_path, at):
    first, second = (template_clock.clock_for(tmp_path) for at_days in (0, 1) if at(at_days))
    for clock in (first, second):
        clock.note({"%d": "31"})
    template_clock.keep_instant(tmp_path, first)
    template_clock.keep_instant(tmp_path, first)
    with pytest.raises(MachineError, match="another process"):
        template_clock.keep_instant(tmp_path, second)
    assert template_clock.clock_for(tmp_path).instant == first.instant


def test_what_is_read_late_is_kept_before_it_is_used(tmp_path, dated, at):
    late = "{% if messages | length > 1 %}" + CLOCK + "{% endif %}" + TURNS
    clock = template_clock.clock_for(tmp_path / "run")
    words = load_tokenizer(resolve(str(dated)), chat_template=late, clock=clock)
    template_clock.keep_instant(tmp_path / "run", clock)
    assert not (tmp_path / "run" / template_clock.NAME).exists()
    rendering.render(
        words.tokenizer, [{"role": r, "content": "a"} for r in ("user", "assistant")], generate=True
    )
    assert template_clock.read_instant(tmp_path / "run") == clock.instant
