"""`tutelage chat` and `tutelage models` as a person or a script runs them."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


pytestmark = pytest.mark.usefixtures("own_cache")


def test_questions_through_a_pipe_give_one_document(tutelage, tiny_model_folder):
    words = ["chat", tiny_model_folder, "--json", "--max-new-tokens", "5", "--system", "kind"]
    done = tutelage(*words, input="Hello\nWhat is the price?\n")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [turn["question"] for turn in found["turns"]] == ["Hello", "What is the price?"]
    assert all(set(turn["answers"]) == {"answer"} for turn in found["turns"])
    assert found["turns"][0]["system"] == "kind"


def test_an_unknown_model_is_said_with_the_nearest_name(tutelage):
    done = tutelage("chat", "smollm2-135m-instrct", input="Hello\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean smollm2-135m-instruct?" in done.stderr


def test_models_lists_what_is_bundled_and_whether_it_is_there(tutelage):
    found = json.loads(tutelage("models", "list", "--json").stdout)
    (one,) = found["models"]
    assert (one["name"], one["state"], one["license"]) == (
        "smollm2-135m-instruct",
        "not fetched",
        "Apache-2.0",
    )
    assert tutelage("models").stdout.startswith("smollm2-135m-instruct  (not fetched; 134,515,008 parameters")


def test_models_shows_a_folder_without_loading_it(tutelage, tiny_model_folder):
    done = tutelage("models", "show", tiny_model_folder, "--json")
    found = json.loads(done.stdout)
    assert (found["kind"], found["architecture"], found["context"]) == ("folder", "LlamaForCausalLM", 512)
    assert len(found["fingerprint"]) == 64
    # What is not fetched yet is shown from the table, and stays unfetched.
    done = tutelage("models", "show", "smollm2-135m-instruct", "--json")
    assert json.loads(done.stdout)["state"] == "not fetched"


def test_models_needs_a_name_to_show(tutelage):
    done = tutelage("models", "show")
    assert done.returncode == 2
    assert "needs a name" in done.stderr
