"""Loads a model and its tokenizer: checked, with one chat template and consistent special tokens."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tutelage.core import hashing
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.regular import decode
from tutelage.core.strictjson import json_kind
from tutelage.models import adapter_file, base_record, folders, smoke_test, weights
from tutelage.models.fingerprints import fingerprint
from tutelage.models.library_calls import SAVE_AGAIN, file_view, library_errors, quiet
from tutelage.models.source import ModelSource
from tutelage.models.special_tokens import check_settings, eos_ids, settle, settle_tokenizer
from tutelage.tokens import chat_templates, rendering


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, in evaluation mode.

    Attributes:
        model: the transformers model, or the peft model around it.
        tokenizer: its tokenizer; the chat template in use is set on it.
        encoder_decoder: whether prompts go to an encoder (T5) or before the answer (Llama).
        name: as the user named it.
        fingerprint: sha256 over what decides its answers as loaded, the chat template included.
        chat_template: the Jinja text in use; None for a model without one.
        adapter: whether it is a peft model, whose adapter can be switched off.
    """

    model: Any
    tokenizer: Any
    encoder_decoder: bool
    name: str
    fingerprint: str
    chat_template: str | None
    adapter: bool

    @property
    def ends(self) -> tuple[int, ...]:
        """The ids that end an answer, the tokenizer's own end token first."""
        return eos_ids(self.model.generation_config.eos_token_id, self.tokenizer)

    @property
    def pad(self) -> int:
        """The id to pad with, which never ends an answer; 0 for a model without one, where masks mark the padding."""
        return 0 if self.tokenizer.pad_token_id is None else int(self.tokenizer.pad_token_id)

    @property
    def context(self) -> int | None:
        """How many tokens fit beside virtual ones; None where positions are relative and no limit is stated."""
        from tutelage.models.soft_prompts import soft_prompt

        length, prompt = _context(self.model.config, self.tokenizer), soft_prompt(self.model)
        return length if length is None or prompt is None else length - prompt.length


@dataclass(frozen=True, slots=True)
class LoadedTokenizer:
    """A model's tokenizer with its settings, the same as `load` gives; no weights were read.

    Attributes:
        tokenizer: the chat template in use is set on it.
        encoder_decoder: whether prompts go to an encoder or before the answer.
        chat_template: the Jinja text in use; None for a model without one.
        context: how many tokens fit beside an adapter's virtual ones, or None.
        ends: the ids that end an answer, the tokenizer's own end token first.
        stated_pad: the padding id in the model's files; the tokenizer has another where that one ends answers.
    """

    tokenizer: Any
    encoder_decoder: bool
    chat_template: str | None
    context: int | None
    ends: tuple[int, ...]
    stated_pad: int | None


def load(
    source: ModelSource,
    *,
    chat_template: str | None = None,
    dtype: str = "float32",
    four_bit: bool = False,
    clock: Clock | None = None,
) -> LoadedModel:
    """Load a model and its tokenizer.

    Args:
        source: from `resolve`.
        chat_template: the Jinja text to use; None is the model's own.
        dtype: of the weights in memory: float32, bfloat16 or float16.
        four_bit: hold the linear layers' weights in 4 bits (NF4), on the first CUDA device; not tested.
        clock: what the chat template reads when it asks for the time; this moment by default.

    Raises:
        InputError: weights that do not fit the config, a tokenizer larger than the model, a broken template.
        MachineError: not enough memory.
    """
    tokenizer = _tokenizer(source.tokenizer)
    template = _template(tokenizer, chat_template, source.tokenizer, clock)
    model = read_model(source.weights, dtype, four_bit=four_bit)
    _check_vocabulary(model.get_input_embeddings().weight.shape[0], tokenizer, source)
    check_settings(model.config, model.generation_config, source.weights)
    settle(model, tokenizer)
    model.eval()
    with library_errors(smoke_test.PROBLEM, source.weights, fix=weights.reading_fix(source.weights)):
        smoke_test.require_causal(model, where=str(source.weights))
    base_record.require_recorded_base(source)
    if source.base is not None:
        model = adapter_file.attach_adapter(model, source.folder)
    model.eval()
    smoke_test.check_model(model, tokenizer, source.folder)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        encoder_decoder=bool(model.config.is_encoder_decoder),
        name=source.name,
        fingerprint=loaded_fingerprint(source, template, "nf4" if four_bit else dtype),
        chat_template=template,
        adapter=source.base is not None,
    )


def loaded_fingerprint(
    source: ModelSource, chat_template: str | None, dtype: str = "float32", *, settings: bool = True
) -> str:
    """Compute the fingerprint that `load` gives a model, without loading its weights.

    Args:
        source: from `resolve`.
        chat_template: the Jinja text in use, as `load_tokenizer` returns it.
        dtype: of the weights in memory; `nf4` for 4 bits.
        settings: as of `fingerprint`.
    """
    return hashing.of_json(
        {"files": fingerprint(source, settings=settings), "chat_template": chat_template, "dtype": dtype}
    )


def load_tokenizer(
    source: ModelSource, *, chat_template: str | None = None, clock: Clock | None = None
) -> LoadedTokenizer:
    """Load a model's tokenizer: the same ids and end tokens as `load` gives, without reading a weight.

    Args:
        source: from `resolve`.
        chat_template: the Jinja text to use; None is the model's own.
        clock: what the chat template reads when it asks for the time; this moment by default.

    Raises:
        InputError: a damaged tokenizer or config, a tokenizer larger than the model, a broken template.
    """
    tokenizer = _tokenizer(source.tokenizer)
    template = _template(tokenizer, chat_template, source.tokenizer, clock)
    config = load_config(source.weights)
    with (
        file_view(folders.model_files(source.weights)) as view,
        library_errors("the model's settings could not be read", source.weights, fix=SAVE_AGAIN, view=view),
        quiet(),
    ):
        generation = weights.read_generation(view)
        n_embeddings = int(config.get_text_config().vocab_size)
    check_settings(config, generation, source.weights)
    _check_vocabulary(n_embeddings, tokenizer, source)
    stated_pad = tokenizer.pad_token_id
    context = _context(config, tokenizer)
    if context is not None and source.base is not None:
        # Prompt tuning and prefix tuning put virtual tokens before each row.
        virtual_tokens = folders.read_json(source.folder / "adapter_config.json").get("num_virtual_tokens")
        context -= virtual_tokens if isinstance(virtual_tokens, int) else 0
    stated_eos = None if generation is None else generation.eos_token_id
    eos = config.eos_token_id if stated_eos is None else stated_eos
    ends, _ = settle_tokenizer(tokenizer, eos, config)
    return LoadedTokenizer(
        tokenizer=tokenizer,
        encoder_decoder=bool(config.is_encoder_decoder),
        chat_template=template,
        context=context,
        ends=ends,
        stated_pad=stated_pad,
    )


def _context(config: Any, tokenizer: Any) -> int | None:
    lengths = (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length)
    limits = [length for length in lengths if isinstance(length, int) and length < 10**9]
    return min(limits) if limits else None


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    template = folder / "chat_template.jinja"
    if template.is_file():
        decode(
            template.read_bytes(),
            subject="the chat template",
            where=str(template),
            fix="fetch the file again, or save it as UTF-8",
        )
    with (
        file_view(folders.tokenizer_files(folder)) as view,
        library_errors("the tokenizer could not be read", folder, fix=SAVE_AGAIN, view=view),
        quiet(),
    ):
        tokenizer = AutoTokenizer.from_pretrained(view, local_files_only=True, trust_remote_code=False)
    tokenizer.name_or_path = str(folder)
    smoke_test.check_tokenizer(tokenizer, folder)
    # transformers leaves these, and would write them into every tokenizer that is saved.
    for key in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    return tokenizer


def _template(tokenizer: Any, chosen: str | None, folder: Path, clock: Clock | None) -> str | None:
    """Set the chat template in use, try it on one turn, and return its text. Of several named ones the default is used."""
    own = tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    text = own if chosen is None else chosen
    file = folder / "chat_template.jinja"
    file = file if file.is_file() else folder / "tokenizer_config.json"
    where = "chat_template" if chosen is not None else str(file)
    if text is not None and not isinstance(text, str):
        raise InputError(
            "the chat template is no text",
            where=where,
            found=json_kind(text),
            expected="a Jinja template as a text",
            fix="write it as a text, or name another one in `chat_template`",
        )
    own = own if isinstance(own, str) else None
    if chosen is not None and text is not None:
        text = chat_templates.complete(text, own)
    rendering.set_template(tokenizer, text, clock=clock, where=where, own=own)
    if text:
        # A template that cannot be rendered is an error now, before the model's weights are read.
        rendering.render(tokenizer, [{"role": "user", "content": "Hello"}], generate=True)
    return text


def load_config(folder: Path) -> Any:
    """Load the transformers config of a model's folder, from its own files alone.

    Raises:
        InputError: one that transformers cannot read.
    """
    from transformers import AutoConfig

    with (
        file_view(folders.model_files(folder)) as view,
        library_errors("the model's settings could not be read", folder, fix=SAVE_AGAIN, view=view),
        quiet(),
    ):
        return AutoConfig.from_pretrained(view, local_files_only=True, trust_remote_code=False)


def read_model(folder: Path, dtype: str = "float32", *, four_bit: bool = False) -> Any:
    """Load the full model of a folder, without tokenizer and with its files' own generation settings.

    Raises:
        InputError: as `load`, of config and weights.
        MachineError: not enough memory.
    """
    return weights.load_model(folder, load_config(folder), dtype, four_bit=four_bit)


def _check_vocabulary(n_embeddings: int, tokenizer: Any, source: ModelSource) -> None:
    if len(tokenizer) > n_embeddings and source.base is not None and source.tokenizer == source.folder:
        raise InputError(
            "the adapter brings more tokens than its base has, and adapters that resize the vocabulary are not read",
            where=str(source.folder),
            found=f"{len(tokenizer):,} tokens, {n_embeddings:,} rows in the base's embedding",
            fix="merge it with peft (AutoPeftModelForCausalLM, merge_and_unload, save_pretrained), save the adapter's "
            "tokenizer into the same folder (AutoTokenizer, save_pretrained), and name that folder",
        )
    ids = tokenizer.get_vocab().values()
    if min(ids, default=0) < 0 or max(ids, default=0) >= n_embeddings or len(tokenizer) > n_embeddings:
        raise InputError(
            "the tokenizer knows more tokens than the model",
            where=str(source.tokenizer),
            found=f"{len(tokenizer):,} tokens, ids up to {max(ids, default=0):,}; {n_embeddings:,} rows in the embedding",
            fix="the tokenizer and the weights belong to different models: save the right one into the folder",
        )


def count_parameters(source: ModelSource) -> int:
    """Count the numbers in a model's weights, from the headers of the files alone."""
    with folders.open_tensors(source.weights) as tensors:
        return sum(prod(tensor.get_shape()) for tensor in tensors.values())
