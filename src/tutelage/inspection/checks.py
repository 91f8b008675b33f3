"""What goes wrong without a word: looked for in the tokens of every training row, and in the rows as they are.

Nothing is taken on trust here. What the encoder made is held against the chat template rendered whole, against what
the model reads in use, and against the data's own words. `findings.yaml` says what each finding means.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, islice
from typing import Any

from tutelage.core import yamltext
from tutelage.core.strictjson import shorten
from tutelage.core.types import Encoded, History, Prompted
from tutelage.models import LoadedTokenizer
from tutelage.prepare.card import token_texts
from tutelage.prepare.task_rows import TaskRows
from tutelage.report.inspection import Finding, share
from tutelage.tokens import chat_encoding, rendering
from tutelage.tokens.encoder import BATCH, Encoder
from tutelage.tokens.rendering import clock_of

MANY = 0.05  # the share of rows from which on cutting and repeating are too much
FEWEST = 4  # rows below which one answer in half of them says nothing
NAMED = 5  # rows that a finding names
AROUND = 24  # characters shown on either side of where two texts part


@dataclass(frozen=True, slots=True)
class Seen:
    """One training row with its tokens, and what they are held against.

    Attributes:
        row, encoded: the row and what training is given.
        asked: the ids that the model reads in use before it answers this row's prompt.
        whole, expected: the conversation with its answer as the chat template renders it, and the text in use
            followed by the answer; '' for an encoder-decoder model.
        control: the control tokens that prompt or completion would become if they were read carelessly.
    """

    row: Prompted
    encoded: Encoded
    asked: tuple[int, ...]
    whole: str
    expected: str
    control: tuple[int, ...]

    @property
    def learned(self) -> list[int]:
        """The ids that bear loss."""
        return [i for i, bears in zip(self.encoded.ids, self.encoded.loss_mask, strict=True) if bears]


class Checks:
    """All checks for one tokenizer and its encoder."""

    def __init__(self, words: LoadedTokenizer, encoder: Encoder) -> None:
        self.tokenizer = words.tokenizer
        self.words = words
        self.encoder = encoder
        self.end = encoder.completion_ids("")
        self.turn_end = "" if encoder.encoder_decoder else chat_encoding.turn_end(self.tokenizer)
        self.unknown = {words.tokenizer.unk_token_id} - {None, words.tokenizer.bos_token_id, *words.ends}

    def of_model(self) -> Iterator[Finding]:
        """What is wrong with the tokenizer and the template themselves."""
        pad = self.tokenizer.pad_token_id
        if pad is not None and pad in self.words.ends:
            yield _finding("pad-is-end", "model", f"{self._named([pad])} pads and ends answers")
        elif self.words.stated_pad in self.words.ends:
            now = "no token" if pad is None else self._named([pad])
            found = f"{self._named([self.words.stated_pad])} pads and ends answers; here {now} pads"
            yield _finding("pad-was-end", "model", found)
        if not self.encoder.encoder_decoder:
            text = rendering.render(self.tokenizer, [{"role": "user", "content": "a"}], generate=True)
            ids = list(self.tokenizer(text)["input_ids"])
            if reads := clock_of(self.tokenizer).reads:
                texts = ", ".join(f"{form!r} as {text!r}" for form, text in list(reads.items())[:NAMED])
                yield _finding("template-reads-clock", "chat_template", texts)
            if self._doubled(ids) and not self._doubled(
                chat_encoding.encode_text(self.tokenizer, text, control=True)
            ):
                yield _finding("start-doubled-elsewhere", "chat_template", self._named(ids[:2]))

    def of_task(self, task: TaskRows, encoded: Sequence[Encoded]) -> Iterator[Finding]:
        """What is wrong with a task's training rows and their tokens; a task that is only asked has none."""
        if not task.train:
            return
        where = f"tasks.{task.task.name}"
        seen = list(self._seen(task.train, encoded))
        for kind, look in self._looks().items():
            hits = [(it.row, found) for it in seen if (found := look(it))]
            if hits:
                row, found = hits[0]
                told = f"{len(hits)} of {len(seen)} training rows; first {row.id}: {found}"
                yield _finding(kind, where, told, rows=[row for row, _ in hits])
        yield from self._truncated(where, task.train, encoded)
        yield from _leaks(where, task)
        yield from _repeated(where, task)
        yield from _constant(where, task.train)
        yield from _conflicting(where, task.train)

    def _looks(self) -> Mapping[str, Callable[[Seen], str | None]]:
        return {
            "no-turn-end": self._no_turn_end,
            "doubled-start": self._doubled_start,
            "template-differs": self._template_differs,
            "prompt-learned": self._prompt_learned,
            "nothing-learned": self._nothing_learned,
            "unknown-text": self._unknown_text,
            "answer-differs": self._answer_differs,
            "text-rewritten": self._text_rewritten,
            "border-tokens": self._border_tokens,
            "control-text": self._control_text,
        }

    def _seen(self, rows: Sequence[Prompted], encoded: Sequence[Encoded]) -> Iterator[Seen]:
        """Every row with its tokens, rendered many at a time."""
        remaining = zip(rows, encoded, strict=True)
        while batch := list(islice(remaining, BATCH)):
            kept = [trained_prompt(self.encoder, row, ids) for row, ids in batch]
            asked = self.encoder.prompts_ids(kept)
            wholes, opened = self._rendered(
                [(prompt, row.completion) for prompt, (row, _) in zip(kept, batch, strict=True)]
            )
            for place, (row, ids) in enumerate(batch):
                expected = opened[place] + row.completion + self.turn_end if opened[place] else ""
                texts = (*(content for _, content in row.history), row.prompt, row.completion)
                control = dict.fromkeys(i for text in texts for i in self._spelled(text))
                yield Seen(row, ids, tuple(asked[place]), wholes[place], expected, tuple(control))

    def _rendered(self, turns: Sequence[tuple[tuple[str, History], str]]) -> tuple[list[str], list[str]]:
        """Conversations with their answers, and as they stand before the answer; '' for an encoder-decoder model."""
        if self.encoder.encoder_decoder:
            return [""] * len(turns), [""] * len(turns)
        before = [chat_encoding.messages(*prompt) for prompt, _ in turns]
        answered = [
            [*talk, {"role": "assistant", "content": answer}]
            for talk, (_, answer) in zip(before, turns, strict=True)
        ]
        wholes = rendering.render_all(self.tokenizer, answered, generate=False)
        return wholes, rendering.render_all(self.tokenizer, before, generate=True)

    def _spelled(self, text: str) -> list[int]:
        """The control tokens that a text spells; the unknown token comes of other text too."""
        control = chat_encoding.control_ids(self.tokenizer)
        ids = [i for i in chat_encoding.encode_text(self.tokenizer, text, control=True) if i in control]
        return [i for i in ids if i not in self.unknown or self.tokenizer.unk_token in text]

    def _no_turn_end(self, it: Seen) -> str | None:
        learned = it.learned
        if not learned or learned[-1] in self.words.ends:
            return None
        return f"it ends with {self._named(learned[-1:])}, and answers end at {self._named(self.words.ends)}"

    def _doubled_start(self, it: Seen) -> str | None:
        sides = [it.encoded.source or (), it.encoded.ids]
        return next((self._named(ids[:3]) for ids in sides if self._doubled(ids)), None)

    def _doubled(self, ids: Sequence[int]) -> bool:
        return len(ids) > 1 and ids[0] == ids[1] and ids[0] in chat_encoding.control_ids(self.tokenizer)

    def _template_differs(self, it: Seen) -> str | None:
        given = it.encoded.source if it.encoded.source is not None else it.encoded.ids
        if given[: len(it.asked)] != it.asked:
            at = _parting(given, it.asked)
            return f"token {at + 1} is {self._named(given[at : at + 2])}, in use {self._named(it.asked[at : at + 2])}"
        if not it.whole.startswith(it.expected):
            trained, used = _around(it.whole, it.expected)
            return f"the template writes {trained}, in use there stands {used}"
        return None

    def _prompt_learned(self, it: Seen) -> str | None:
        early = self._early(it)
        return f"{len(early)} of its tokens, such as {self._named(early[:4])}" if early else None

    def _early(self, it: Seen) -> list[int]:
        """Learned ids that stand before the answer."""
        before = len(self.encoder.answer_prefix) if self.encoder.encoder_decoder else len(it.asked)
        pairs = zip(it.encoded.ids[:before], it.encoded.loss_mask[:before], strict=True)
        return [i for i, bears in pairs if bears]

    def _nothing_learned(self, it: Seen) -> str | None:
        return None if self._answer(it) else f"the completion {shorten(it.row.completion)}"

    def _answer(self, it: Seen) -> list[int]:
        """The learned ids without the end of the turn."""
        learned, size = it.learned, len(self.end)
        return learned[:-size] if learned[-size:] == self.end else learned

    def _unknown_text(self, it: Seen) -> str | None:
        ids = [*(it.encoded.source or ()), *it.encoded.ids]
        count = sum(i in self.unknown for i in ids)
        if not count:
            return None
        place = "the answer" if self.unknown & set(it.learned) else "the prompt"
        return f"{count} times {self._named(self.unknown)} in {place} {shorten(self._decoded(ids))}"

    def _answer_differs(self, it: Seen) -> str | None:
        answer = self._answer(it)
        words = self._decoded(answer)
        told_otherwise = not answer or self._early(it) or self.unknown & set(it.learned)
        if told_otherwise or _plain(words) == _plain(it.row.completion):
            return None
        learned, said = _around(words, it.row.completion)
        return f"learned {learned}, the completion says {said}"

    def _text_rewritten(self, it: Seen) -> str | None:
        words = self._decoded(self._answer(it))
        if words == it.row.completion or _plain(words) != _plain(it.row.completion):
            return None
        learned, said = _around(words, it.row.completion)
        return f"learned {learned}, the completion says {said}"

    def _border_tokens(self, it: Seen) -> str | None:
        if not it.whole.startswith(it.expected) or not it.expected or it.control:
            return None
        whole = chat_encoding.encode_text(self.tokenizer, it.expected, control=True)
        ids = [*it.asked, *self.encoder.completion_ids(it.row.completion)]
        if whole == ids:
            return None
        at = _parting(whole, ids)
        return f"as one text {self._named(whole[at : at + 2])}, apart {self._named(ids[at : at + 2])}"

    def _control_text(self, it: Seen) -> str | None:
        return self._named(it.control) if it.control else None

    def _truncated(
        self, where: str, rows: Sequence[Prompted], encoded: Sequence[Encoded]
    ) -> Iterator[Finding]:
        cut = [(row, ids) for row, ids in zip(rows, encoded, strict=True) if ids.dropped]
        if len(cut) <= MANY * len(rows):
            return
        needed = max(len(ids.source if ids.source is not None else ids.ids) + ids.dropped for _, ids in cut)
        lost = sum(ids.dropped for _, ids in cut)
        found = f"{len(cut)} of {len(rows)} training rows ({share(len(cut) / len(rows))}) lose {lost:,} tokens in all"
        fits = self.words.context is None or needed <= self.words.context
        fix = f"set tune.max_length to {needed}: the longest row has so many tokens"
        if not fits:
            fix = f"shorten the field in the data: the longest row has {needed} tokens, and the model reads {self.words.context}"
        yield _finding("truncated", where, found, rows=[row for row, _ in cut], fix=fix)

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _named(self, ids: Any) -> str:
        return " ".join(repr(text) for text in token_texts(self.tokenizer, list(ids))) or "nothing"


def trained_prompt(encoder: Encoder, row: Prompted, encoded: Encoded) -> tuple[str, History]:
    """The prompt and what stands before it, as far as truncation left them in the encoded row."""
    if not encoded.dropped:
        return row.prompt, row.history
    return encoder.fit_prompt(row, new_tokens=len(encoder.completion_ids(row.completion)))


def repeats(rows: Sequence[Prompted], key: Callable[[Prompted], Any]) -> list[tuple[Prompted, Prompted]]:
    """The rows whose key stood before, each with the first that had it."""
    first: dict[Any, Prompted] = {}
    return [(row, known) for row in rows if (known := first.setdefault(key(row), row)) is not row]


def folded(text: str) -> str:
    """A text with case and spaces folded, as rows are compared when they are split."""
    return " ".join(text.casefold().split())


def leaks_of(task: TaskRows) -> list[Mapping[str, Any]]:
    """The test rows that stand in training, exactly or nearly, as {"test", "train"} and the similarity of near ones."""
    return [pair for found in task.card["leaks"].values() for pair in found]


def _leaks(where: str, task: TaskRows) -> Iterator[Finding]:
    leaks = leaks_of(task)
    if leaks:
        first = leaks[0]
        nearly = "nearly " if "similarity" in first else ""
        found = (
            f"{len(leaks)} of {len(task.test)} test rows; first {first['test']} {nearly}as {first['train']}"
        )
        named = {pair["test"] for pair in leaks}
        yield _finding("leaks", where, found, rows=[row for row in task.test if str(row.origin) in named])


def _repeated(where: str, task: TaskRows) -> Iterator[Finding]:
    count = task.card["repeated"].get("train", 0)
    if count > MANY * len(task.train):
        found = f"{count} of {len(task.train)} training rows"
        same = repeats(task.train, lambda row: (*_asked(row), folded(row.completion)))
        yield _finding("repeated", where, found, rows=[row for row, _ in same])


def _constant(where: str, rows: Sequence[Prompted]) -> Iterator[Finding]:
    counts = Counter(folded(row.completion) for row in rows)
    ((answer, count),) = counts.most_common(1)
    if len(rows) >= FEWEST and 2 * count > len(rows):
        found = f"{shorten(answer)} in {count} of {len(rows)} training rows"
        yield _finding(
            "constant-answer", where, found, rows=[row for row in rows if folded(row.completion) == answer]
        )


def _asked(row: Prompted) -> tuple[History, str]:
    """What a row asks: its prompt and the turns before it; exemplars are no part of that."""
    return (() if row.shots else row.history), folded(row.prompt)


def _conflicting(where: str, rows: Sequence[Prompted]) -> Iterator[Finding]:
    groups = [list(own) for _, own in groupby(sorted(rows, key=_asked), key=_asked)]
    torn = [own for own in groups if len({folded(row.completion) for row in own}) > 1]
    if torn:
        first = torn[0]
        other = next(row for row in first if folded(row.completion) != folded(first[0].completion))
        count = sum(map(len, torn))
        found = f"{count} of {len(rows)} training rows; first {first[0].id} and {other.id}"
        level = "warning" if count > MANY * len(rows) else "note"
        yield _finding(
            "conflicting-answers", where, found, level=level, rows=[row for own in torn for row in own]
        )


@cache
def _meanings() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = yamltext.table("tutelage.inspection", "findings.yaml")
    return table


def _finding(
    kind: str, where: str, found: str, *, rows: Sequence[Prompted] = (), **otherwise: str
) -> Finding:
    """A finding as the table has it, but for what is said `otherwise`."""
    told = {**_meanings()[kind], **otherwise}
    return Finding(kind=kind, where=where, found=found, rows=tuple(row.id for row in rows[:NAMED]), **told)


def _plain(text: str) -> str:
    """A text without what tokenizers of words change: forms of characters, and spaces."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _parting(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The first place where two sequences differ."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _around(one: str, other: str) -> tuple[str, str]:
    """Both texts, quoted, around the place where they part."""
    at = _parting(one, other)
    start = max(0, at - AROUND)
    return repr(one[start : at + AROUND]), repr(other[start : at + AROUND])
