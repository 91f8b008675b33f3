from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors as hub_errors

from tutelage.core.errors import InputError, MachineError
from tutelage.models import ModelSource, base_of, fingerprint, resolve
from tutelage.models.resolution import base_name


@pytest.fixture
def copy(tiny_model_folder, tmp_path) -> Path:
    """The tiny model in a folder that may be damaged."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "copy"))


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder_is_found_and_named_as_the_person_named_it(tiny_model_folder, monkeypatch):
    monkeypatch.chdir(tiny_model_folder.parent)
    found = resolve("tiny-llama")
    assert (found.name, found.kind, found.folder, found.base, found.notes) == (
        "tiny-llama",
        "folder",
        Path("tiny-llama"),
        None,
        (),
    )
    assert found.config()["num_hidden_layers"] == 2


def test_a_run_folder_is_its_tuned_model(copy, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("model: x\n")
    with pytest.raises(InputError, match="no tuned model yet"):
        resolve(str(run))
    copy.rename(run / "model")
    found = resolve(str(run))
    assert (found.kind, found.folder) == ("run", run / "model")


def test_a_gguf_file_is_converted_once(tiny_gguf, cache):
    said = []
    found = resolve(str(tiny_gguf), say=said.append)
    assert (found.kind, found.name, len(said)) == ("gguf", str(tiny_gguf), 1)
    assert found.folder.parent == cache / "models"
    assert resolve(str(tiny_gguf), say=pytest.fail) == found


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smollm2-135m-instuct", "smollm2-135m-instruct"),
        ("tiny-lama", "tiny-llama"),
        ("./tiny-lama", "tiny-llama"),
        ("nothing/like/it/at/all", None),
    ],
)
def test_an_unknown_name_gets_the_nearest(tiny_model_folder, monkeypatch, name, hint):
    monkeypatch.chdir(tiny_model_folder.parent)
    with pytest.raises(InputError, match="no model of this name") as caught:
        resolve(name)
    assert caught.value.found == name
    assert ("did you mean" in caught.value.fix) == (hint is not None)
    assert (hint or "") in caught.value.fix


@pytest.mark.parametrize(
    ("name", "found", "fix"),
    [
        ("~/nosuch", "~/nosuch, which is /home/ann/nosuch, where nothing is", "check the name"),
        ("https://huggingface.co/owner/name/tree/main", "https://", "not by its URL: write owner/name"),
        ("hf://owner/name", "hf://owner/name", "not by its URL: write owner/name"),
        ("https://example.com/models/name", "https://", "a hub model is named owner/name, not by its URL"),
    ],
)
def test_a_home_folder_and_a_url_get_advice_of_their_own(monkeypatch, name, found, fix):
    monkeypatch.setenv("HOME", "/home/ann")
    with pytest.raises(InputError, match="no model of this name") as caught:
        resolve(name)
    assert found in caught.value.found
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("config.json", "holds no model"),
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", "no weights"),
    ],
)
def test_what_a_folder_lacks_is_said(copy, missing, problem):
    (copy / missing).unlink()
    with pytest.raises(InputError, match=problem) as caught:
        resolve(str(copy))
    assert caught.value.where.startswith(str(copy))
    assert caught.value.expected


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was read",))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused_unread(copy, name):
    (copy / "model.safetensors").unlink()
    (copy / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="safetensors and GGUF only") as caught:
        resolve(str(copy))
    assert caught.value.found == name
    with pytest.raises(InputError, match=r"a folder or a \.gguf file"):
        resolve(str(copy / name))


def test_pickles_beside_safetensors_are_passed_over(copy):
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    assert resolve(str(copy)).folder == copy


def test_weights_that_were_cut_off_are_found_without_loading(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        resolve(str(copy))


def test_a_missing_piece_of_the_weights_is_named(copy):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (copy / "model.safetensors").rename(copy / "model-1.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="1 of 2 files") as caught:
        resolve(str(copy))
    assert caught.value.found == "no model-2.safetensors"


def test_an_index_cannot_point_out_of_the_folder(copy):
    index = {"weight_map": {"a": "../copy/model.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="1 of 1 files"):
        resolve(str(copy))


CODE = "raise SystemExit('remote code was run')"


def test_code_in_the_folder_of_a_known_architecture_is_ignored_and_that_is_said(copy):
    from tutelage.models import load

    (copy / "modeling_x.py").write_text(CODE)
    edit(
        copy / "config.json", auto_map={"AutoModelForCausalLM": "modeling_x.X", "AutoConfig": "modeling_x.C"}
    )
    edit(copy / "tokenizer_config.json", auto_map={"AutoTokenizer": ["modeling_x.T", None]})
    found = resolve(str(copy))
    assert "never run" in found.notes[0]
    assert type(load(found).model).__name__ == "LlamaForCausalLM"


def test_an_architecture_that_needs_code_of_its_folder_is_refused(copy):
    (copy / "modeling_x.py").write_text(CODE)
    edit(copy / "config.json", model_type="own_thing", auto_map={"AutoModelForCausalLM": "modeling_x.X"})
    with pytest.raises(InputError, match="never run") as caught:
        resolve(str(copy))
    assert caught.value.found == "model_type: own_thing"


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"model_type": 3}'])
def test_a_config_that_says_nothing_is_refused(copy, text):
    (copy / "config.json").write_text(text)
    with pytest.raises(InputError) as caught:
        resolve(str(copy))
    assert "config.json" in caught.value.where


def test_the_fingerprint_follows_weights_tokenizer_and_config_and_nothing_else(copy, tiny_model_folder):
    same = fingerprint(resolve(str(tiny_model_folder)))
    assert fingerprint(resolve(str(copy))) == same
    edit(copy / "config.json", transformers_version="99")
    (copy / "chat_template.jinja").write_text("other")
    (copy / "README.md").write_text("other")
    assert fingerprint(resolve(str(copy))) == same

    seen = {same}
    edit(copy / "config.json", rms_norm_eps=0.5)
    seen.add(fingerprint(resolve(str(copy))))
    edit(copy / "tokenizer.json", truncation={"max_length": 3})
    seen.add(fingerprint(resolve(str(copy))))
    weights = copy / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    seen.add(fingerprint(resolve(str(copy))))
    assert len(seen) == 4


SETTINGS = (
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "source.spm",
    "tiktoken.model",
    "prophetnet.tokenizer",
)
NOTES = (
    "README.md",
    "LICENSE.txt",
    "NOTICE.txt",
    "requirements.txt",
    "trainer_state.json",
    "eval_results.json",
    "training_args.bin",
    "logo.png",
    ".gitattributes",
    "manifest.json",
)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_file_that_a_loader_may_read_is_in_the_fingerprint(copy, name):
    (copy / name).write_text('{"a": 1}')
    source = ModelSource("m", "folder", copy)
    first = fingerprint(source)
    (copy / name).write_text('{"a": 2}')
    second = fingerprint(source)
    (copy / name).unlink()
    assert len({first, second, fingerprint(source)}) == 3


@pytest.mark.parametrize("name", NOTES)
def test_what_people_and_training_programs_leave_is_not_in_the_fingerprint(copy, name):
    source = ModelSource("m", "folder", copy)
    first = fingerprint(source)
    (copy / name).write_text('{"a": 1}')
    assert fingerprint(source) == first


def test_versions_in_generation_settings_say_nothing(copy):
    source = ModelSource("m", "folder", copy)
    first = fingerprint(source)
    edit(copy / "generation_config.json", transformers_version="99", _from_model_config=False)
    assert fingerprint(source) == first
    edit(copy / "generation_config.json", eos_token_id=[2, 7])
    assert fingerprint(source) != first


def test_the_older_fingerprint_leaves_settings_out(copy):
    """As versions before computed it: the value is theirs, of these files."""
    source = ModelSource("m", "folder", copy)
    first = fingerprint(source, settings=False)
    edit(copy / "generation_config.json", eos_token_id=[2, 7])
    assert fingerprint(source, settings=False) == first
    (copy / "generation_config.json").unlink()
    assert fingerprint(source) == first  # without any such file nothing is added


class FakeHub:
    """A hub with one model, as the hub's client shows it."""

    files = ("config.json", "model.safetensors", "modeling_x.py")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple] = []

    def model_info(self, repository, revision=None):
        self.asked.append((repository, revision))
        return SimpleNamespace(
            sha="c0ffee", siblings=[SimpleNamespace(rfilename=name) for name in self.files]
        )

    def snapshot_download(self, repository, *, revision, allow_patterns, local_files_only=False):
        self.asked.append((repository, revision, tuple(allow_patterns)))
        if local_files_only:
            raise hub_errors.LocalEntryNotFoundError("not here")
        return str(self.folder)


@pytest.fixture
def hub(tiny_model_folder, tmp_path, monkeypatch) -> FakeHub:
    snapshot = tmp_path / "snapshots" / "c0ffee"  # the hub's cache names a snapshot's folder by its commit
    snapshot.parent.mkdir()
    snapshot.symlink_to(tiny_model_folder)
    fake = FakeHub(snapshot)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


@pytest.mark.parametrize(("name", "revision"), [("some/model", None), ("some/model@v1.0", "v1.0")])
def test_a_hub_model_is_pinned_to_a_commit_and_comes_without_code_and_pickles(hub, name, revision):
    found = resolve(name)
    assert (found.name, found.kind, found.revision) == ("some/model", "hub", "c0ffee")
    assert hub.asked[0] == ("some/model", revision)
    repository, commit, patterns = hub.asked[1]
    assert (repository, commit) == ("some/model", "c0ffee")
    assert not any(pattern.endswith((".py", ".bin", "*")) for pattern in patterns)


def test_a_hub_model_with_pickles_only_is_refused_before_anything_is_fetched(hub, monkeypatch):
    monkeypatch.setattr(hub, "files", ("config.json", "pytorch_model.bin"))
    with pytest.raises(InputError, match="safetensors and GGUF only"):
        resolve("some/model")
    assert len(hub.asked) == 1


def test_a_hub_model_that_is_not_there_is_an_input_error(hub, monkeypatch):
    def absent(*_args, **_kwargs):
        raise hub_errors.RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr(hub, "model_info", absent)
    with pytest.raises(InputError, match="the hub has no such model"):
        resolve("some/model")


def test_without_a_network_it_is_said_how_to_bring_the_model(hub, monkeypatch):
    def offline(*_args, **_kwargs):
        raise hub_errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(hub, "model_info", offline)
    with pytest.raises(MachineError, match="could not be fetched") as caught:
        resolve("some/model")
    assert "hf download some/model" in caught.value.fix

    # What the hub's own cache holds is used, at the commit that its folder is named by.
    monkeypatch.setattr(hub, "snapshot_download", lambda *_a, **_k: str(hub.folder))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_a, **_k: str(hub.folder))
    assert resolve("some/model").revision == hub.folder.name


def test_the_hub_is_not_asked_for_what_cannot_be_a_hub_id(hub):
    for name in ("gpt2", "../x/y", "a/b/c", "/no/where", "x/y.gguf", "a b/c"):
        with pytest.raises(InputError):
            resolve(name)
    assert hub.asked == []


def test_an_adapter_brings_its_base(tiny_model_folder, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    shutil.copy(tiny_model_folder / "model.safetensors", adapter / "adapter_model.safetensors")
    with pytest.raises(InputError, match="which model it belongs to"):
        resolve(str(adapter))
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(tiny_model_folder))
    found = resolve(str(adapter))
    assert (found.base.folder, found.weights, found.tokenizer) == (tiny_model_folder,) * 3
    assert fingerprint(found) != fingerprint(found.base)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match="safetensors and GGUF only"):
        resolve(str(adapter))


def test_an_adapters_base_is_asked_for_at_the_revision_that_it_was_trained_on(
    hub, tiny_model_folder, tmp_path
):
    config = {"peft_type": "LORA", "base_model_name_or_path": "some/model", "revision": "c0ffee"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    shutil.copy(tiny_model_folder / "model.safetensors", tmp_path / "adapter_model.safetensors")
    assert resolve(str(tmp_path)).base.name == "some/model"
    assert hub.asked[0] == ("some/model", "c0ffee")


def test_what_a_run_was_tuned_from_is_read_from_its_adapter_or_its_recipe(copy, tiny_model_folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    copy.rename(run / "model")
    with pytest.raises(InputError, match="nothing says which model"):
        base_of(resolve(str(run)))
    (run / "recipe.yaml").write_text(f"model: {tiny_model_folder}\n")
    assert base_of(resolve(str(run))).folder == tiny_model_folder
    # The adapter beside merged weights says more: it holds the revision.
    (run / "recipe.yaml").write_text("model: some/thing\n")
    (run / "model" / "adapter").mkdir()
    edited = {"base_model_name_or_path": str(tiny_model_folder)}
    (run / "model" / "adapter" / "adapter_config.json").write_text(json.dumps(edited))
    assert base_of(resolve(str(run))).folder == tiny_model_folder


def test_finding_a_model_does_not_load_torch(tiny_model_folder):
    code = "import sys; from tutelage.models import resolve; resolve(sys.argv[1]); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(tiny_model_folder)], check=False)
    assert done.returncode == 0


def test_a_base_is_named_by_a_run_and_by_no_recipe_that_lies_beside_a_model(tiny_model_folder, tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"model: {tiny_model_folder}\n")
    beside = resolve(str(shutil.copytree(tiny_model_folder, tmp_path / "mine")))
    assert base_name(beside) is None
    with pytest.raises(InputError, match="nothing says which model"):
        base_of(beside)

    run = tmp_path / "run"
    shutil.copytree(tiny_model_folder, run / "model")
    (run / "recipe.yaml").write_text(f"model: {tiny_model_folder}\n")
    said: list[str] = []
    base = base_of(resolve(str(run)), say=said.append)
    assert (base.folder, said) == (tiny_model_folder, [])
    for weights, told in ((fingerprint(base), 0), ("0" * 64, 1)):
        (run / "results.json").write_text(json.dumps({"provenance": {"weights": weights}}))
        said.clear()
        assert base_of(resolve(str(run)), say=said.append).folder == tiny_model_folder
        assert len(said) == told
    assert "another fingerprint" in said[0]

    (run / "recipe.yaml").write_text(f"model: {run / 'model'}\n")
    with pytest.raises(InputError, match="its own base"):
        base_of(resolve(str(run)))
