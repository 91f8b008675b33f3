"""Answers to many requests: what prompts begin with alike is read once, the rest in batches of like length.

Greedy generation ends a row at the model's end of turn, at a stop string, or at its limit; finished rows leave the
batch. Log-likelihoods of choices read the prompt once, whatever the number of choices. Every answer is a function
of its own request: batch and order change log-probabilities by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from typing import Any

import torch

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import Request, Response
from tutelage.engine import continuous_batching, packed_scoring
from tutelage.engine import padded_batch as states
from tutelage.engine.batching import Asker, Batching
from tutelage.engine.continuous_batching import Row
from tutelage.engine.decode_batch import takes_rows
from tutelage.engine.encoded_request import Read, Reader
from tutelage.engine.limits import Limits, batches
from tutelage.engine.plain import Plain
from tutelage.engine.prefixes import Branch, tree
from tutelage.engine.scoring import log_probabilities
from tutelage.tokens import chat_encoding
from tutelage.tokens.encoder import Encoder

Listener = Callable[[list[Response]], None]
_Begun = tuple[list[Read], states.State]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Requests of one kind in ids, and the limits of their batches."""

    reads: Sequence[Read]
    limits: Limits


class Engine:
    """Asks one model.

    Args:
        model: a transformers or peft model.
        tokenizer: its tokenizer, with the chat template in use.
        encoder_decoder: which kind the model is.
        limits: batch limits; they change memory and speed, not answers.
        context: how many tokens the model can read; None where nothing bounds them.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        encoder_decoder: bool,
        limits: Limits | None = None,
        context: int | None = None,
    ) -> None:
        self.context = context
        self.model = model
        self.tokenizer = tokenizer
        self.encoder_decoder = encoder_decoder
        self.limits = limits or Limits()
        self._shares = not encoder_decoder and states.shares(model)
        talks = encoder_decoder or bool(tokenizer.chat_template)
        self.encoder = Encoder(tokenizer, encoder_decoder=encoder_decoder, conversations=talks)
        self.reader = Reader(self.encoder)
        self.stop_ids = stop_ids(model, tokenizer, self.encoder.stop_id if talks else None)
        self.pad_id = 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self.plain = Plain(model, encoder_decoder, tuple(self.encoder.answer_prefix))

    @cached_property
    def _packs(self) -> bool:
        """Whether choices go in packs; found out when it is first asked, as a conversation needs it not."""
        return self._shares and packed_scoring.takes_packs(self.model)

    @cached_property
    def _rows(self) -> bool:
        """Whether answers are generated in rows behind beginnings that are held once."""
        return self._packs and takes_rows(self.model)

    @property
    def _asker(self) -> Asker:
        return Asker(self.plain, self._start, self.pad_id)

    @cached_property
    def _batching(self) -> Batching:
        """How requests are asked where neither packs nor rows take them."""
        return self._asker.batching()

    @property
    def caches(self) -> bool:
        """Whether the model gives the same on a cache as in one pass over the whole text."""
        return self._packs or self._batching is not Batching.WHOLE

    @cached_property
    def _token_bytes(self) -> int:
        """Bytes of keys and values that a token of a row takes, at least 1."""
        return max(1, self._start([[self.pad_id]]).held)

    def answer(self, requests: Sequence[Request], *, on_done: Listener | None = None) -> list[Response]:
        """Answer all requests; gives the responses in the requests' order.

        Args:
            requests: any mixture of kinds.
            on_done: is given responses as soon as they are there, some at a time.

        Raises:
            InputError: a request does not fit into the model's context; InputErrors for several. Nothing is asked.
        """
        self.model.eval()
        reads = list(self.reader.read(requests))
        raise_all("the requests", [error for one in reads if (error := self._too_long(one))][:MAX_MISTAKES])
        done: dict[str, Response] = {}
        for kind in ("generate", "choose"):
            own = [one for one in reads if one.request.kind == kind]
            if not own:
                continue
            asked = _Asked(own, self._limits_of(kind))
            with torch.inference_mode():
                for responses in self._ways(asked, kind):
                    done.update((r.id, r) for r in responses)
                    if on_done:
                        on_done(responses)
        return [done[r.id] for r in requests]

    def stream(
        self,
        messages: Sequence[chat_encoding.Message],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Answer a conversation piece by piece.

        Args:
            messages: `{"role": ..., "content": ...}`, the last one the user's.
            max_new_tokens: the most tokens of the answer.
            temperature: 0 takes the likeliest token; above, tokens are drawn from the softened distribution.
            seed: of the draw.
        """
        self.model.eval()
        if self.encoder_decoder:
            prompt = self.encoder.prompt_ids(messages[-1]["content"])
        else:
            prompt = chat_encoding.encode_messages(self.tokenizer, messages, generate=True)
        draw = torch.Generator().manual_seed(seed)
        ids: list[int] = []
        said = ""
        # Families that share prefixes are known to be right on a cache: a conversation need not wait for the trial.
        step = self._asker.steps(prompt, Batching.SINGLE if self._shares else self._batching)
        while len(ids) < max_new_tokens:
            # Not around the `yield`: the caller's tensors would be made in inference mode between two pieces.
            with torch.inference_mode():
                token = _pick(step(ids), temperature, draw)
            if token in self.stop_ids:
                break
            ids.append(token)
            text = self.text_of(ids)
            if not text.endswith("\ufffd") and len(text) > len(said):
                yield text[len(said) :]
                said = text
        text = self.text_of(ids)
        if len(text) > len(said):
            yield text[len(said) :]

    def _too_long(self, read: Read) -> InputError | None:
        if self.context is None or self.encoder_decoder:
            return None  # an encoder-decoder model's sides are bounded apart, and most by nothing
        if len(read.prompt) + read.answer <= self.context:
            return None
        return InputError(
            "the question and its answer do not fit into the model's context",
            where=read.request.id,
            found=f"{len(read.prompt)} tokens of prompt and {read.answer} of answer",
            expected=f"at most {self.context} together",
            fix="shorten it, allow fewer new tokens, or take a model with a longer context",
        )

    def _start(self, prompts: Sequence[Sequence[int]]) -> states.State:
        return states.start(
            self.model,
            prompts,
            pad_id=self.pad_id,
            encoder_decoder=self.encoder_decoder,
            prefix=self.encoder.answer_prefix,
        )

    def text_of(self, ids: Sequence[int]) -> str:
        """Tokens as text, special ones left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _limits_of(self, kind: str) -> Limits:
        """A batch's limits: where rows join those under way, two batches are in the model at once."""
        if kind == "choose" or not self._shares or self._rows:
            return self.limits
        return replace(self.limits, rows=max(1, self.limits.rows // 2), held=self.limits.held // 2)

    def _ways(self, asked: _Asked, kind: str) -> Iterator[list[Response]]:
        """The responses, some at a time."""
        if kind == "choose" and self._packs:
            yield from self._packed(asked)
        elif kind == "generate" and self._rows:
            yield from self._together(asked)
        elif self._batching is not Batching.PADDED:
            yield from ([self._alone(read)] for read in asked.reads)
        elif kind == "choose":
            yield from starmap(self._choose, self._begun(asked))
        else:
            yield from self._generate(self._begun(asked))

    def _alone(self, read: Read) -> Response:
        """The answer to one request, with nothing else in the model."""
        if read.request.kind == "choose":
            return _chosen(read, [self.plain.log_probability(read.prompt, choice) for choice in read.choices])
        row = Row(read.request, [])
        step = self._asker.steps(read.prompt, self._batching)
        while not row.finish:
            self._take(row, int(step(row.ids).argmax()))
        return self._response(row)

    def _branches(
        self, asked: _Asked, packed_in: int | None = None
    ) -> Iterator[tuple[Branch, states.DecoderState | None]]:
        """Every branch with what has read the tokens down to it, which is none at the root."""
        everything = Branch((), 0, tuple(range(len(asked.reads))), ())
        prompts = [one.prompt for one in asked.reads]
        root = tree(prompts, packed=packed_in) if self._shares else everything
        yield from self._below(root, None)

    def _below(
        self, branch: Branch, state: states.DecoderState | None
    ) -> Iterator[tuple[Branch, states.DecoderState | None]]:
        yield branch, state
        for further in branch.branches:
            tokens = [list(further.tokens)]
            read = self._start(tokens) if state is None else state.below(tokens, pad_id=self.pad_id)
            assert isinstance(read, states.DecoderState)
            yield from self._below(further, read)

    def _begun(self, asked: _Asked) -> Iterator[_Begun]:
        """Batches of requests whose prompts have gone through the model."""
        for branch, state in self._branches(asked):
            for batch in batches(branch, self._token_bytes, asked.reads, asked.limits):
                rest = [asked.reads[place].prompt[branch.depth :] for place in batch]
                begun = self._start(rest) if state is None else state.below(rest, pad_id=self.pad_id)
                yield [asked.reads[place] for place in batch], begun

    def _packed(self, asked: _Asked) -> Iterator[list[Response]]:
        """Choices of a decoder-only model, pack by pack."""
        tokens = min(asked.limits.tokens, packed_scoring.TOKENS)
        for branch, state in self._branches(asked, tokens):
            reads = [asked.reads[place] for place in branch.rows]
            cache = None if state is None else state.cache
            rows = asked.limits.rows
            for chosen, pack in packed_scoring.packs(
                reads, branch.depth, tokens=tokens, rows=rows, once=True
            ):
                values = packed_scoring.sums(self.model, pack, chosen, cache, branch.depth)
                yield [_chosen(read, row) for read, row in zip(chosen, values, strict=True)]

    def _together(self, asked: _Asked) -> Iterator[list[Response]]:
        """Generations of a decoder-only model, each behind a beginning that is held once."""
        limits, tokens = asked.limits, asked.limits.held // self._token_bytes
        begun = ((branch, None if state is None else state.cache) for branch, state in self._branches(asked))
        source = continuous_batching.packs_of(begun, asked.reads, limits, tokens)
        count = min(limits.rows, len(asked.reads))
        for rows in continuous_batching.generate(self.model, source, self._take, rows=count, tokens=tokens):
            yield [self._response(row) for row in rows]

    def _generate(self, begun: Iterator[_Begun]) -> Iterator[list[Response]]:
        """Greedy answers as they end; rows that end leave, and where half of the room is free the next batch joins."""
        active: list[Row] = []
        state: states.State | None = None
        waiting: _Begun | None = None
        while True:
            if waiting is None and (not active or (self._shares and len(active) <= self.limits.rows // 2)):
                waiting = next(begun, None)
            if waiting is not None and (not active or self._fits(active, state, waiting)):
                state = waiting[1] if not active else _joined(state, waiting[1])
                active = [*active, *(Row(read.request, []) for read in waiting[0])]
                waiting = None
                continue
            if state is None or not active:
                return
            tokens = state.logits.argmax(-1)
            for row, token in zip(active, tokens.tolist(), strict=True):
                self._take(row, token)
            going = [i for i, row in enumerate(active) if not row.finish]
            if len(going) < len(active):
                yield [self._response(row) for row in active if row.finish]
                active = [active[i] for i in going]
                if not active:
                    continue
                chosen = torch.tensor(going, device=tokens.device)
                state.select(chosen)
                tokens = tokens[chosen]
                if self._shares and isinstance(state, states.DecoderState):
                    state.trim()
            state.logits = state.feed(tokens[:, None])[:, -1]

    def _fits(self, active: Sequence[Row], state: states.State | None, waiting: _Begun) -> bool:
        """Whether the keys and values of two batches together, to their last answer's end, may be held."""
        reads, more = waiting
        assert isinstance(state, states.DecoderState)
        assert isinstance(more, states.DecoderState)
        left = [row.request.max_new_tokens - len(row.ids) for row in active]
        left += [read.answer for read in reads]
        width = max(state.width, more.width) + max(left)
        return (len(active) + len(reads)) * width * self._token_bytes <= self.limits.held

    def _take(self, row: Row, token: int) -> None:
        if token in self.stop_ids:
            row.finish = "stop"
            return
        row.ids.append(token)
        text = self.text_of(row.ids) if row.request.stop else ""
        if any(stop in text for stop in row.request.stop):
            row.finish = "stop"
        elif len(row.ids) >= row.request.max_new_tokens:
            row.finish = "length"

    def _response(self, row: Row) -> Response:
        text = self.text_of(row.ids)
        for stop in row.request.stop:
            text = text.partition(stop)[0]
        finish = "stop" if row.finish == "stop" else "length"
        return Response(row.request.id, text, finish, len(row.ids))  # type: ignore[arg-type]

    def _choose(self, reads: Sequence[Read], state: states.State) -> list[Response]:
        """Summed log-probabilities (nats) of each choice's tokens after the prompt."""
        choices = [read.choices for read in reads]
        first = log_probabilities(state.logits)
        sums = [[float(first[i, ids[0]]) for ids in row] for i, row in enumerate(choices)]
        owners = [(i, j) for i, row in enumerate(choices) for j, ids in enumerate(row) if len(ids) > 1]
        if owners:
            state.select(torch.tensor([i for i, _ in owners], device=first.device))
            self._add_rest(state, [choices[i][j] for i, j in owners], owners, sums)
        return [_chosen(read, row) for read, row in zip(reads, sums, strict=True)]

    def _add_rest(
        self,
        state: states.State,
        texts: Sequence[list[int]],
        owners: Sequence[tuple[int, int]],
        sums: list[list[float]],
    ) -> None:
        width = max(len(t) for t in texts) - 1
        fed = torch.tensor([t[:-1] + [self.pad_id] * (width - len(t) + 1) for t in texts])
        real = torch.tensor([[1] * (len(t) - 1) + [0] * (width - len(t) + 1) for t in texts])
        device = state.logits.device
        after = log_probabilities(state.feed(fed.to(device), real=real.to(device)))
        for k, (i, j) in enumerate(owners):
            rest = texts[k][1:]
            places = torch.arange(len(rest), device=device)
            sums[i][j] += float(after[k, places, torch.tensor(rest, device=device)].sum())


def _joined(state: states.State | None, more: states.State) -> states.State:
    assert isinstance(state, states.DecoderState)
    assert isinstance(more, states.DecoderState)
    return state.join(more)


def stop_ids(model: Any, tokenizer: Any, turn_end: int | None) -> frozenset[int]:
    """Every token that ends an answer: the template's end of turn, where there is one, and the model's own eos ids."""
    own = getattr(model.generation_config, "eos_token_id", None)
    own = own if isinstance(own, list) else [own]
    ids = {turn_end, *own, tokenizer.eos_token_id}
    return frozenset(int(i) for i in ids if i is not None)


def _chosen(read: Read, sums: Sequence[float]) -> Response:
    best = max(range(len(sums)), key=lambda j: sums[j])
    return Response(
        read.request.id,
        read.request.choices[best],
        "choice",
        0,
        choice=best,
        logprobs=tuple(sums),
        lengths=tuple(map(len, read.choices)),
    )


def _pick(logits: torch.Tensor, temperature: float, draw: torch.Generator) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    weights = torch.softmax(logits.float().cpu() / temperature, -1)
    return int(torch.multinomial(weights, 1, generator=draw))
