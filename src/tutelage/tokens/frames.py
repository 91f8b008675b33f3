"""What a chat template and a tokenizer make of all conversations with the same roles: a frame with places for the contents.

The frame is found by rendering marks and encoding it once. Between two control tokens of the frame a tokenizer reads by
itself, whatever stands outside: so only the stretch around a content, from one control token to the next, has to be encoded
for each row. Each such frame is tried before it is used; what does not come out the same is encoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.tokens import chat_encoding, rendering

Ids = Sequence[int]
_PROBES = ("a", "Zwei 2\n\n", " \N{GRINNING FACE}é.  ")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a conversation that is encoded by itself.

    Attributes:
        pieces: the frame's texts before, between and after its contents; control tokens stand only at the two ends.
        left, right: the ids of these; None at an end of the conversation that has none, and where they are left off.
    """

    pieces: tuple[str, ...]
    left: int | None
    right: int | None

    def text(self, contents: Sequence[str]) -> str:
        """The stretch with its contents."""
        if len(self.pieces) == 2:
            return f"{self.pieces[0]}{contents[0]}{self.pieces[1]}"
        return rendering.woven(self.pieces, contents)

    def inner(self, ids: Ids, control: frozenset[int]) -> Ids | None:
        """The ids between its ends; None when a content spells a control token."""
        start, end = 0, len(ids)
        if self.left is not None:
            if not ids or ids[0] != self.left:
                return None
            start = 1
        if self.right is not None:
            if end <= start or ids[-1] != self.right:
                return None
            end -= 1
        inside = ids[start:end]
        return inside if control.isdisjoint(inside) else None


@dataclass(frozen=True, slots=True)
class Frame:
    """A conversation's fixed ids, and the stretches between them."""

    pieces: tuple[str, ...]
    fixed: tuple[tuple[int, ...], ...]
    stretches: tuple[Stretch, ...]

    def writes(self, text: str, contents: Sequence[str]) -> bool:
        """Whether a rendered conversation is this frame with these contents."""
        return text == rendering.woven(self.pieces, contents)

    def texts(self, contents: Sequence[str]) -> list[str]:
        """What is to be encoded."""
        if len(self.stretches) == len(contents):
            return [one.text((said,)) for one, said in zip(self.stretches, contents, strict=True)]
        found, at = [], 0
        for one in self.stretches:
            count = len(one.pieces) - 1
            found.append(one.text(contents[at : at + count]))
            at += count
        return found

    def ids(self, encoded: Sequence[Ids], control: frozenset[int]) -> list[int] | None:
        """The conversation's ids from those of its stretches; None when a content spells a control token."""
        ids = list(self.fixed[0])
        for stretch, found, fixed in zip(self.stretches, encoded, self.fixed[1:], strict=True):
            inner = stretch.inner(found, control)
            if inner is None:
                return None
            ids += inner
            ids += fixed
        return ids


def frame_of(tokenizer: Any, roles: Sequence[str], *, bare: bool) -> Frame | None:
    """The frame of a conversation whose turns have these roles and whose answer is to come; None where there is none.

    Args:
        tokenizer: its chat template makes the frame.
        roles: the prompt's last.
        bare: whether stretches may be encoded without the control tokens at their ends (`words.separable`).

    Raises:
        InputError: the chat template refuses such a conversation.
    """
    pieces = rendering.pieces(tokenizer, roles)
    if pieces is None:
        return None
    frame = _Bounds(tokenizer).frame(pieces, bare=bare)
    return frame if all(_same(tokenizer, frame, [probe] * len(roles)) for probe in _PROBES) else None


def _same(tokenizer: Any, frame: Frame, contents: list[str]) -> bool:
    """Whether the ids put together are those of the whole text."""
    whole = chat_encoding.encode_text(tokenizer, rendering.woven(frame.pieces, contents), control=True)
    parts = [chat_encoding.encode_text(tokenizer, text, control=True) for text in frame.texts(contents)]
    return frame.ids(parts, chat_encoding.control_ids(tokenizer)) == whole


class _Bounds:
    """The control tokens at which a text may be cut."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = {i: t for i, t in tokenizer.added_tokens_decoder.items() if t.content}
        control = chat_encoding.control_ids(tokenizer)
        # No cut at a token that is found in changed text or in words only, or that is a part of another one.
        self._ids = {
            token.content: i
            for i, token in added.items()
            if i in control
            and not token.normalized
            and not token.single_word
            and not any(token.content in other.content for other in added.values() if other is not token)
        }
        names = sorted((token.content for token in added.values()), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, names)) or "(?!)")

    def frame(self, pieces: Sequence[str], *, bare: bool) -> Frame:
        """Cut the frame at its first and its last control token before, between and after the contents."""
        fixed: list[tuple[int, ...]] = []
        stretches: list[Stretch] = []
        texts: list[str] = []
        left: int | None = None
        for place, piece in enumerate(pieces):
            found = [m for m in self._pattern.finditer(piece) if m.group() in self._ids]
            if not found:
                texts.append(piece)
                fixed += [()] if place == 0 else []
                continue
            first, last = found[0], found[-1]
            if place:
                right = None if bare else self._ids[first.group()]
                stretches.append(
                    Stretch((*texts, piece[: first.start() if bare else first.end()]), left, right)
                )
            ended = place == len(pieces) - 1
            between = piece[first.start() if place else 0 : None if ended else last.end()]
            fixed.append(tuple(chat_encoding.encode_text(self._tokenizer, between, control=True)))
            texts = [] if ended else [piece[last.end() if bare else last.start() :]]
            left = None if bare else self._ids[last.group()]
        if texts:
            stretches.append(Stretch(tuple(texts), left, None))
            fixed.append(())
        return Frame(tuple(pieces), tuple(fixed), tuple(stretches))
