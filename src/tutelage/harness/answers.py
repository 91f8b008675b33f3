"""Answers the three kinds of lm-evaluation-harness's requests with an engine, without importing lm-eval.

Requests with the same context become one request with several choices, and contexts with a common prefix share its KV cache. Results are
those of lm-eval's HF backend (models/huggingface.py, HFLM), but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from tutelage.core.types import Request
from tutelage.engine import Engine
from tutelage.engine.encoded_request import EncodedRequest
from tutelage.engine.engine import stop_ids
from tutelage.engine.scoring import ChoiceScore
from tutelage.harness.encoding import EncodedPair, HarnessEncoder
from tutelage.harness.generation import GenerationSettings
from tutelage.models import LoadedModel
from tutelage.models.soft_prompts import soft_prompt

DEFAULT_LENGTH = 2048
"""The context length where neither config nor tokenizer states one (lm_eval/defaults.py)."""
CHOICE_TOKENS = 512
"""The most tokens of one request's choices, as their attention mask grows with the square. The rest are further requests."""
Progress = Callable[[int, int], None]
"""Takes how many requests are answered, and how many there are."""


class HarnessAnswers:
    """Scores continuations and generates texts with one model.

    Args:
        loaded: the model.
        max_length: how many tokens it reads; by default what its config says, as lm-eval finds it.
        on_progress: called as requests are answered.

    Attributes:
        encoder: its encoder of texts.
        truncated: how many requests lost the beginning of their context, because they were too long.
    """

    def __init__(
        self, loaded: LoadedModel, *, max_length: int | None = None, on_progress: Progress | None = None
    ) -> None:
        self._engine = Engine(loaded.model, loaded.tokenizer, encoder_decoder=loaded.encoder_decoder)
        # lm-eval's backend does not stop at the end of a chat turn, only at the end tokens of model and tokenizer.
        self._engine.stop_ids = stop_ids(loaded.model, loaded.tokenizer, None)
        self._tokenizer = loaded.tokenizer
        eos = loaded.tokenizer.eos_token_id
        self._end = () if eos is None else (str(loaded.tokenizer.decode(eos)),)
        self.encoder = HarnessEncoder(
            loaded.tokenizer,
            encoder_decoder=loaded.encoder_decoder,
            max_length=max_length or _stated_length(loaded),
        )
        self._on_progress = on_progress
        self.truncated = 0

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[ChoiceScore]:
        """How likely each continuation is behind its context, in the order of the pairs.

        Args:
            pairs: (context, continuation); an empty context stands for the bos or eos token.

        Raises:
            InputError: a continuation has no tokens, or more than the model reads.
        """
        return self._scores(self.encoder.pair(context, continuation) for context, continuation in pairs)

    def rolling_log_likelihoods(self, texts: Sequence[str]) -> list[float]:
        """The log-probability (nats) of each whole text; a text that is too long is divided into windows."""
        windows = [list(self.encoder.windows(text)) for text in texts]
        scores = iter(self._scores(pair for pairs in windows for pair in pairs))
        return [sum((next(scores).log_probability for _ in pairs), 0.0) for pairs in windows]

    def generate(self, requests: Sequence[tuple[str, GenerationSettings]]) -> list[str]:
        """A greedy answer to each context, cut before the first text that ends it.

        Args:
            requests: (context, settings).

        Raises:
            InputError: the settings leave no room for a context.
        """
        encoded: dict[tuple[str, GenerationSettings], EncodedRequest] = {}
        stops = {settings: (*settings.stop, *self._end) for _, settings in requests}
        for context, settings in dict.fromkeys(requests):
            prompt, dropped = self.encoder.prompt(context, settings.max_new_tokens)
            self.truncated += dropped > 0
            request = Request(
                str(len(encoded)),
                "generate",
                "",
                max_new_tokens=settings.max_new_tokens,
                stop=stops[settings],
                form="text",
            )
            encoded[context, settings] = EncodedRequest(request, prompt)
        ids = self._generated_ids(list(encoded.values()))
        return [self._text(ids[encoded[request].request.id], stops[request[1]]) for request in requests]

    def _scores(self, pairs: Iterable[EncodedPair]) -> list[ChoiceScore]:
        """The scores of pairs; equal ones are scored once."""
        fitted = []
        for pair in pairs:
            fit = self.encoder.fit(pair)
            self.truncated += fit != pair
            fitted.append(fit)
        scores: dict[EncodedPair, ChoiceScore] = {}
        distinct = set(fitted)
        self._report(0, len(distinct))
        self._engine.model.eval()
        with torch.inference_mode():
            for batch in self._engine.score(list(_grouped(distinct))):
                for encoded, choice_scores in batch:
                    for choice, score in zip(encoded.choices, choice_scores, strict=True):
                        scores[EncodedPair(tuple(encoded.prompt), tuple(choice))] = score
                self._report(len(scores), len(distinct))
        return [scores[pair] for pair in fitted]

    def _generated_ids(self, requests: Sequence[EncodedRequest]) -> Mapping[str, list[int]]:
        ids: dict[str, list[int]] = {}
        self._report(0, len(requests))
        self._engine.model.eval()
        with torch.inference_mode():
            for generations in self._engine.generate(requests):
                ids.update((generation.request.id, generation.ids) for generation in generations)
                self._report(len(ids), len(requests))
        return ids

    def _text(self, ids: Sequence[int], stop: Sequence[str]) -> str:
        text = str(self._tokenizer.decode(ids, skip_special_tokens=True))
        for end in stop:
            text = text.partition(end)[0]
        return text

    def _report(self, done: int, total: int) -> None:
        if self._on_progress is not None and total:
            self._on_progress(done, total)


def _grouped(pairs: Iterable[EncodedPair]) -> Iterator[EncodedRequest]:
    """Requests for pairs: those with the same prompt are choices of one, up to a number of tokens."""
    choices: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for prompt, answer in sorted(pairs):
        choices.setdefault(prompt, []).append(answer)
    number = 0
    for prompt, answers in choices.items():
        group: list[list[int]] = []
        for answer in answers:
            if group and sum(map(len, group)) + len(answer) > CHOICE_TOKENS:
                yield _request(number, prompt, group)
                number, group = number + 1, []
            group.append(list(answer))
        yield _request(number, prompt, group)
        number += 1


def _request(number: int, prompt: Sequence[int], choices: Sequence[list[int]]) -> EncodedRequest:
    return EncodedRequest(Request(str(number), "choose", "", form="text"), list(prompt), tuple(choices))


def _stated_length(loaded: LoadedModel) -> int:
    """How many tokens a model reads, virtual ones of an adapter not counted (lm_eval/models/utils.py, resolve_max_length)."""
    config: Any = loaded.model.config
    config = getattr(config, "text_config", None) or config
    names = ("n_positions", "max_position_embeddings", "n_ctx")
    stated = next((int(value) for name in names if (value := getattr(config, name, None)) is not None), None)
    if stated is None:
        length = loaded.tokenizer.model_max_length
        stated = int(length) if length < 10**9 else DEFAULT_LENGTH
    prompt = soft_prompt(loaded.model)
    return stated if prompt is None else stated - prompt.length
