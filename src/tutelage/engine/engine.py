"""Answers many requests with one model: shared prefixes go through the model once, the rest in batches.

Generation, greedy or sampled, ends at the model's end of turn, at a stop string or at its limit; finished rows leave the batch.
Log-probabilities of choices read the prompt once, whatever the number of choices. Every answer is a function of its own request:
batch and order change log-probabilities by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import Request, Response, Sampling
from tutelage.engine import continuous_batching, packed_scoring, padded_answers
from tutelage.engine.answer_text import AnswerText
from tutelage.engine.capabilities import Batching, Capabilities
from tutelage.engine.choice_contexts import ChoiceContexts
from tutelage.engine.encoded_request import EncodedRequest, RequestEncoder
from tutelage.engine.generation import Generation
from tutelage.engine.limits import BatchLimits
from tutelage.engine.padded_answers import Prefilled
from tutelage.engine.padded_batch import PaddedBatch, PaddedDecoderBatch, prefill
from tutelage.engine.prefix_tree import PrefixNode, build_prefix_tree
from tutelage.engine.sampling import next_tokens
from tutelage.engine.scoring import ChoiceScore
from tutelage.engine.sequential import FullPass, next_token_logits
from tutelage.models.special_tokens import eos_ids
from tutelage.tokens import chat_encoding, rendering

Listener = Callable[[list[Response]], None]
_PrefixBatches = Iterator[tuple[PrefixNode, PaddedDecoderBatch | None]]


class Engine:
    """Answers requests with one model.

    Args:
        model: a transformers or peft model.
        tokenizer: its tokenizer, with the chat template in use.
        encoder_decoder: which kind the model is.
        limits: of batches; they change memory and speed, not answers.
        context: how many tokens the model can read; None if nothing bounds them.

    Attributes:
        request_encoder: encodes requests with the tokenizer.
        encoder: its encoder of prompts.
        answer_text: gives the text of its answers.
        stop_ids: tokens that end an answer.
        full_pass: the model without a KV cache.
        capabilities: which fast paths the model takes.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        encoder_decoder: bool,
        limits: BatchLimits | None = None,
        context: int | None = None,
    ) -> None:
        self.context = context
        self.model = model
        self.tokenizer = tokenizer
        self.encoder_decoder = encoder_decoder
        self.limits = limits or BatchLimits()
        self.request_encoder = RequestEncoder(tokenizer, encoder_decoder=encoder_decoder)
        self.encoder = self.request_encoder.encoder
        turn_end = self.encoder.stop_id if self.request_encoder.takes_chats else None
        self.stop_ids = stop_ids(model, tokenizer, turn_end)
        self.answer_text = AnswerText(
            self.text_of, self.encoder, takes_chats=self.request_encoder.takes_chats
        )
        self.pad_id = 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self.full_pass = FullPass(model, encoder_decoder, tuple(self.encoder.answer_prefix))
        self.capabilities = Capabilities(self.full_pass, self._prefill, self.pad_id)

    @cached_property
    def _token_bytes(self) -> int:
        """Bytes of KV cache that a token of a row takes, at least 1."""
        return max(1, self._prefill([[self.pad_id]]).token_bytes)

    def answer(self, requests: Sequence[Request], *, on_done: Listener | None = None) -> list[Response]:
        """Answer all requests; gives the responses in the requests' order.

        Args:
            requests: any mixture of kinds.
            on_done: called with responses as soon as they are there, several at a time.

        Raises:
            InputError: a request does not fit into the model's context; InputErrors for several. Nothing is answered then.
        """
        self.model.eval()
        contexts = ChoiceContexts(requests)
        encoded = list(self.request_encoder.encode(contexts.parts))
        errors = [error for request in encoded if (error := self._too_long(request))]
        raise_all("the requests", errors[:MAX_MISTAKES])
        responses: dict[str, Response] = {}
        for kind, answers in (("generate", self._texts), ("choose", self._choices)):
            of_kind = [request for request in encoded if request.request.kind == kind]
            if not of_kind:
                continue
            with torch.inference_mode():
                for batch in map(contexts.join, answers(of_kind)):
                    responses.update((response.id, response) for response in batch)
                    if on_done and batch:
                        on_done(batch)
        return [responses[request.id] for request in requests]

    def stream(
        self,
        messages: Sequence[rendering.Message],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Answer a conversation piece by piece.

        Args:
            messages: `{"role": ..., "content": ...}`, the last one the user's.
            max_new_tokens: the most tokens of the answer.
            temperature: 0 takes the likeliest token; above 0, tokens are sampled (see `Sampling`).
            seed: of the sampling.
        """
        self.model.eval()
        prompt = self.conversation_ids(messages)
        sampling = Sampling(temperature, seed=seed) if temperature else None
        answer = Generation(Request("", "generate", "", max_new_tokens=max_new_tokens, sampling=sampling))
        # Families that share prefixes are known to be right on a cache: a conversation need not wait for the trial.
        cached = self.capabilities.prefix_sharing or self.capabilities.batching is not Batching.UNCACHED
        next_logits = next_token_logits(self.full_pass, self._prefill, prompt, cached=cached)
        ids = answer.ids
        streamed = 0
        while len(ids) < self.answer_text.limit(answer.request, ids):
            # Not around the `yield`: the caller's tensors would be made in inference mode between two pieces.
            with torch.inference_mode():
                (token,) = next_tokens(next_logits(ids)[None], [answer])
            if token in self.stop_ids:
                break
            ids.append(token)
            text = self.answer_text.text(answer.request, ids)
            # A text that ends with U+FFFD ends within a character, whose other bytes come with the next tokens.
            if not text.endswith("\ufffd") and len(text) > streamed:
                yield text[streamed:]
                streamed = len(text)
        if rest := self.answer_text.text(answer.request, ids)[streamed:]:
            yield rest

    def conversation_ids(self, messages: Sequence[rendering.Message]) -> list[int]:
        """What the model reads for a conversation; an encoder-decoder model reads its last message only."""
        if self.encoder_decoder:
            return self.encoder.prompt_ids(messages[-1]["content"])
        return chat_encoding.encode_messages(self.tokenizer, messages, generate=True)

    def text_of(self, ids: Sequence[int]) -> str:
        """Tokens as text, special ones left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _too_long(self, encoded: EncodedRequest) -> InputError | None:
        if self.context is None or self.encoder_decoder:
            return None  # the sides of an encoder-decoder model are bounded separately, and mostly by nothing
        if len(encoded.prompt) + encoded.max_answer_tokens <= self.context:
            return None
        return InputError(
            "the question and its answer do not fit into the model's context",
            where=encoded.request.id,
            found=f"{len(encoded.prompt)} tokens of prompt and {encoded.max_answer_tokens} of answer",
            expected=f"at most {self.context} together",
            fix="shorten it, allow fewer new tokens, or take a model with a longer context",
        )

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> PaddedBatch:
        return prefill(
            self.model,
            prompts,
            pad_id=self.pad_id,
            encoder_decoder=self.encoder_decoder,
            answer_prefix=self.encoder.answer_prefix,
        )

    def _texts(self, requests: Sequence[EncodedRequest]) -> Iterator[list[Response]]:
        for generations in self.generate(requests):
            yield [self._response(generation) for generation in generations]

    def _choices(self, requests: Sequence[EncodedRequest]) -> Iterator[list[Response]]:
        for batch in self.score(requests):
            yield [_choice(encoded, scores) for encoded, scores in batch]

    def generate(self, requests: Sequence[EncodedRequest]) -> Iterator[list[Generation]]:
        """Answers as token ids, by the fastest path that the model takes, several at a time as they end.

        Args:
            requests: of kind `generate`, each within the model's context; what is too long is not noticed here.
        """
        limits = self.limits
        if self.capabilities.decode_batch:
            cached_tokens = limits.cache_bytes // self._token_bytes
            nodes = (
                (node, None if batch is None else batch.cache) for node, batch in self._prefixes(requests)
            )
            packs = continuous_batching.waiting_packs(nodes, requests, limits, cached_tokens)
            finished = continuous_batching.generate(
                self.model,
                packs,
                self._append,
                rows=min(limits.rows, len(requests)),
                cached_tokens=cached_tokens,
            )
        elif self.capabilities.batching is Batching.PADDED:
            finished = padded_answers.generate_padded(self._prefilled(requests), self._append)
        else:
            finished = ([self._generate_alone(request)] for request in requests)
        yield from finished

    def _generate_alone(self, encoded: EncodedRequest) -> Generation:
        """An answer with nothing else in the model."""
        generation = Generation(encoded.request)
        cached = self.capabilities.batching is Batching.SINGLE
        next_logits = next_token_logits(self.full_pass, self._prefill, encoded.prompt, cached=cached)
        while not generation.finish:
            (token,) = next_tokens(next_logits(generation.ids)[None], [generation])
            self._append(generation, token)
        return generation

    def score(
        self, requests: Sequence[EncodedRequest]
    ) -> Iterator[list[tuple[EncodedRequest, list[ChoiceScore]]]]:
        """Each request with the scores of its choices, by the fastest path that the model takes; several at a time, in any order.

        Args:
            requests: of kind `choose`, each within the model's context; what is too long is not noticed here.
        """
        scored: Iterator[tuple[Sequence[EncodedRequest], list[list[ChoiceScore]]]]
        if self.capabilities.packed_scoring:
            scored = self._score_packs(requests)
        elif self.capabilities.batching is Batching.PADDED:
            scored = (
                (batched, padded_answers.score_padded_choices(batched, batch, pad_id=self.pad_id))
                for batched, batch in self._prefilled(requests)
            )
        else:
            choice_score = self.full_pass.choice_score
            scored = (
                ([alone], [[choice_score(alone.prompt, ids) for ids in alone.choices]]) for alone in requests
            )
        for batched, scores in scored:
            yield list(zip(batched, scores, strict=True))

    def _score_packs(
        self, requests: Sequence[EncodedRequest]
    ) -> Iterator[tuple[list[EncodedRequest], list[list[ChoiceScore]]]]:
        """Scores of choices, pack by pack."""
        tokens = min(self.limits.prompt_tokens, packed_scoring.PACK_TOKENS)
        for node, batch in self._prefixes(requests, pack_tokens=tokens):
            cache = None if batch is None else batch.cache
            of_node = [requests[index] for index in node.prompts]
            packs = packed_scoring.pack_requests(
                of_node, node.length, tokens=tokens, rows=self.limits.rows, share_neighbours=True
            )
            for packed, pack in packs:
                yield (
                    packed,
                    packed_scoring.score_packed_choices(self.model, pack, packed, cache, node.length),
                )

    def _prefilled(self, requests: Sequence[EncodedRequest]) -> Iterator[Prefilled]:
        """Padded batches of requests whose prompts have gone through the model."""
        for node, prefix in self._prefixes(requests):
            for indices in padded_answers.plan_batches(node, requests, self.limits, self._token_bytes):
                batched = [requests[index] for index in indices]
                rest = [encoded.prompt[node.length :] for encoded in batched]
                yield batched, self._continue(prefix, rest)

    def _prefixes(
        self, requests: Sequence[EncodedRequest], *, pack_tokens: int | None = None
    ) -> _PrefixBatches:
        """Every node of the requests' prefix tree, depth first, with the batch that has read its prefix; none at the root."""
        if self.capabilities.prefix_sharing:
            root = build_prefix_tree([encoded.prompt for encoded in requests], pack_tokens=pack_tokens)
        else:
            root = PrefixNode((), 0, tuple(range(len(requests))), ())
        yield from self._read_prefixes(root, None)

    def _read_prefixes(self, node: PrefixNode, prefix: PaddedDecoderBatch | None) -> _PrefixBatches:
        yield node, prefix
        for child in node.children:
            batch = self._continue(prefix, [child.tokens])
            assert isinstance(batch, PaddedDecoderBatch)
            yield from self._read_prefixes(child, batch)

    def _continue(self, prefix: PaddedDecoderBatch | None, prompts: Sequence[Sequence[int]]) -> PaddedBatch:
        return self._prefill(prompts) if prefix is None else prefix.fork(prompts, pad_id=self.pad_id)

    def _append(self, generation: Generation, token: int) -> None:
        """Append a token to an answer, and set `finish` if the answer ends with it."""
        request = generation.request
        if self.ends_answer(request, token):
            generation.finish = "stop"
            return
        generation.ids.append(token)
        stops = self.stop_texts(request)
        text = self.answer_text.text(request, generation.ids) if stops else ""
        if any(stop in text for stop in stops):
            generation.finish = "stop"
        elif len(generation.ids) >= self.answer_text.limit(request, generation.ids):
            generation.finish = "length"

    def ends_answer(self, request: Request, token: int) -> bool:
        """Whether a token ends the answer to a request: for a user's turn also the token that ends it in the chat template."""
        return token in self.stop_ids or (
            request.form == "user" and token == self.request_encoder.user_turn.end_id
        )

    def stop_texts(self, request: Request) -> tuple[str, ...]:
        """The texts that end the answer to a request: its own, and the text that ends a user's turn."""
        if request.form != "user" or not (end := self.request_encoder.user_turn.end_text):
            return request.stop
        return (*request.stop, end)

    def _response(self, generation: Generation) -> Response:
        ended = generation.finish == "stop"
        text = self.answer_text.text(generation.request, generation.ids, ended=ended)
        for stop in self.stop_texts(generation.request):
            text = text.partition(stop)[0]
        finish = "stop" if generation.finish == "stop" else "length"
        return Response(generation.request.id, text, finish, len(generation.ids))  # type: ignore[arg-type]


def stop_ids(model: Any, tokenizer: Any, turn_end: int | None) -> frozenset[int]:
    """Every token that ends an answer: the template's end of turn, if there is one, and the eos ids of model and tokenizer."""
    ids = eos_ids(getattr(model.generation_config, "eos_token_id", None), tokenizer)
    return frozenset(ids if turn_end is None else (turn_end, *ids))


def _choice(encoded: EncodedRequest, scores: Sequence[ChoiceScore]) -> Response:
    sums = [score.log_probability for score in scores]
    best = max(range(len(sums)), key=lambda choice: sums[choice])
    return Response(
        encoded.request.id,
        encoded.request.choices[best],
        "choice",
        0,
        choice=best,
        logprobs=tuple(sums),
        lengths=tuple(map(len, encoded.choices)),
    )
