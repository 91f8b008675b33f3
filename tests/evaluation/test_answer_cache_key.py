"""Answers of before in whole evaluations: what was asked of the same model is not asked again, and nothing else is taken."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sqlite3

import pytest

from tutelage import evaluate
from tutelage.core import caches
from tutelage.core.clock import Clock, Instant
from tutelage.core.types import Request
from tutelage.engine import Engine
from tutelage.evaluation import answer_cache_key
from tutelage.evaluation.answer_cache_key import keyed_engine, model_key
from tutelage.models import load, resolve
from tutelage.results.store import Store
from tutelage.tokens import rendering

PROBE = ["general-probe"]


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The file of kept answers, with the cache switched on."""
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "0")
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "answers" / "answers.sqlite"


@pytest.fixture
def asked(monkeypatch):
    """The ids of all requests that an engine was given."""
    real, seen = Engine.answer, []

    def answer(self, requests, **how):
        seen.extend(request.id for request in requests)
        return real(self, requests, **how)

    monkeypatch.setattr(Engine, "answer", answer)
    return seen


@pytest.fixture
def model(tmp_path, tiny_model_folder):
    """A model's folder that may be written to."""
    return shutil.copytree(tiny_model_folder, tmp_path / "model")


class Told:
    """What a listener was told."""

    def __init__(self):
        self.stages, self.advances = [], []

    def stage(self, name, note=""):
        self.stages.append((name, note))

    def advance(self, done, total):
        self.advances.append((done, total))

    def event(self, event):
        pass


def responses(folder):
    with Store.open(folder / "results.sqlite", read_only=True) as store:
        (evaluation,) = store.evaluations()
        return evaluation.responses(), evaluation.provenance()


def change_weights(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] *= -1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_larger_evaluation_asks_only_what_is_new(tmp_path, path, model, asked):
    evaluate(str(model), PROBE, limit=2, out=tmp_path / "small")
    small = list(asked)
    assert small
    asked.clear()
    told = Told()
    evaluate(str(model), PROBE, limit=4, out=tmp_path / "large", listen=told)
    assert len(asked) == len(small)
    assert not set(asked) & set(small)
    total = 2 * len(small)
    assert ("general-probe", f"{len(small)} of {total} answers from the cache") in told.stages
    assert told.advances[0] == (len(small), total)
    assert told.advances[-1] == (total, total)
    before, _ = responses(tmp_path / "small")
    after, provenance = responses(tmp_path / "large")
    assert {id_: after[id_] for id_ in before} == before
    assert [one.get("answers") for one in provenance] == ["cache", None]


def test_the_same_in_another_folder_asks_nothing_and_scores_the_same(tmp_path, path, model, asked):
    first = evaluate(str(model), PROBE, limit=3, out=tmp_path / "one")
    asked.clear()
    moved = model.rename(tmp_path / "another name")
    second = evaluate(str(moved), PROBE, limit=3, out=tmp_path / "two")
    assert asked == []
    assert second.document["benchmarks"] == first.document["benchmarks"]
    assert responses(tmp_path / "one")[0] == responses(tmp_path / "two")[0]


def test_the_same_name_with_other_weights_gets_nothing(tmp_path, path, model, asked):
    evaluate(str(model), PROBE, limit=2, out=tmp_path / "one")
    first = list(asked)
    change_weights(model)
    evaluate(str(model), PROBE, limit=2, out=tmp_path / "two")
    assert sorted(asked) == sorted(2 * first)


def test_another_template_gets_nothing(tmp_path, path, model, asked):
    evaluate(str(model), PROBE, limit=2, out=tmp_path / "one")
    first = list(asked)
    template = model / "chat_template.jinja"
    template.write_text("\n" + template.read_text("utf-8"), "utf-8")
    evaluate(str(model), PROBE, limit=2, out=tmp_path / "two")
    assert sorted(asked) == sorted(2 * first)
    evaluate(str(model), PROBE, limit=2, out=tmp_path / "three", chat_template="plain")
    assert sorted(asked) == sorted(3 * first)


def test_whatever_decides_answers_is_in_the_models_content_and_its_place_is_not(
    tmp_path, model, monkeypatch, tiny_t5_folder
):
    def content(folder=model):
        return model_key(load(resolve(str(folder))))

    seen = [content()]
    assert content(shutil.copytree(model, tmp_path / "copy")) == seen[0]

    def end_with(ids):
        settings = json.loads((model / "generation_config.json").read_text("utf-8"))
        (model / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": ids}), "utf-8")

    def spell(name, value):
        told = json.loads((model / name).read_text("utf-8"))
        (model / name).write_text(json.dumps({**told, **value}), "utf-8")

    for change in (
        lambda: end_with([2, 7]),
        lambda: spell("config.json", {"rms_norm_eps": 0.5}),
        lambda: spell("tokenizer_config.json", {"bos_token": "<|endoftext|>"}),
        lambda: change_weights(model),
        lambda: monkeypatch.setattr(caches, "code_version", lambda *_: ["another"]),
        lambda: monkeypatch.setattr(answer_cache_key, "_device", lambda _: "another"),
    ):
        change()
        seen.append(content())
    seen.append(model_key(load(resolve(str(model)), dtype="bfloat16")))
    seen.append(content(tiny_t5_folder))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("clock", "changes"),
    [
        ("{{ strftime_now('%H:%M:%S') }}", 4),
        ("{% set c = strftime_now %}{{ c('%H:%M:%S') }}", 4),
        ("{{ strftime_now ('%H:%M:%S') }}", 4),
        ("{{ strftime_now('%H'~':%M:%S') }}", 4),
        ("{{ strftime_now('%d %b') }}", 2),
        ("{% if messages | length > 2 %}{{ strftime_now('%S') }}{% endif %}", 1),
        ("", 1),
    ],
)
def test_answers_depend_on_what_the_template_reads_of_the_clock(model, clock, changes):
    """At four moments, two of them on the same day as others."""
    request = Request("1", "generate", "What is the price?", max_new_tokens=4)
    contents = set()
    loaded = load(
        resolve(str(model)), chat_template=clock + (model / "chat_template.jinja").read_text("utf-8")
    )
    for hours in (0, 1, 24, 25):
        moment = dt.datetime(2026, 1, 2, 3, 4, 5 + hours % 7, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
        rendering.set_template(loaded.tokenizer, loaded.chat_template, clock=Clock(Instant(moment)))
        contents.add(keyed_engine(loaded).key_for([request]))
    assert len(contents) == changes


def test_answers_are_kept_before_they_are_told(tmp_path, path, model):
    class Stops(Told):
        def advance(self, done, total):
            super().advance(done, total)
            if done:
                raise KeyboardInterrupt

    told = Stops()
    with pytest.raises(KeyboardInterrupt):
        evaluate(str(model), PROBE, limit=2, out=tmp_path / "out", listen=told)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT count(*) FROM answers").fetchone() == (told.advances[-1][0],)
    raw.close()


@pytest.mark.parametrize("off", [("TUTELAGE_NO_CACHE", "1"), ("TUTELAGE_ANSWERS_CACHE_MB", "0")])
def test_switched_off_nothing_is_kept(path, model, asked, monkeypatch, off):
    monkeypatch.setenv(*off)
    tmp_path = model.parent
    for name in ("one", "two"):
        evaluate(str(model), PROBE, limit=1, out=tmp_path / name)
    assert len(asked) == 2 * len(set(asked))
    assert not path.exists()


def test_a_damaged_file_is_told_once_and_all_is_asked(tmp_path, path, model, asked):
    first = evaluate(str(model), PROBE, limit=2, out=tmp_path / "one")
    path.write_bytes(b"damaged" * 1000)
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    told = Told()
    second = evaluate(str(model), PROBE, limit=2, out=tmp_path / "two", listen=told)
    assert len(asked) == 2 * len(set(asked))
    assert second.document["benchmarks"] == first.document["benchmarks"]
    (line,) = [note for name, note in told.stages if name == "cache"]
    assert "so all is asked" in line


def test_an_encoder_decoder_model_remembers_too(tmp_path, path, tiny_t5_folder, asked):
    evaluate(str(tiny_t5_folder), PROBE, limit=2, out=tmp_path / "one")
    first = len(asked)
    evaluate(str(tiny_t5_folder), PROBE, limit=2, out=tmp_path / "two")
    assert len(asked) == first
    assert responses(tmp_path / "one")[0] == responses(tmp_path / "two")[0]
