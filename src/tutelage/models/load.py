"""From a source to a model and its tokenizer in memory: checked, with one chat template and agreed end tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.models import adapter_file, folders, origin, weights
from tutelage.models.endings import end_ids, settle, settle_tokenizer
from tutelage.models.quiet import quiet
from tutelage.models.source import ModelSource, fingerprint
from tutelage.models.weights import unreadable


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, in evaluation mode.

    Attributes:
        model: the transformers model, or the peft model around it.
        tokenizer: its tokenizer; the chat template in use is set on it.
        encoder_decoder: whether prompts go to an encoder (T5) or before the answer (Llama).
        name: what the person called it.
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
        return end_ids(self.model.generation_config.eos_token_id, self.tokenizer)

    @property
    def pad(self) -> int:
        """The id to pad with. It never ends an answer; 0 for a model without one, where masks must say what is real."""
        return 0 if self.tokenizer.pad_token_id is None else int(self.tokenizer.pad_token_id)

    @property
    def context(self) -> int | None:
        """How many tokens fit beside virtual ones, or None where positions are relative and nothing is stated."""
        from tutelage.models import prompts

        room = _context(self.model.config, self.tokenizer)
        return None if room is None else room - prompts.length(self.model)


@dataclass(frozen=True, slots=True)
class LoadedTokenizer:
    """What turns words into ids for a model, settled as `load` settles it; no weights were read.

    Attributes:
        tokenizer: the chat template in use is set on it.
        encoder_decoder: whether prompts go to an encoder or before the answer.
        chat_template: the Jinja text in use; None for a model without one.
        context: how many tokens fit beside an adapter's virtual ones, or None.
        ends: the ids that end an answer, the tokenizer's own end token first.
        stated_pad: the padding id that the model's files name; the tokenizer has another when that one ends answers.
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
) -> LoadedModel:
    """Load a model and its tokenizer.

    Args:
        source: from `resolve`.
        chat_template: the Jinja text to use; None is the model's own.
        dtype: of the weights in memory: float32, bfloat16 or float16.
        four_bit: hold the linear layers' weights in 4 bits (NF4), on the first CUDA device; not tested, as no
            machine of ours has one.

    Raises:
        InputError: weights that do not fit the config, a tokenizer larger than the model, a broken template.
        MachineError: not enough memory.
    """
    tokenizer = _tokenizer(source.tokenizer)
    template = _template(tokenizer, chat_template)
    model = read_model(source.weights, dtype, four_bit=four_bit)
    _check_vocabulary(model.get_input_embeddings().weight.shape[0], tokenizer, source)
    settle(model, tokenizer)
    origin.require_base(source)
    if source.base is not None:
        model = adapter_file.put_on(model, source.folder)
    model.eval()
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        encoder_decoder=bool(model.config.is_encoder_decoder),
        name=source.name,
        fingerprint=as_loaded(source, template, "nf4" if four_bit else dtype),
        chat_template=template,
        adapter=source.base is not None,
    )


def as_loaded(source: ModelSource, chat_template: str | None, dtype: str = "float32") -> str:
    """The fingerprint that `load` gives a model, known before its weights are in memory.

    Args:
        source: from `resolve`.
        chat_template: the Jinja text in use, as `load_tokenizer` tells it.
        dtype: of the weights in memory; `nf4` for 4 bits.
    """
    return hashing.of_json({"files": fingerprint(source), "chat_template": chat_template, "dtype": dtype})


def load_tokenizer(source: ModelSource, *, chat_template: str | None = None) -> LoadedTokenizer:
    """Load what turns words into ids: the same ids and ends as `load` gives, without reading a weight.

    Args:
        source: from `resolve`.
        chat_template: the Jinja text to use; None is the model's own.

    Raises:
        InputError: a damaged tokenizer or config, a tokenizer larger than the model, a broken template.
    """
    from transformers import GenerationConfig

    tokenizer = _tokenizer(source.tokenizer)
    template = _template(tokenizer, chat_template)
    try:
        config = _config(source.weights)
        stated = source.weights / "generation_config.json"
        with quiet():
            own = GenerationConfig.from_pretrained(source.weights).eos_token_id if stated.is_file() else None
    except (ValueError, KeyError, OSError, TypeError, AttributeError) as error:
        raise unreadable("the model's settings could not be read", source.weights, error) from error
    _check_vocabulary(config.get_text_config().vocab_size, tokenizer, source)
    pad = tokenizer.pad_token_id
    room = _context(config, tokenizer)
    ends, _ = settle_tokenizer(tokenizer, own if own is not None else config.eos_token_id, config)
    return LoadedTokenizer(
        tokenizer=tokenizer,
        encoder_decoder=bool(config.is_encoder_decoder),
        chat_template=template,
        context=None if room is None else room - _virtual(source),
        ends=ends,
        stated_pad=pad,
    )


def _context(config: Any, tokenizer: Any) -> int | None:
    stated = getattr(config, "max_position_embeddings", None)
    limits = [n for n in (stated, tokenizer.model_max_length) if isinstance(n, int) and n < 10**9]
    return min(limits) if limits else None


def _virtual(source: ModelSource) -> int:
    """Virtual tokens that an adapter puts before each row (prompt tuning, prefix tuning)."""
    if source.base is None:
        return 0
    stated = folders.read_json(source.folder / "adapter_config.json").get("num_virtual_tokens")
    return stated if isinstance(stated, int) else 0


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, KeyError, OSError, TypeError, AttributeError, ImportError) as error:
        raise unreadable("the tokenizer could not be read", folder, error) from error
    # Left by transformers, and written into every tokenizer that is saved from here.
    for key in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    return tokenizer


def _template(tokenizer: Any, given: str | None) -> str | None:
    """Set the chat template in use and return its text. Of several named ones the default is taken."""
    own = tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    text = own if given is None else given
    tokenizer.chat_template = text
    if text is None:
        return None
    _try_template(tokenizer)
    return str(text)


def _try_template(tokenizer: Any) -> None:
    """Render one turn: a template that cannot is found now, not after the model's weights are read."""
    from jinja2 import TemplateError, TemplateSyntaxError

    turn = [{"role": "user", "content": "Hello"}]
    try:
        tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    except TemplateSyntaxError as error:
        raise InputError(
            "the chat template is not valid Jinja",
            where=f"chat template, line {error.lineno}",
            found=error.message,
            fix="correct the template",
        ) from error
    except (TemplateError, TypeError, ValueError) as error:
        raise InputError(
            "the chat template cannot render a user's turn",
            where="chat template",
            found=str(error)[:200],
            fix="correct the template: it is given `messages` (role, content) and `add_generation_prompt`",
        ) from error


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    with quiet():
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def config_of(folder: Path) -> Any:
    """The transformers config of a model's folder.

    Raises:
        InputError: one that transformers cannot read.
    """
    try:
        return _config(folder)
    except (ValueError, KeyError, OSError, TypeError, AttributeError) as error:
        raise unreadable("the model could not be read", folder, error) from error


def read_model(folder: Path, dtype: str = "float32", *, four_bit: bool = False) -> Any:
    """Load the full model of a folder as its files have it, without tokenizer.

    Raises:
        InputError: as `load`, of config and weights.
        MachineError: not enough memory.
    """
    return weights.read(folder, config_of(folder), dtype, four_bit=four_bit)


def _check_vocabulary(rows: int, tokenizer: Any, source: ModelSource) -> None:
    if len(tokenizer) > rows and source.base is not None and source.tokenizer == source.folder:
        raise InputError(
            "the adapter brings more tokens than its base has, and adapters that resize the vocabulary are not read",
            where=str(source.folder),
            found=f"{len(tokenizer):,} tokens, {rows:,} rows in the base's embedding",
            fix="merge it with peft (AutoPeftModelForCausalLM, merge_and_unload, save_pretrained) and name that folder",
        )
    if len(tokenizer) > rows:
        raise InputError(
            "the tokenizer knows more tokens than the model",
            where=str(source.tokenizer),
            found=f"{len(tokenizer):,} tokens, {rows:,} rows in the embedding",
            fix="the tokenizer and the weights belong to different models: save the right one into the folder",
        )


def stated_parameters(source: ModelSource) -> int:
    """How many numbers the weights hold, read from the headers alone."""
    from safetensors import safe_open

    total = 0
    for path in folders.weight_files(source.weights):
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118  # the handle is no mapping
                size = 1
                for length in file.get_slice(name).get_shape():
                    size *= length
                total += size
    return total
