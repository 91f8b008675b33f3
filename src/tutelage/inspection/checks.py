"""Finds silent mistakes in the tokens of all training rows, and in the rows themselves.

Nothing is assumed of the encoder: its ids are compared with the chat template rendered as a whole, with what the model reads in
use, and with the text of the data. `findings.yaml` says what each finding means.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, groupby, islice
from typing import Any

from tutelage.core import yamltext
from tutelage.core.strictjson import shorten
from tutelage.core.types import Encoded, History, Prompted
from tutelage.inspection.message_checks import MessageChecks
from tutelage.models import LoadedTokenizer
from tutelage.prepare.card import token_texts
from tutelage.prepare.task_rows import TaskRows
from tutelage.report.inspection import Finding, share
from tutelage.tokens import chat_encoding, rendering
from tutelage.tokens.encoder import BATCH, Encoder
from tutelage.tokens.rendering import Message, clock_of
from tutelage.tokens.template_fixes import start_token

MANY = 0.05  # the share of rows from which on truncation and repetition are findings
MIN_ROWS = 4  # with fewer rows, one answer in half of them says nothing
MAX_NAMED = 5  # rows and texts that a finding names
TEMPLATE_KINDS = ("message-left-out", "message-cut", "missing-start", "doubled-start")
"""Findings that another chat template may mend."""
CONTEXT = 24  # characters shown on either side of the place where two texts differ


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One training row with its tokens, and what they are compared with.

    Attributes:
        row: the rendered row.
        encoded: its ids and loss mask, as training gets them.
        prompt_ids: the ids that the model reads in use before it answers the row's prompt.
        rendered: the conversation with its answer, as the chat template renders it; '' for an encoder-decoder model.
        expected: the text that the model reads in use, followed by the answer; '' for an encoder-decoder model.
        messages: the conversation up to its question, as far as truncation left it.
        opening: how the chat template renders them; '' for an encoder-decoder model.
    """

    row: Prompted
    encoded: Encoded
    prompt_ids: tuple[int, ...]
    rendered: str
    expected: str
    messages: Sequence[Message] = ()
    opening: str = ""

    def learned(self, length: int | None = None) -> list[int]:
        """The ids that bear loss, of the first `length` or of all."""
        return list(compress(self.encoded.ids[:length], self.encoded.loss_mask))


class Checks:
    """All checks for one tokenizer and its encoder.

    Args:
        loaded: the model's tokenizer.
        encoder: the encoder of the rows.
    """

    def __init__(self, loaded: LoadedTokenizer, encoder: Encoder) -> None:
        self.loaded = loaded
        self.tokenizer = loaded.tokenizer
        self.encoder = encoder
        self.end = encoder.turn_end_ids
        self.turn = encoder.answer_turn
        start = None if encoder.encoder_decoder else start_token(self.tokenizer)
        self.start = None if start is None else int(self.tokenizer.bos_token_id)
        self.message_checks = MessageChecks(self.tokenizer)
        self.unknown = {self.tokenizer.unk_token_id} - {None, self.tokenizer.bos_token_id, *loaded.ends}

    def of_model(self) -> Iterator[Finding]:
        """Findings on the tokenizer and the chat template themselves."""
        pad = self.tokenizer.pad_token_id
        in_use = "no token" if pad is None else self._named([pad])
        if pad in self.loaded.ends:
            yield _finding("pad-is-end", "model", f"{in_use} pads and ends answers")
        elif self.loaded.stated_pad in self.loaded.ends:
            text = f"{self._named([self.loaded.stated_pad])} pads and ends answers; here {in_use} pads"
            yield _finding("pad-was-end", "model", text)
        if not self.encoder.encoder_decoder:
            text = rendering.render(self.tokenizer, [{"role": "user", "content": "a"}], generate=True)
            ids = list(self.tokenizer(text)["input_ids"])
            yield from self._of_turn()
            if reads := clock_of(self.tokenizer).reads:
                texts = ", ".join(f"{form!r} as {value!r}" for form, value in list(reads.items())[:MAX_NAMED])
                yield _finding("template-reads-clock", "chat_template", texts)
            if self._starts_doubled(ids) and not self._starts_doubled(
                chat_encoding.encode_text(self.tokenizer, text, control=True)
            ):
                yield _finding("start-doubled-elsewhere", "chat_template", self._named(ids[:2]))

    def _of_turn(self) -> Iterator[Finding]:
        """Findings on the assistant's turn: a text before the answer, and an end that the model's settings do not name."""
        if self.turn.opening:
            yield _finding("answer-opening", "chat_template", repr(self.turn.opening))
        stop = self.encoder.stop_id
        if stop is not None and stop not in self.loaded.ends:
            text = f"turns end with {self._named([stop])}, and answers end at {self._named(self.loaded.ends)}"
            yield _finding("turn-end-added", "chat_template", text)

    def of_task(self, task: TaskRows, encoded: Sequence[Encoded]) -> Iterator[Finding]:
        """Findings on a task's training rows and their tokens; none for a held-out task.

        Args:
            task: the rendered rows.
            encoded: the ids of its training rows.
        """
        if not task.train:
            return
        where = f"tasks.{task.name}"
        if task.task.plain_text:  # no template and no question surround it
            yield from _leaks(where, task)
            yield from _repeated(where, task)
            return
        hits: dict[str, list[tuple[Prompted, str]]] = defaultdict(list)
        for checked in self._checked_rows(task.train, encoded):
            for kind, text in chain(
                self._of_messages(checked),
                self._of_ids(checked),
                self._of_loss(checked),
                self._of_borders(checked),
            ):
                hits[kind].append((checked.row, text))
        for kind in _meanings():
            if kind in hits:
                first, text = hits[kind][0]
                summary = f"{len(hits[kind])} of {len(task.train)} training rows; first {first.id}: {text}"
                rows = [row for row, _ in hits[kind]]
                yield _finding(kind, where, summary, rows=rows, **self._fix(kind, rows))
        yield from self._truncated(where, task.train, encoded)
        yield from _leaks(where, task)
        yield from _repeated(where, task)
        yield from _constant(where, task.train)
        yield from _conflicting(where, task.train)

    def _fix(self, kind: str, rows: Sequence[Prompted]) -> dict[str, str]:
        """The fix of a finding that another chat template mends: those that write these very rows; none for other findings."""
        if kind not in TEMPLATE_KINDS or self.encoder.encoder_decoder:
            return {}
        by_roles = {tuple(role for role, _ in row.history): row for row in rows}
        conversations = [chat_encoding.messages(row.prompt, row.history) for row in by_roles.values()]
        return {"fix": rendering.other_templates(self.tokenizer, conversations)}

    def _checked_rows(self, rows: Sequence[Prompted], encoded: Sequence[Encoded]) -> Iterator[CheckedRow]:
        """Every row with its tokens; many are rendered at a time."""
        remaining = zip(rows, encoded, strict=True)
        while batch := list(islice(remaining, BATCH)):
            prompts = [trained_prompt(self.encoder, row, ids) for row, ids in batch]
            prompts_ids = self.encoder.prompts_ids(prompts)
            texts = self._texts(prompts, [row.completion for row, _ in batch])
            for (row, ids), prompt, prompt_ids, row_texts in zip(
                batch, prompts, prompts_ids, texts, strict=True
            ):
                rendered, expected, opening = row_texts
                messages = chat_encoding.messages(*prompt)
                yield CheckedRow(row, ids, tuple(prompt_ids), rendered, expected, messages, opening)

    def _texts(
        self, prompts: Sequence[tuple[str, History]], answers: Sequence[str]
    ) -> list[tuple[str, str, str]]:
        """`rendered`, `expected` and `opening` of each row."""
        if self.encoder.encoder_decoder:
            return [("", "", "")] * len(prompts)
        questions = [chat_encoding.messages(*prompt) for prompt in prompts]
        answered = [
            [*messages, {"role": "assistant", "content": answer}]
            for messages, answer in zip(questions, answers, strict=True)
        ]
        rendered = rendering.render_all(self.tokenizer, answered, generate=False)
        openings = rendering.render_all(self.tokenizer, questions, generate=True)
        return [
            (text, opening + self.turn.before(answer) + answer + self.turn.end if opening else "", opening)
            for text, opening, answer in zip(rendered, openings, answers, strict=True)
        ]

    def _of_ids(self, checked: CheckedRow) -> Iterator[tuple[str, str]]:
        """Findings on one row's ids, in comparison with those in use: the kind of each, and what was found."""
        encoded, in_use, learned = checked.encoded, checked.prompt_ids, checked.learned()
        if learned and learned[-1] not in (*self.loaded.ends, self.encoder.stop_id):
            end, ends = self._named(learned[-1:]), self._named(self.loaded.ends)
            yield "no-turn-end", f"it ends with {end}, and answers end at {ends}"
        if doubled := [ids for ids in (encoded.source or (), encoded.ids) if self._starts_doubled(ids)]:
            yield "doubled-start", self._named(doubled[0][:3])
        if self.start is not None and encoded.ids[:1] != (self.start,) and encoded.source is None:
            yield "missing-start", f"it begins with {self._named(encoded.ids[:2])}"
        trained = encoded.source if encoded.source is not None else encoded.ids
        if trained[: len(in_use)] != in_use:
            at = _first_difference(trained, in_use)
            yield (
                "template-differs",
                f"token {at + 1} is {self._named(trained[at : at + 2])}, in use {self._named(in_use[at : at + 2])}",
            )
        elif not checked.rendered.startswith(checked.expected):
            rendered, expected = _around_difference(checked.rendered, checked.expected)
            kind = "finished-differs" if _only_finished_lacks_system(checked) else "template-differs"
            yield kind, f"the template writes {rendered}, in use there stands {expected}"

    def _of_messages(self, checked: CheckedRow) -> Iterator[tuple[str, str]]:
        """Messages of one row that the template leaves out, cuts or trims."""
        if checked.opening:
            yield from self.message_checks.of(checked.messages, checked.opening)

    def _of_loss(self, checked: CheckedRow) -> Iterator[tuple[str, str]]:
        """Findings on the ids of one row that bear loss, in comparison with its completion."""
        learned, completion = checked.learned(), checked.row.completion
        start = len(self.encoder.answer_prefix if self.encoder.encoder_decoder else checked.prompt_ids)
        if of_prompt := checked.learned(start):
            yield "prompt-learned", f"{len(of_prompt)} of its tokens, such as {self._named(of_prompt[:4])}"
        answer = learned[: -len(self.end)] if learned[-len(self.end) :] == self.end else learned
        opening = self.encoder.opening_of(completion)
        answer = answer[len(opening) :] if answer[: len(opening)] == opening else answer
        if not answer:
            yield "nothing-learned", f"the completion {shorten(completion)}"
        ids = [*(checked.encoded.source or ()), *checked.encoded.ids]
        if count := sum(id_ in self.unknown for id_ in ids):
            side = "the answer" if self.unknown & set(learned) else "the prompt"
            text = f"{count} times {self._named(self.unknown)} in {side} {shorten(self._decoded(ids))}"
            yield "unknown-text", text
        text = self._decoded(answer).removeprefix(self.turn.spaces)
        if text != completion:
            learned_part, written_part = _around_difference(text, completion)
            difference = f"learned {learned_part}, the completion says {written_part}"
            if _normalized(text) == _normalized(completion):
                yield "text-rewritten", difference
            # Otherwise the text differs because of what the findings above name.
            elif answer and not of_prompt and not self.unknown & set(learned):
                yield "answer-differs", difference

    def _of_borders(self, checked: CheckedRow) -> Iterator[tuple[str, str]]:
        """Text that spells control tokens; in rows without it, text whose tokens change where prompt and answer meet."""
        row, expected = checked.row, checked.expected
        texts = (*(content for _, content in row.history), row.prompt, row.completion)
        control = dict.fromkeys(id_ for text in texts for id_ in self._spelled_control_ids(text))
        if control:
            yield "control-text", self._named(control)
        elif expected and checked.rendered.startswith(expected):
            together = chat_encoding.encode_text(self.tokenizer, expected, control=True)
            apart = [*checked.prompt_ids, *self.encoder.completion_ids(row.completion)]
            if together != apart:
                at = _first_difference(together, apart)
                yield (
                    "border-tokens",
                    f"as one text {self._named(together[at : at + 2])}, apart {self._named(apart[at : at + 2])}",
                )

    def _spelled_control_ids(self, text: str) -> list[int]:
        """The control tokens that a text spells out; the unknown token also comes of other text."""
        control = chat_encoding.control_ids(self.tokenizer)
        ids = [id_ for id_ in chat_encoding.encode_text(self.tokenizer, text, control=True) if id_ in control]
        return [id_ for id_ in ids if id_ not in self.unknown or self.tokenizer.unk_token in text]

    def _starts_doubled(self, ids: Sequence[int]) -> bool:
        return len(ids) > 1 and ids[0] == ids[1] and ids[0] in chat_encoding.control_ids(self.tokenizer)

    def _truncated(
        self, where: str, rows: Sequence[Prompted], encoded: Sequence[Encoded]
    ) -> Iterator[Finding]:
        cut = [(row, ids) for row, ids in zip(rows, encoded, strict=True) if ids.dropped]
        if len(cut) <= MANY * len(rows):
            return
        needed = max(len(ids.source if ids.source is not None else ids.ids) + ids.dropped for _, ids in cut)
        lost = sum(ids.dropped for _, ids in cut)
        text = f"{len(cut)} of {len(rows)} training rows ({share(len(cut) / len(rows))}) lose {lost:,} tokens in all"
        context = self.loaded.context
        fix = (
            f"set tune.max_length to {needed}: the longest row has so many tokens"
            if context is None or needed <= context
            else f"shorten the field in the data: the longest row has {needed} tokens, and the model reads {context}"
        )
        yield _finding("truncated", where, text, rows=[row for row, _ in cut], fix=fix)

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _named(self, ids: Iterable[int]) -> str:
        """The quoted texts of some tokens."""
        return " ".join(repr(text) for text in token_texts(self.tokenizer, list(ids))) or "nothing"


def _only_finished_lacks_system(checked: CheckedRow) -> bool:
    """Whether the template writes the system prompt before a question to be answered, and not in the finished conversation."""
    systems = [message["content"] for message in checked.messages if message["role"] == "system"]
    return any(content in checked.opening and content not in checked.rendered for content in systems)


def trained_prompt(encoder: Encoder, row: Prompted, encoded: Encoded) -> tuple[str, History]:
    """The prompt and its history as far as truncation left them in the encoded row."""
    if not encoded.dropped:
        return row.prompt, row.history
    return encoder.fit_prompt(row, new_tokens=encoded.n_loss)


def repeats(rows: Sequence[Prompted], key: Callable[[Prompted], Any]) -> list[tuple[Prompted, Prompted]]:
    """The rows whose key an earlier row has, each with the first such row."""
    firsts: dict[Any, Prompted] = {}
    return [(row, first) for row in rows if (first := firsts.setdefault(key(row), row)) is not row]


def folded(text: str) -> str:
    """A text with case and spaces folded, as rows are compared when they are split."""
    return " ".join(text.casefold().split())


def leaks_of(task: TaskRows) -> list[Mapping[str, Any]]:
    """The test rows that stand in training: {"test", "train"}, of near-duplicates also the similarity."""
    return [leak for leaks in task.card["leaks"].values() for leak in leaks]


def _leaks(where: str, task: TaskRows) -> Iterator[Finding]:
    if leaks := leaks_of(task):
        first = leaks[0]
        nearly = "nearly " if "similarity" in first else ""
        text = (
            f"{len(leaks)} of {len(task.test)} test rows; first {first['test']} {nearly}as {first['train']}"
        )
        origins = {leak["test"] for leak in leaks}
        yield _finding("leaks", where, text, rows=[row for row in task.test if str(row.origin) in origins])


def _repeated(where: str, task: TaskRows) -> Iterator[Finding]:
    count = task.card["repeated"].get("train", 0)
    if count > MANY * len(task.train):
        text = f"{count} of {len(task.train)} training rows"
        pairs = repeats(task.train, lambda row: (*_question(row), folded(row.completion)))
        yield _finding("repeated", where, text, rows=[row for row, _ in pairs])


def _constant(where: str, rows: Sequence[Prompted]) -> Iterator[Finding]:
    ((answer, count),) = Counter(folded(row.completion) for row in rows).most_common(1)
    if len(rows) >= MIN_ROWS and 2 * count > len(rows):
        text = f"{shorten(answer)} in {count} of {len(rows)} training rows"
        same = [row for row in rows if folded(row.completion) == answer]
        yield _finding("constant-answer", where, text, rows=same)


def _question(row: Prompted) -> tuple[History, str]:
    """What a row asks: its prompt and the turns before it; exemplars are no part of the question."""
    return (() if row.shots else row.history), folded(row.prompt)


def _conflicting(where: str, rows: Sequence[Prompted]) -> Iterator[Finding]:
    groups = [list(group) for _, group in groupby(sorted(rows, key=_question), key=_question)]
    conflicts = [group for group in groups if len({folded(row.completion) for row in group}) > 1]
    if conflicts:
        first, *rest = conflicts[0]
        other = next(row for row in rest if folded(row.completion) != folded(first.completion))
        conflicting = [row for group in conflicts for row in group]
        text = f"{len(conflicting)} of {len(rows)} training rows; first {first.id} and {other.id}"
        level = "warning" if len(conflicting) > MANY * len(rows) else "note"
        yield _finding("conflicting-answers", where, text, level=level, rows=conflicting)


def _meanings() -> dict[str, dict[str, Any]]:
    return yamltext.table("tutelage.inspection", "findings.yaml")


def _finding(kind: str, where: str, text: str, *, rows: Sequence[Prompted] = (), **changes: str) -> Finding:
    """A finding as the table describes it, with some of its fields changed."""
    names = tuple(row.id for row in rows[:MAX_NAMED])
    return Finding(kind=kind, where=where, found=text, rows=names, **{**_meanings()[kind], **changes})


def _normalized(text: str) -> str:
    """A text without what word tokenizers change: forms of characters (NFKC), and spaces."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _first_difference(a: Sequence[Any], b: Sequence[Any]) -> int:
    """The first index at which two sequences differ."""
    pairs = zip(a, b, strict=False)
    return next((index for index, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _around_difference(a: str, b: str) -> tuple[str, str]:
    """Both texts, quoted, around the place where they differ."""
    at = _first_difference(a, b)
    start = max(0, at - CONTEXT)
    return repr(a[start : at + CONTEXT]), repr(b[start : at + CONTEXT])
