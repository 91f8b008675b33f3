"""What is looked at before a model's weights are loaded: data, questions, lengths, chat template, disk. All mistakes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tutelage import benchmarks as library
from tutelage.benchmarks import Benchmark, Limit
from tutelage.benchmarks.fit import fitted
from tutelage.core import files
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError, InputErrors, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.engine import Reader
from tutelage.models import LoadedTokenizer, ModelSource, as_loaded, base_of, load_tokenizer, resolve
from tutelage.tokens import chat_encoding

_T = TypeVar("_T")
_NO_BASE = "leave --against away; evaluate the base by its own name, then `tutelage compare` the two folders"
_ROW = 2000
"""Bytes that an item takes in results.sqlite beside its texts: identity, answer, scores."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks to be evaluated.

    Attributes:
        model: the model's name.
        benchmarks: names or paths, each with its way.
        limit: how many items of each part.
        shots: worked examples before each question; as many as the spec says when not given.
        data_dir: where benchmarks look for their files.
        chat_template: a bundled template's name or a file; the model's own when not given.
        against_base: whether what it was tuned from is asked too.
    """

    model: str
    benchmarks: tuple[str, ...]
    limit: Limit
    shots: int | None = None
    data_dir: Path | None = None
    chat_template: str | None = None
    against_base: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything that can be known without weights: it will work.

    Attributes:
        source: the model's files.
        template: the chat template that was asked for; None for the model's own.
        benchmarks: as the model can be asked them.
        fingerprint: of the model as it will be loaded.
        older: the same as versions had it that left the generation settings out.
        base: what the model was tuned from, when it is asked too and is not below an adapter: it is loaded after the model.
    """

    source: ModelSource
    template: str | None
    benchmarks: tuple[Benchmark, ...]
    fingerprint: str
    older: str
    base: ModelSource | None = None


class _Mistakes:
    """Collects what fails instead of stopping at the first."""

    def __init__(self) -> None:
        self.errors: list[InputError] = []

    def attempt(self, do: Callable[[], _T]) -> _T | None:
        try:
            return do()
        except InputErrors as several:
            self.errors += several.errors
        except InputError as error:
            self.errors.append(error)
        return None


def check(asked: Asked, *, out: Path, say: Callable[[str], None], clock: Clock | None = None) -> Ready:
    """Find and read all that an evaluation needs, but for the weights.

    Args:
        asked: what is to be evaluated.
        out: the folder that responses will go to, or the one it will be in.
        say: is told, a line at a time, what takes long.
        clock: what the chat template reads when it asks for the time.

    Raises:
        InputError: whatever is wrong with model, data, questions or lengths; InputErrors for several.
        MachineError: there is too little room on the disk.
    """
    mistakes = _Mistakes()
    names = mistakes.attempt(lambda: _names(asked.benchmarks)) or []
    loaded = [mistakes.attempt(partial(_benchmark, name, asked)) for name in names]
    found = [one for one in loaded if one is not None]
    template = None
    if asked.chat_template is not None:
        own = asked.chat_template
        template = mistakes.attempt(lambda: chat_encoding.text_of(own, root=Path.cwd()))
    source = mistakes.attempt(lambda: resolve(asked.model, say=say))
    words = None
    base = None
    if source is not None and asked.against_base and source.base is None:
        base = mistakes.attempt(partial(base_of, source, say=say, fix=_NO_BASE))
    if source is not None:
        words = mistakes.attempt(partial(load_tokenizer, source, chat_template=template, clock=clock))
    if words is not None:
        fits = [mistakes.attempt(partial(fit, one, words)) for one in found]
        found = [one for one in fits if one is not None]
    raise_all("the evaluation", mistakes.errors[:MAX_MISTAKES])
    assert source is not None
    assert words is not None
    files.require_space(out, _bytes(found), what="the responses")
    return Ready(
        source,
        template,
        tuple(found),
        as_loaded(source, words.chat_template),
        as_loaded(source, words.chat_template, settings=False),
        base,
    )


def fit(benchmark: Benchmark, words: LoadedTokenizer, *, beside: int = 0) -> Benchmark:
    """The benchmark as this model can be asked it: with as many worked examples as its context takes.

    Args:
        benchmark: with all its examples.
        words: the model's tokenizer, settled.
        beside: virtual tokens that take room in the context.

    Raises:
        InputError: it needs a chat template that the model does not have, or a question is too long for it.
    """
    talks = words.encoder_decoder or words.chat_template
    if not talks and any(item.form == "chat" for item in benchmark.items):
        raise InputError(
            "the benchmark is asked in a conversation, and the model has no chat template",
            where=benchmark.name,
            expected="a chat template, or a benchmark of form: text",
            fix="name one with --chat-template",
        )
    reader = Reader.of(words.tokenizer, encoder_decoder=words.encoder_decoder)
    # An encoder-decoder model's sides are bounded apart, and most by nothing.
    bounded = words.context is not None and not words.encoder_decoder
    return fitted(benchmark, reader.lengths, (words.context or 0) - beside if bounded else None)


def _names(asked: Sequence[str]) -> list[str]:
    found = [name for one in asked for name in library.ways(one, root=Path.cwd())]
    if not found:
        raise InputError("no benchmark is named", where="--benchmark", expected=", ".join(library.names()))
    return list(dict.fromkeys(found))


def _benchmark(name: str, asked: Asked) -> Benchmark:
    spec = library.describe(name, root=Path.cwd())
    given = isinstance(spec, library.RowsSpec) and spec.gives_shots
    shots = asked.shots if given else None  # several benchmarks are asked at once, and some have no examples
    return library.load(name, data=asked.data_dir, limit=asked.limit, shots=shots, root=Path.cwd())


def _bytes(benchmarks: Sequence[Benchmark]) -> int:
    """About what the responses take on disk."""
    return sum(_ROW + 2 * len(item.prompt) for one in benchmarks for item in one.items)
