"""Encoders: the layer, the weights, what is no encoder. tests/parity/test_bertscore.py compares what is made of their vectors."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from tiny_encoder import write_bert
from tutelage.benchmarks import load as load_benchmark
from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.models import add_adapter, export, load, resolve
from tutelage.models.text_encoder import load_text_encoder, usual_layers

TEXTS = ["The cat sat on the mat.", "dog", "", "We will come again in the morning"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp("encoders") / "bert")


def vectors(encoder, texts=TEXTS):
    return encoder.vectors(encoder.token_ids(texts))


def test_vectors_do_not_depend_on_the_texts_beside_them(bert):
    encoder = load_text_encoder(str(bert))
    for text, together in zip(TEXTS, vectors(encoder), strict=True):
        (alone,) = vectors(encoder, [text])
        assert np.abs(alone - together).max() < 1e-5
        assert np.allclose(np.linalg.norm(alone, axis=1), 1)


def test_the_last_layer_is_used_unless_the_name_is_one_that_bert_score_knows(bert, tmp_path):
    assert load_text_encoder(str(bert)).layer == 2
    known = shutil.copytree(bert, tmp_path / "bert_uncased_L-2_H-128_A-2")
    assert usual_layers()[known.name] == 1
    first = load_text_encoder(str(known))
    assert first.layer == 1
    assert len(first.model.encoder.layer) == 1
    assert load_text_encoder(str(known), 2).layer == 2


def test_names_of_models_are_whole():
    assert usual_layers()["pegasus-large"] == 8
    assert all(re.fullmatch(r"[\w.-]+", name) for name in usual_layers())


def test_a_checkpoint_with_another_head_has_the_same_vectors(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "masked")
    weights = load_file(folder / "model.safetensors")
    body = {f"bert.{name}": tensor for name, tensor in weights.items() if not name.startswith("pooler")}
    save_file(body, folder / "model.safetensors", {"format": "pt"})
    for ours, theirs in zip(
        vectors(load_text_encoder(str(folder))), vectors(load_text_encoder(str(bert))), strict=True
    ):
        assert np.array_equal(ours, theirs)


def test_the_encoder_of_an_encoder_decoder_model_is_one(tiny_t5_folder):
    encoder = load_text_encoder(str(tiny_t5_folder))
    assert encoder.layer == 2
    assert [len(text) for text in vectors(encoder, ["one two"])] == [len(encoder.token_ids(["one two"])[0])]


def test_a_model_that_writes_text_is_refused(tiny_model_folder):
    with pytest.raises(InputError, match="no encoder") as error:
        load_text_encoder(str(tiny_model_folder))
    assert "LlamaModel" in (error.value.found or "")


def test_an_adapter_is_refused(tiny_model_folder, tmp_path):
    base = resolve(str(tiny_model_folder))
    adapter = add_adapter(load(base), "lora", {"rank": 2}, seed=0)
    export(adapter, tmp_path / "adapter", merge=False, base=base)
    with pytest.raises(InputError, match="no encoder: it is an adapter") as error:
        load_text_encoder(str(tmp_path / "adapter"))
    assert error.value.found == f"an adapter of {tiny_model_folder}"
    assert "model=FOLDER" in (error.value.fix or "")


def test_missing_weights_and_layers_are_refused(bert, tmp_path):
    with pytest.raises(InputError, match="no such layer"):
        load_text_encoder(str(bert), 3)
    folder = shutil.copytree(bert, tmp_path / "cut")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="missing"):
        load_text_encoder(str(folder))
    assert load_text_encoder(str(folder), 1).layer == 1
    with pytest.raises(InputError, match="no model of this name"):
        load_text_encoder(str(tmp_path / "nowhere"))


def test_the_signature_names_the_weights_and_not_the_folder(bert, tmp_path):
    same = shutil.copytree(bert, tmp_path / "same")
    other = shutil.copytree(bert, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][7] *= -1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    rows = [Row("the cat", ("the dog",)), Row("a dog", ("a cat",))]
    signatures = [
        next(iter(score_rows([f"bertscore_f1:model={folder}:layer={layer}"], rows).values())).score.signature
        for folder, layer in ((bert, 0), (same, 2), (other, 0), (bert, 1))
    ]
    assert signatures[0] == signatures[1]
    assert len(set(signatures)) == 3


def test_a_benchmark_needs_its_encoder_before_anything_is_asked(bert, tmp_path):
    rows = [{"text": "Where is the cat?", "right": "on the mat"}, {"text": "Who sat?", "right": "the dog"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    spec = {
        "version": 1,
        "name": "places",
        "title": "Where things are",
        "data": {"path": "rows.jsonl"},
        "kind": "generate",
        "max_new_tokens": 8,
        "prompt": "{{ text }}",
        "answer": "{{ right }}",
    }

    def load(model):
        metrics = [f"bertscore_f1:model={model}"]
        text = yaml.safe_dump({**spec, "metrics": metrics}, sort_keys=False)
        (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
        return load_benchmark(str(tmp_path))

    assert len(load(bert).items) == 2
    with pytest.raises(InputError, match="no model of this name") as error:
        load(tmp_path / "nowhere")
    assert error.value.where == f"metric 'bertscore_f1:model={tmp_path / 'nowhere'}'"
