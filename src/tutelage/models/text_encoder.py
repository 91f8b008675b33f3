"""Loads a text encoder such as BERT, and computes the vectors of the tokens of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.metrics.text_encoder import Vectors
from tutelage.models import folders
from tutelage.models.fingerprints import fingerprint
from tutelage.models.library_calls import SAVE_AGAIN, library_errors, quiet
from tutelage.models.load import load_config, load_tokenizer
from tutelage.models.parameter_budget import limit_parameters, max_numbers
from tutelage.models.resolution import resolve
from tutelage.models.weights import check_finite

_BATCH_TOKENS = 8192
"""Tokens of one pass, padding included."""
_UNSTATED_LENGTH = 1_000_000
"""transformers gives a tokenizer without a limit a larger number than this."""
_EXPECTED = "an encoder such as BERT, RoBERTa or the encoder of T5"
_FIX = "name such a model: model=FOLDER or model=OWNER/NAME"
_POOLER = "pooler."
"""The layers behind the vectors; checkpoints with another head lack them."""


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """An encoder in memory, cut to its first layers.

    Attributes:
        model: the transformers model, in evaluation mode.
        tokenizer: its tokenizer.
        fingerprint: sha256 of weights, settings and tokenizer.
        layer: how many layers it has.
        markers: the ids that the tokenizer puts around a text.
        longest: the most tokens of a text, markers included.
    """

    model: Any
    tokenizer: Any
    fingerprint: str
    layer: int
    markers: frozenset[int]
    longest: int

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of each text with its markers, space around it taken off, cut to `longest`."""
        encoded = self.tokenizer(
            [text.strip() for text in texts], truncation=True, max_length=self.longest, verbose=False
        )
        return [tuple(ids) for ids in encoded["input_ids"]]

    def vectors(self, ids: Sequence[tuple[int, ...]]) -> list[Vectors]:
        """The vectors of the tokens of each text, of length 1; texts of similar length are read together."""
        import torch

        vectors: dict[int, Vectors] = {}
        with torch.inference_mode():
            for members in _batches([len(text) for text in ids]):
                longest = max(len(ids[index]) for index in members)
                tokens = torch.zeros((len(members), longest), dtype=torch.long)
                mask = torch.zeros_like(tokens)
                for place, index in enumerate(members):
                    tokens[place, : len(ids[index])] = torch.tensor(ids[index])
                    mask[place, : len(ids[index])] = 1
                states = self.model(input_ids=tokens, attention_mask=mask)[0].float()
                states = states / states.norm(dim=-1, keepdim=True)
                for place, index in enumerate(members):
                    vectors[index] = states[place, : len(ids[index])].numpy().copy()
        return [vectors[index] for index in range(len(ids))]


def load_text_encoder(name: str, layer: int = 0) -> LoadedEncoder:
    """Load an encoder, or the encoder of an encoder-decoder model, up to a layer.

    Args:
        name: a folder or a hub id.
        layer: from 1; 0 for the layer that bert-score uses for a model of this name, else the last one.

    Raises:
        InputError: there is no such model, its files are damaged or unsafe, it is no encoder, or it has fewer layers.
        MachineError: no network, or not enough memory.
    """
    source = resolve(name)
    if source.base is not None:
        raise InputError(
            "the model is no encoder: it is an adapter",
            where=name,
            found=f"an adapter of {source.base.name}",
            expected=_EXPECTED,
            fix=_FIX,
        )
    folder = source.folder
    config = _config(folder)
    tokenizer = load_tokenizer(source).tokenizer
    depth = config.num_hidden_layers
    chosen = layer or usual_layers().get(Path(name.partition("@")[0]).name, depth)
    if not 1 <= chosen <= depth:
        raise InputError(
            "the encoder has no such layer",
            where=name,
            found=f"layer {chosen}",
            expected=f"1 to {depth}",
            fix=f"write layer={depth} for the last one",
        )
    config.num_hidden_layers = chosen
    model = _model(folder, config)
    _require_encoder(model, name)
    special = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    return LoadedEncoder(
        model,
        tokenizer,
        fingerprint(source),
        chosen,
        frozenset(token for token in special if token is not None),
        _longest(tokenizer, config),
    )


@cache
def usual_layers() -> Mapping[str, int]:
    """The layer that the package bert-score uses, by the name of a model without its owner."""
    table: dict[str, dict[int, list[str]]] = yamltext.table("tutelage.models", "bertscore_layers.yaml")
    return {name: layer for layer, names in table["layers"].items() for name in names}


def _config(folder: Path) -> Any:
    config = load_config(folder)
    if not isinstance(getattr(config, "num_hidden_layers", None), int):
        raise InputError(
            "the model is no encoder of texts",
            where=str(folder),
            found=type(config).__name__,
            expected=_EXPECTED,
            fix=_FIX,
        )
    return config


def _model(folder: Path, config: Any) -> Any:
    """The encoder that a config describes, in float32; layers that the config leaves out are not read."""
    import torch
    from transformers import MODEL_MAPPING
    from transformers.models.auto.auto_factory import _get_model_class

    with folders.open_tensors(folder, framework="pt") as state:
        stored = sum(map(max_numbers, state.values()))
        with (
            library_errors("the encoder could not be read", folder, fix=SAVE_AGAIN),
            limit_parameters(folder / "config.json", tensors=len(state), stored=stored),
            quiet(),
        ):
            model, report = _get_model_class(config, MODEL_MAPPING).from_pretrained(
                None,
                config=config,
                state_dict=state,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    missing = [key for key in report["missing_keys"] if not key.startswith(_POOLER)]
    mismatched = [key for key, *_ in report["mismatched_keys"]]
    if wrong := [*missing, *mismatched]:
        raise InputError(
            f"{len(wrong)} tensors of the encoder are missing or have another shape than config.json makes them",
            where=str(folder),
            found=folders.name_list(wrong),
            expected=f"the weights of {type(model).__name__}",
            fix=SAVE_AGAIN,
        )
    model = model.get_encoder() if config.is_encoder_decoder else model
    check_finite(dict(model.named_parameters()), folder)
    return model.eval()


def _require_encoder(model: Any, name: str) -> None:
    """Refuse a model whose vector of a token does not depend on the tokens behind it, such as a causal language model."""
    import torch

    n_tokens = min(model.config.vocab_size, 64)
    with torch.inference_mode():
        first, second = (
            model(input_ids=torch.tensor([[n % n_tokens for n in (3, 5, 8, last)]]))[0][0, 0]
            for last in (13, 21)
        )
    if torch.equal(first, second):
        raise InputError(
            "the model is no encoder: its vector of a token does not depend on the tokens behind it",
            where=name,
            found=type(model).__name__,
            expected=_EXPECTED,
            fix=_FIX,
        )


def _longest(tokenizer: Any, config: Any) -> int:
    """The most tokens of a text: the tokenizer's limit, else the model's positions less two, which RoBERTa reserves."""
    if tokenizer.model_max_length <= _UNSTATED_LENGTH:
        return int(tokenizer.model_max_length)
    positions = getattr(config, "max_position_embeddings", None)
    return positions - 2 if isinstance(positions, int) and positions > 2 else _BATCH_TOKENS


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of texts of similar length, as many at once as have `_BATCH_TOKENS` tokens with padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if batch and (len(batch) + 1) * lengths[index] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
