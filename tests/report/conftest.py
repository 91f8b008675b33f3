from __future__ import annotations

import json
import math

import pytest
import yaml

from tutelage.comparison import PairedScores, compare_models, lost_items
from tutelage.core.seeds import generator
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.results import diagnosis_document, document
from tutelage.results.store import Item, Store

PARTS = ("arithmetic", "entailment", "everyday knowledge", "following a format", "sentiment", "spelling")
PRODUCTS = ("Harbour kettle", "Tern lamp", "Fathom scale", "Dune blender")
METRICS = {"task": ["states_fact", "rougeL", "rightly_refuses"], "benchmark": ["accuracy"]}


class FakeRun:
    """A run folder as `tutelage run` leaves it, without a model: answers are made up, all else is computed.

    Every text that data or models could put on the page comes from `say`, which a test may replace.
    """

    def __init__(
        self, folder, *, say=str, watched=True, tasks=True, steps=120, test_items=60, probe_items=240
    ):
        self.folder = folder
        self.say = say
        self.steps = steps
        measured = {"task": {}, "benchmark": {}}
        with Store.open(folder / "results.sqlite") as store:
            if tasks:
                measured["task"][say("support-bot")] = self._task(store, test_items)
            if watched:
                measured["benchmark"][say("general-probe")] = self._probe(store, probe_items)
            for step, entry in self._log():
                store.log_step(step, entry)
            self.lost = {name: lost_items.of_benchmark(store, name) for name in measured["benchmark"]}
        budgets = {say("general-probe"): 5.0} if watched else {}
        self.comparison = compare_models(measured["task"], measured["benchmark"], budgets=budgets)
        self._write_documents(budgets)

    def _task(self, store, count):
        chance = generator(1, "task")
        items, base, tuned = [], [], []
        for n in range(count):
            product, price = PRODUCTS[n % 4], f"{20 + n} crowns"
            answerable = n % 5 != 4
            answer = f"The {product} costs {price}." if answerable else "I am sorry, I do not know that."
            fields = {
                "must_contain": [self.say(price)] if answerable else [],
                "must_not_contain": [self.say("99 crowns")] if answerable else [],
                "answerable": answerable,
                "refusal": [self.say("do not know")],
            }
            asked = f"What does the {product} with the number {n} cost these days?"
            items.append(Item(f"support-bot.jsonl:{n + 1}", "", self.say(asked), (self.say(answer),), fields))
            base.append(
                f"The {product} is a great product! It usually costs between 50 and 80 dollars, depending on the shop."
            )
            tuned.append(answer if chance.random() < 0.85 else f"The {product} costs 99 crowns.")
        return self._evaluate(store, "task", items, base, tuned)

    def _probe(self, store, count):
        chance = generator(2, "probe")
        items, base, tuned = [], [], []
        for n in range(count):
            part = PARTS[n % len(PARTS)]
            items.append(
                Item(f"probe-{n}", self.say(part), self.say(f"Question {n} on {part}: yes or no?"), ("yes",))
            )
            base.append("yes" if chance.random() < 0.66 else "no")
            forgets = part == "spelling" and chance.random() < 0.5
            tuned.append("no" if forgets else "yes" if chance.random() < 0.05 else base[-1])
        return self._evaluate(store, "benchmark", items, base, tuned)

    def _evaluate(self, store, suite, items, base, tuned):
        name = self.say("support-bot" if suite == "task" else "general-probe")
        metrics = METRICS[suite]
        scored, by_part = {}, {}
        parts = sorted({item.part for item in items} - {""})
        for model, answers in (("base", base), ("tuned", tuned)):
            one = store.evaluation(
                model=model, suite=suite, name=name, fingerprint=model, provenance={"by": "a test"}
            )
            one.declare(items)
            one.add(
                [
                    Response(
                        id=item.id,
                        text=self.say(answer),
                        finish="length" if len(answer) > 90 else "stop",
                        tokens=9,
                    )
                    for item, answer in zip(items, answers, strict=True)
                ]
            )
            rows = [
                Row(answer, item.references, item.fields) for item, answer in zip(items, answers, strict=True)
            ]
            scored[model] = score_rows(metrics, rows)
            one.write_scores("", scored[model], primary=metrics[0])
            for part in parts:
                own = [row for item, row in zip(items, rows, strict=True) if item.part == part]
                by_part[model, part] = score_rows(metrics, own)
                one.write_scores(part, by_part[model, part], primary=metrics[0])
        return PairedScores(
            metrics[0],
            scored["base"],
            scored["tuned"],
            {part: PairedScores(metrics[0], by_part["base", part], by_part["tuned", part]) for part in parts},
        )

    def _log(self):
        chance = generator(3, "loss")
        for step in range(1, self.steps + 1):
            entry = {
                "loss": 0.25 + 3 * math.exp(-step / 25) + 0.2 * chance.random(),
                "seconds": 1.75,
                "tokens": 800,
                "rate": 1e-3 * (1 - step / (self.steps + 1)),
                "memory": 1_600_000_000 + step * 1_000_000,
            }
            if step % 20 == 0:
                entry["validation_loss"] = 0.4 + 2.6 * math.exp(-step / 25) + step / 1500
            yield step, entry

    def _search(self):
        name = self.say("general-probe")

        def tested(scale, loss, gain):
            test = {"budget": 5.0, "loss": loss, "low": loss - 2, "high": loss + 2, "p": 0.01, "n": 120}
            within = gain is not None
            gained = {"value": gain, "low": gain - 9, "high": gain + 9} if within else None
            return {
                "scale": scale,
                "within": within,
                "gain": gained,
                "losses": {name: {**test, "within": within}},
            }

        return {
            "path": [0.4, 0.7, 0.85, 1.0],
            "candidates": [tested(0.4, 0.5, 30.0), tested(0.7, 2.0, 61.0), tested(0.85, 6.0, None)],
            "chosen": 0.7,
            "full_gain": {"value": 70.0, "low": 61.0, "high": 79.0},
            "level": 0.05,
            "sentence": self.say("Delivered at 0.7 of the change."),
        }

    def _curve(self):
        def line(metric, base, gains):
            points = [{"step": 0, "value": base}]
            for step, gain in gains.items():
                ends = {"low": gain - 11.0, "high": gain + 9.0}
                difference = {"value": gain / 100, "low": ends["low"] / 100, "high": ends["high"] / 100}
                points.append(
                    {
                        "step": step,
                        "value": base + gain / 100,
                        "difference": difference,
                        "gain": {"value": gain, **ends},
                    }
                )
            return {"primary": metric, "n": 40, "points": points}

        return {
            "steps": 120,
            "delivered": 100,
            "tasks": {self.say("support-bot"): line("states_fact", 0.02, {50: 61.0, 100: 80.0, 120: 82.0})},
            "watched": {
                self.say("general-probe"): line("accuracy", 0.66, {50: -9.0, 100: -12.0, 120: -16.0})
            },
            "left_out": [self.say("small talk")],
            "sentence": self.say("Half of the loss was there by step 50."),
        }

    def _sequence(self):
        def cell(value):
            return {"value": value, "low": value - 4, "high": value + 4, "n": 60}

        first, second = self.say("greetings"), self.say("support-bot")
        stages = [("smollm2-135m-instruct", []), ("greetings-1a2b", [first]), ("support-bot-3c4d", [second])]
        change = {"value": -28.2, "low": -33.0, "high": -22.5}
        return {
            "stages": [{"name": self.say(name), "tasks": tasks} for name, tasks in stages],
            "tasks": {
                first: {
                    "stage": 1,
                    "metric": "accuracy",
                    "scores": {"0": cell(10.0), "1": cell(91.2), "2": cell(63.0)},
                    "change": change,
                },
                second: {
                    "stage": 2,
                    "metric": "states_fact",
                    "scores": {"0": cell(5.0), "2": cell(85.0)},
                },
            },
            "without": [{"name": self.say("lengths"), "metric": self.say("ter")}],
            "figures": {
                "accuracy": {"value": 74.0, "low": 70.0, "high": 78.0, "tasks": 2},
                "average_forgetting": {"value": 28.2, "low": 22.5, "high": 33.0, "tasks": 1},
            },
            "watched": {
                self.say("general-probe"): {"value": -3.0, "low": -5.0, "high": -1.0, "n": 240},
                self.say("mmlu"): {"not_compared": self.say("no item in common")},
            },
            "resamples": 2000,
            "seed": 0,
            "sentence": self.say("After teaching support-bot, greetings fell from 91.2 to 63.0."),
        }

    def _diagnosis(self):
        name, say = self.say("general-probe"), self.say
        share = {"value": 0.7, "low": 0.6, "high": 0.8}
        points = {"value": 9.1, "low": 6.0, "high": 12.2}
        return {
            "schema": 1,
            "made_from": diagnosis_document.source_of(document.read(self.folder / "results.json")),
            "settings": {"control": True},
            "rows": [{"id": "plan-01", "prompt": say("Plan a dinner."), "completion": say("Soup, then cake.")}],
            "rescored": {
                name: {
                    "items": 171, "left_out": 4, "base_first": 160, "tuned_first": 120, "kept": [say("probe-1")],
                    "base_share": share, "tuned_share": share, "chance": 0.125,
                    "change": {"value": -0.4, "low": None, "high": None},
                }
            },
            "realigned": {
                name: {"loss": points, "recovered": points, "remaining": points, "control": points, "items": 240}
            },
            "sentences": [say("Of 171 lost items it ranks 120 first.")],
            "provenance": {},
        }  # fmt: skip

    def _write_documents(self, budgets):
        say = self.say
        recipe = {
            "name": say("support-bot"),
            "model": say("smollm2-135m-instruct"),
            "tune": {"method": "lora", "rank": 16, "epochs": 4},
            "retain": budgets,
        }
        provenance = {
            "started": "2026-03-04T10:00:00+00:00",
            "ended": "2026-03-04T10:07:12+00:00",
            "command": ["tutelage", "run", say("recipes/support-bot.yaml")],
            "versions": {
                "python": "3.11.7",
                "tutelage": "0.1.0",
                "torch": "2.13.0",
                "transformers": "5.23.0",
            },
            "platform": say("Linux-6.1-x86_64"),
            "cpu_count": 2,
            "seconds": 432.0,
            "load": [say("import a"), "b = 1", "c = 2"],
        }
        compared = self.comparison.as_json()
        for name, lost in self.lost.items():
            compared["watched"][name]["lost_items"] = lost.as_json()
        document.write(
            self.folder / "results.json",
            document.build(
                recipe=recipe,
                provenance=provenance,
                comparison={
                    **compared,
                    "protection": self._search(),
                    "curve": self._curve(),
                    "sequence": self._sequence(),
                },
            ),
        )
        diagnosis_document.write(self.folder, self._diagnosis())
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True))
        lengths = {"min": 12, "median": 18, "p95": 25, "max": 31}
        tokens = {
            "rows": 320,
            "tokens": 10240,
            "loss_tokens": 4210,
            "truncated": 0,
            "prompt": lengths,
            "completion": lengths,
            "histograms": {
                side: {"start": 10, "width": 2, "bars": [3, 40, 0, 90, 120, 50, 9, 0, 6, 1, 1]}
                for side in ("prompt", "completion")
            },
        }
        words = [
            "<|im_start|>",
            "user",
            "\n",
            "What",
            " does",
            " it",
            " cost",
            "?",
            "<|im_end|>",
            "\n",
            "It",
            " costs",
            " 20",
            ".",
        ]
        card = {
            "schema": 1,
            "tasks": {
                say("support-bot"): {
                    "source": {"kind": "path", "file": say("data/support-bot.jsonl"), "sha256": "ab" * 32},
                    "rows": 440,
                    "splits": {"train": 320, "validation": 60, "test": 60},
                    "dropped": [{"where": say("support-bot.jsonl:7"), "why": say("empty completion")}],
                    "wordings": {"train": {say("sentiment/one-word"): 200, say("sentiment/judge"): 120}},
                    "shots": {"3": 318, "2": 2},
                    "near": {"train": 2, "validation": 0, "test": 0},
                    "repeated": {"train": 3, "validation": 0, "test": 0},
                    "leaks": {
                        "exact": [{"test": say("support-bot.jsonl:9"), "train": say("support-bot.jsonl:8")}]
                    },
                    "template": say("question and answer"),
                    "prompt": say("{{ question }}"),
                    "completion": say("{{ answer }}"),
                    "tokens": {"train": tokens, "validation": tokens, "test": {}},
                    "examples": [
                        {
                            "id": say(f"support-bot.jsonl:{row}"),
                            "origin": say(f"support-bot.jsonl:{row}"),
                            "tokens": [say(w) for w in words] * (1 if row else 40),
                            "mask": [n >= 10 for n in range(14)] * (1 if row else 40),
                        }
                        for row in range(14)
                    ],
                }
            },
            "overlap": {
                say("general-probe"): {
                    "items": 240,
                    "found": 1,
                    "first": [
                        {"item": say("probe-3"), "train": say("support-bot.jsonl:4"), "how": "13 words"}
                    ],
                }
            },
            "training": {
                "rows_seen": 1280,
                "tokens_seen": 40960,
                "loss_tokens_seen": 16840,
                "steps": self.steps,
            },
        }
        (self.folder / "data").mkdir()
        (self.folder / "data" / "card.json").write_text(json.dumps(card, ensure_ascii=False))


@pytest.fixture
def fake_run(tmp_path):
    """Make a finished run folder; options as of FakeRun."""

    def make(name="runs", **options):
        return FakeRun(tmp_path / name, **options)

    return make
