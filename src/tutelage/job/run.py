"""The whole job: prepare, ask the base, tune, ask the tuned, compare, report.

Every stage is skipped when what it makes is there already and belongs to this recipe and these rows; so the same
command again, after any stop, goes on where it was. Nothing is written before the rows are read and found good.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tutelage import benchmarks as library
from tutelage import report
from tutelage.benchmarks import Benchmark
from tutelage.comparison import compare
from tutelage.config import method_fields
from tutelage.config.identity import identity as recipe_identity
from tutelage.config.identity import record, run_folder
from tutelage.config.schema import Recipe
from tutelage.core import files, hashing
from tutelage.core.errors import InputError
from tutelage.core.provenance import now, provenance
from tutelage.evaluation.answer_cache_key import Voice, kept_answers, voice
from tutelage.evaluation.measure import Asker, Measurement, pairs
from tutelage.evaluation.preflight import fit
from tutelage.evaluation.progress import Listener, Silent
from tutelage.inspection import test_set_access
from tutelage.inspection.train_use_parity import replay
from tutelage.job import integrity, tuning
from tutelage.job.tuning import Job
from tutelage.models import (
    LoadedModel,
    ModelSource,
    as_loaded,
    base_facts,
    fingerprint,
    load,
    load_tokenizer,
    loading_lines,
    own_template,
    require_whole,
    resolve,
)
from tutelage.prepare import contamination, preparation, recipe_mixture, template_clock
from tutelage.prepare.preparation import Prepared
from tutelage.results import document, tuned_record
from tutelage.results.folder_claim import check_claimable, claim
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store
from tutelage.training.objective import require_packable
from tutelage.training.objective_gradient import require_prompt_loss


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: its folder, results.json's content, and whether a budget of `retain` was passed."""

    folder: Path
    results: Mapping[str, Any]
    over_budget: bool
    fresh: bool


def run(
    recipe: Recipe,
    *,
    out: Path | None = None,
    data_dir: Path | None = None,
    listen: Listener | None = None,
) -> Outcome:
    """Do a recipe's whole job, or what is left of it.

    Args:
        recipe: from `tutelage.config.load`.
        out: the run folder; `runs/<name>-<hash>` by default.
        data_dir: where `local` data files are looked for.
        listen: is told what happens.

    Raises:
        InputError: the recipe's data or model is wrong, or the folder is another run's.
        MachineError: disk, network or another process stood in the way.
    """
    return _Run(recipe, out, data_dir, listen).all()


def train(
    recipe: Recipe,
    *,
    out: Path | None = None,
    data_dir: Path | None = None,
    listen: Listener | None = None,
) -> Path:
    """Only the tuning: arguments and errors as of `run`; gives the run folder, whose `model` is then there."""
    return _Run(recipe, out, data_dir, listen).train()


class _Run:
    """One run under way: what its stages share."""

    base: LoadedModel
    begun_before: bool
    """Whether an older version began it, which left generation settings out of its identity."""

    def __init__(
        self, recipe: Recipe, out: Path | None, data_dir: Path | None, listen: Listener | None
    ) -> None:
        method_fields.check(recipe.tune)
        self.recipe = recipe
        self.folder = run_folder(recipe, out)
        self.record = record(recipe, self.folder)
        self.data_dir = data_dir
        self.listen = listen or Silent()
        self.started = now()
        self.clock = time.monotonic()
        check_claimable(self.folder, self.record)
        self.template_clock = template_clock.clock_for(self.folder.path, day=recipe.date)

    @cached_property
    def watched(self) -> list[Benchmark]:
        """The watched benchmarks, read and checked."""
        found = [
            library.load(
                w.benchmark,
                data=self.data_dir,
                limit=library.Limit(w.limit, first=w.first),
                shots=w.shots,
                root=self.recipe.root,
            )
            for w in self.recipe.watch
        ]
        names = [one.name for one in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(
                "two that are watched are the same",
                where="watch",
                found=", ".join(twice),
                fix="remove one of them",
            )
        return found

    def all(self) -> Outcome:
        """Every stage that is not done."""
        self.listen.stage("prepare")
        rows = self._rows()
        source = self._find()
        asked = [b.fingerprint for b in self.watched]
        weights = fingerprint(source, settings=not self.begun_before)
        template = self.recipe.template_text() or own_template(source)
        key = hashing.of_json([recipe_identity(self.recipe), rows.identity, weights, template, asked])
        results = integrity.finished(self.folder, key, base=fingerprint(source), say=self._tell_check)
        if results is not None:
            self.listen.stage("done", "everything was done before")
            over_budget = bool(results["provenance"].get("over_budget"))
            return Outcome(self.folder.path, results, over_budget, fresh=False)
        report.output(self.folder.path).check()
        prepared = self._encode(rows, source)
        with self._opened(prepared) as store:
            base = template_clock.with_instant(self.base.fingerprint, self.template_clock)
            before = self._measure("base", base, lambda: self.base, prepared, store)
            job = self._tune(prepared, source, store)
            after = self._measure("tuned", self._answered_by(job), self._load_tuned, prepared, store)
            return self._conclude(before, after, prepared, store, {"key": key, "weights": weights})

    def train(self) -> Path:
        """Prepare and tune."""
        self.listen.stage("prepare")
        source = self._find()
        prepared = self._encode(self._rows(), source)
        with self._opened(prepared) as store:
            self._tune(prepared, source, store)
        return self.folder.path

    def _rows(self) -> preparation.Rows:
        return preparation.read(
            self.recipe, self.data_dir, say=lambda line: self.listen.stage("prepare", line)
        )

    def _find(self) -> ModelSource:
        """The recipe's model; what is fetched, converted or passed over is told."""
        source = resolve(self.recipe.model, say=lambda line: self.listen.stage("model", line))
        for note in source.notes:
            self.listen.stage("model", note)
        self.begun_before = integrity.begun_before(self.folder, fingerprint(source))
        return source

    def _tell_check(self, line: str) -> None:
        self.listen.stage("check", line)

    def _encode(self, rows: preparation.Rows, source: ModelSource) -> Prepared:
        template, clock = self.recipe.template_text(), self.template_clock
        words = load_tokenizer(source, chat_template=template, clock=clock)
        self.watched = [fit(one, words, beside=self.recipe.tune.virtual) for one in self.watched]
        self.base = load(source, chat_template=template, four_bit=self._four_bit, clock=clock)
        if self.begun_before:
            dtype = "nf4" if self._four_bit else "float32"
            older = as_loaded(source, self.base.chat_template, dtype, settings=False)
            self.base = replace(self.base, fingerprint=older)
        # What the tuning would refuse is refused now, and not after hours of asking the base.
        require_whole(self.base)
        if self.recipe.tune.packing:
            require_packable(self.base.model, self.base.model.device)
        require_prompt_loss(self.base.model, self.recipe.tune.prompt_loss_weight)
        prepared = preparation.encode(self.recipe, rows, self.base)
        rows = prepared.rows
        replay(self.recipe, rows, prepared, words)
        recipe_mixture.check_repeats(
            self.recipe, prepared.mixed, tuning.steps_of(self.recipe, prepared) * self.recipe.tune.batch_size
        )
        for line in prepared.mixed.said:
            self.listen.stage("prepare", line)
        near = min((task.split.near_duplicate_threshold for task in self.recipe.tasks), default=1.0)
        overlap = contamination.found(self.watched, rows, near=near)
        for name, told in overlap.items():
            if told["found"]:
                self.listen.stage(
                    "prepare", f"{told['found']} items of {name} stand in training: see the card"
                )
        return replace(
            prepared,
            card={
                **prepared.card,
                "base": base_facts(source),
                "tasks": self._looked(prepared.card, rows),
                "overlap": overlap,
            },
        )

    def _looked(self, card: Mapping[str, Any], rows: preparation.Rows) -> dict[str, Any]:
        """The tasks' cards, with how many of their test rows a person has seen before; told when there are any."""
        tasks = dict(card["tasks"])
        for task in rows.tasks:
            name = task.task.name
            if told := test_set_access.before(task.test):
                tasks[name] = {**tasks[name], "looked": told}
                self.listen.stage("prepare", f"{told['rows']} test rows of {name} were looked at before")
        return tasks

    @contextmanager
    def _opened(self, prepared: Prepared) -> Iterator[Store]:
        with claim(self.folder, self.record), Store.open(self.folder.store) as store:
            integrity.require_answers(self.folder, store)
            if self.recipe.date is None:
                template_clock.keep_instant(self.folder.path, self.template_clock)
            self._write_card(prepared.card)
            yield store

    def _tune(self, prepared: Prepared, source: ModelSource, store: Store) -> Job:
        """Tune what is not tuned yet; the base model is given up, so that the tuned one has its memory."""
        job = tuning.settle(self.recipe, prepared, self.base.fingerprint)
        if tuning.done(self.folder, job):
            self.listen.stage("tune", "was done before")
            record = tuned_record.read(self.folder.path)
            if record is not None and record.get("files") is None:
                integrity.adopt(self.folder, record, fingerprint(source), self._tell_check)
            tuning.clean(self.folder)
        else:
            self.listen.stage("tune")
            tuning.tune(
                self.recipe,
                prepared,
                job,
                base=self.base,
                source=source,
                folder=self.folder,
                store=store,
                listen=self.listen,
            )
        del self.base
        gc.collect()
        return job

    def _write_card(self, card: Mapping[str, Any]) -> None:
        """Write the card; what a finished tuning has seen of the same rows stays in it."""
        card = {**card, **template_clock.card_entry(self.template_clock)}
        if "training" not in card:
            with suppress(InputError):  # a damaged one is written again
                before = integrity.read_card(self.folder)
                seen = before.pop("training", None)
                if seen is not None and before == json.loads(json.dumps(card)):
                    return
        files.write_text(self.folder.card, json.dumps(card, indent=1, ensure_ascii=False) + "\n")

    def _load_tuned(self) -> LoadedModel:
        """The tuned model as it was saved: what is scored is what is delivered."""
        source = resolve(str(self.folder.model))
        return load(source, chat_template=None, four_bit=self._four_bit, clock=self.template_clock)

    def _answered_by(self, job: Job) -> str:
        """What the tuned model's answers are kept under: the tuning, and the weights that came of it."""
        weights = tuned_record.weights_hash(tuned_record.read(self.folder.path) or {})
        return job.identity if weights is None else hashing.of_json([job.identity, weights])

    @property
    def _four_bit(self) -> bool:
        """Whether base and tuned are both held in 4 bits: what is scored is what was tuned."""
        return self.recipe.tune.method == "qlora"

    def _measure(
        self, model: str, fingerprint: str, loaded: Any, prepared: Prepared, store: Store
    ) -> dict[str, dict[str, Measurement]]:
        voices: list[Voice] = []

        def wake() -> Voice:
            if not voices:
                voices.append(voice(loaded()))
            return voices[0]

        said = {**provenance(started=self.started), **template_clock.card_entry(self.template_clock)}
        found: dict[str, dict[str, Measurement]] = {"tasks": {}, "watched": {}}
        with kept_answers(lambda line: self.listen.stage("cache", line)) as answers:
            asker = Asker(store, model, fingerprint, said, wake, self.listen, answers, stages=f"{model}: ")
            for task in prepared.tasks:
                self.listen.stage(f"{model}: {task.name}")
                found["tasks"][task.name] = asker.task(task)
            for benchmark in self.watched:
                self.listen.stage(f"{model}: {benchmark.name}")
                found["watched"][benchmark.name] = asker.benchmark(benchmark)
        return found

    def _conclude(
        self,
        before: dict[str, dict[str, Measurement]],
        after: dict[str, dict[str, Measurement]],
        prepared: Prepared,
        store: Store,
        identity: Mapping[str, str],
    ) -> Outcome:
        self.listen.stage("compare")
        comparison = compare(
            pairs(before["tasks"], after["tasks"]),
            pairs(before["watched"], after["watched"]),
            budgets=self._budgets(),
            groups=prepared.groups,
        )
        self._write_card({**prepared.card, "training": self._seen(store, prepared)})
        said = {
            **provenance(started=self.started, ended=now()),
            **template_clock.card_entry(self.template_clock),
            **identity,
            "seconds": round(time.monotonic() - self.clock, 1),
            "over_budget": comparison.over_budget,
            "load": loading_lines(self.folder.model, shown=str(self.folder.model.absolute())),
        }
        compared = comparison.as_json()
        for name, measurement in after["watched"].items():
            compared["watched"][name]["told"] = dict(measurement.said)
        compared["made_from"] = integrity.made_from(self.folder, store)
        results = document.sealed(document.build(recipe=self.record, provenance=said, comparison=compared))
        # A page of older results must not pass for this one's.
        report.output(self.folder.path).check().unlink(missing_ok=True)
        document.write(self.folder.results, results)
        self.listen.stage("report")
        report.write(self.folder.path)
        return Outcome(self.folder.path, results, comparison.over_budget, fresh=True)

    def _budgets(self) -> dict[str, float]:
        """What may be lost, by the benchmarks' own names: a recipe calls them by path, or without their way."""
        own = {
            asked.benchmark: found.name for asked, found in zip(self.recipe.watch, self.watched, strict=True)
        }
        return {own[name]: points for name, points in self.recipe.retain.items()}

    def _seen(self, store: Store, prepared: Prepared) -> dict[str, Any]:
        """What the training saw in all, and of several tasks or forms what of each.

        Where the log was lost with the store, the totals are those that tuned.json keeps.
        """
        totals = tuning.seen(store)
        if not totals["steps"]:
            totals = (tuned_record.read(self.folder.path) or {}).get("seen") or totals
        told = {"objective": tuning.objective(self.recipe), **totals}
        names = prepared.names
        if len(names) > 1 or any(len(set(one)) > 1 for one in prepared.forms):
            rows = told["steps"] * self.recipe.tune.batch_size
            told["tasks"] = recipe_mixture.seen(prepared.mixed, names, rows, prepared.train, prepared.forms)
        return told
