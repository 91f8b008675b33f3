"""Conversations: OpenAI's messages and ShareGPT's, to one row for each assistant turn (or the last), with its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tutelage.core import hashing
from tutelage.core.errors import InputError, nearest
from tutelage.core.strictjson import kind, shorten
from tutelage.core.types import Json
from tutelage.data.layouts.options import Fields, LayoutRow, ReadOptions

_LISTS = ("messages", "conversations", "conversation")
_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}
_SPEAKERS = {
    **_ROLES,
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
}
_UNSUPPORTED = {
    "tool_calls": "tool calls",
    "function_call": "a function call",
    "tool_call_id": "a tool's answer",
    "audio": "audio",
    "image": "an image",
    "images": "images",
    "video": "video",
}
_TOOL_ROLES = ("tool", "function", "function_call", "observation", "ipython", "tool_call", "tool_response")
_TOOLS = ("tools", "functions")
_SPACES = bytes.maketrans(b"\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f", b" " * 9)
_LEADS_OF_SPACES = (b"\xc2", b"\xe1", b"\xe2", b"\xe3")
"""First bytes, in UTF-8, of the spaces that are not ASCII, and of much else."""
FIX_TURN = "correct the turn, or leave the conversation out"


class _Shape(NamedTuple):
    """How turns are written: the keys of speaker and words, and the speakers."""

    who: str
    what: str
    roles: dict[str, str]


_OPENAI = _Shape("role", "content", _ROLES)
_SHAREGPT = _Shape("from", "value", _SPEAKERS)


class _Message(NamedTuple):
    role: str
    content: str
    taught: bool


def is_messages(fields: Fields) -> bool:
    """Whether a row is a conversation of {"role": ..., "content": ...}."""
    return any(_speaks(turns, "role") for _, turns in _candidates(fields))


def is_sharegpt(fields: Fields) -> bool:
    """Whether a row is a conversation of {"from": ..., "value": ...}."""
    return any(_speaks(fields.get(name), "from") for name in _LISTS)


def messages(fields: Fields, how: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """The rows of an OpenAI conversation."""
    names, turns = _turns(fields, where, "role")
    prompt = fields.get("prompt")
    start = len(prompt) if names == ["prompt", "completion"] and isinstance(prompt, list) else 0
    said = _read(turns, names[0], where, _OPENAI)
    if start:
        said = [message._replace(taught=message.taught and i >= start) for i, message in enumerate(said)]
    yield from _rows(fields, names, said, how, where)


def sharegpt(fields: Fields, how: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """The rows of a ShareGPT conversation; a field `system` beside it is its system prompt."""
    names, turns = _turns(fields, where, "from")
    told = _read(turns, names[0], where, _SHAREGPT)
    system = fields.get("system")
    if isinstance(system, str) and system.strip():
        told = [_Message("system", system, taught=False), *told]
        names = [*names, "system"]
    yield from _rows(fields, names, told, how, where)


def _candidates(fields: Fields) -> Iterator[tuple[list[str], Json]]:
    for name in _LISTS:
        if name in fields:
            yield [name], fields[name]
    prompt, completion = fields.get("prompt"), fields.get("completion")
    if isinstance(prompt, list) and isinstance(completion, list):
        yield ["prompt", "completion"], [*prompt, *completion]


def _speaks(turns: Json, key: str) -> bool:
    return isinstance(turns, list) and any(isinstance(turn, dict) and key in turn for turn in turns)


def _turns(fields: Fields, where: str, key: str) -> tuple[list[str], list[Json]]:
    for names, turns in _candidates(fields):
        if _speaks(turns, key) and isinstance(turns, list):
            return names, turns
    found = list(_candidates(fields))
    held = f"{found[0][0][0]}: {kind(found[0][1])}" if found else "the fields " + ", ".join(fields)
    other = "value" if key == "from" else "content"
    raise InputError(
        "the row holds no conversation",
        where=where,
        found=f"{held}{' without turns' if found and found[0][1] == [] else ''}",
        expected=f'a list such as [{{"{key}": "...", "{other}": "..."}}, ...] in the field messages',
        fix="fill it, or leave the row out",
    )


def _read(turns: Sequence[Json], name: str, where: str, shape: _Shape) -> list[_Message]:
    found: list[_Message] = []
    for index, turn in enumerate(turns):
        if (usual := _usual(turn, shape)) is not None and (index == 0 or usual.role != "system"):
            found.append(usual)
            continue
        place = f"{name}[{index}]"
        if not isinstance(turn, dict):
            raise _wrong(f"the field {place} is {kind(turn)}", where, shorten(str(turn), 40), "an object")
        more = len(turn) > 2 or shape.what not in turn
        held = next((key for key in _UNSUPPORTED if turn.get(key)), None) if more else None
        if held is not None:
            raise _unsupported(_UNSUPPORTED[held], f"{place}.{held}", where)
        _require_parts(turn, place, where, shape)
        role = _role(turn.get(shape.who), f"{place}.{shape.who}", where, shape.roles)
        content = _content(turn.get(shape.what), f"{place}.{shape.what}", where)
        weight = turn.get("weight", 1)
        if weight not in (0, 1):
            raise _wrong(f"the field {place}.weight is no weight", where, str(weight), "0 or 1")
        if role == "system" and any(message.role != "system" for message in found):
            raise _wrong(
                f"the field {place} is a system prompt behind other turns",
                where,
                shorten(content, 40),
                "it first",
            )
        found.append(_Message(role, content, taught=role == "assistant" and weight == 1))
    return found


def _require_parts(turn: Fields, place: str, where: str, shape: _Shape) -> None:
    """Raise when a turn has no key for its speaker or its text; a key that is there with null is another mistake."""
    for key in (shape.who, shape.what):
        if key not in turn:
            raise InputError(
                f"the field {place}.{key} is not there",
                where=where,
                found="the fields " + ", ".join(turn) if turn else "no fields",
                expected=f'{{"{shape.who}": "...", "{shape.what}": "..."}}',
                fix="give every turn these two keys; role goes with content, from with value",
            )


def _usual(turn: Json, shape: _Shape) -> _Message | None:
    """A turn of a known speaker and a text, as nearly all are; None for one that has to be looked at."""
    if type(turn) is not dict or len(turn) != 2:
        return None
    who, content = turn.get(shape.who), turn.get(shape.what)
    role = shape.roles.get(who) if type(who) is str else None
    if role is None or type(content) is not str or not content or content.isspace():
        return None
    return _Message(role, content, role == "assistant")


def _role(value: Json, place: str, where: str, roles: dict[str, str]) -> str:
    if isinstance(value, str) and value.strip().lower() in roles:
        return roles[value.strip().lower()]
    if isinstance(value, str) and value.lower() in _TOOL_ROLES:
        raise _unsupported("a tool's turn", f"{place}: {value}", where)
    close = nearest(value, list(roles)) if isinstance(value, str) else None
    raise InputError(
        f"the field {place} names no speaker that is known",
        where=where,
        found=shorten(value) if isinstance(value, str) else kind(value),
        expected=", ".join(roles),
        fix=f"did you mean {close}?" if close else FIX_TURN,
    )


def _content(value: Json, place: str, where: str) -> str:
    if isinstance(value, list):
        parts: list[str] = []
        for index, part in enumerate(value):
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(part, dict) and part.get("type", "text") != "text":
                raise _unsupported(f"a part of type {part.get('type')}", f"{place}[{index}]", where)
            if not isinstance(text, str):
                raise _wrong(
                    f"the field {place}[{index}] is no text",
                    where,
                    kind(text),
                    '{"type": "text", "text": "..."}',
                )
            parts.append(text)
        value = "".join(parts)
    if not isinstance(value, str):
        raise _wrong(f"the field {place} is {kind(value)}", where, kind(value), "text")
    if not value.strip():
        raise _wrong(f"the field {place} is empty", where, shorten(value), "what was said")
    return value


def _rows(
    fields: Fields, names: Sequence[str], told: Sequence[_Message], how: ReadOptions, where: str
) -> Iterator[LayoutRow]:
    for name in _TOOLS:
        if fields.get(name) not in (None, [], "", "[]"):
            raise _unsupported("tools that may be called", name, where)
    rest = {name: value for name, value in fields.items() if name not in names}
    rest["conversation"] = _opening(told)
    made: list[LayoutRow] = []
    before: list[tuple[str, str]] = []
    last = "system"
    for index, (role, content, taught) in enumerate(told):
        if role == "assistant":
            if last == "system":
                how.note("conversations begin with an assistant's turn, which is read and not learned")
            elif last == "assistant":
                raise _wrong(
                    f"the field {names[0]}[{index}] is a second assistant's turn in a row",
                    where,
                    shorten(content, 40),
                    "a user's turn between them",
                )
            elif taught:
                made.append(_exchange(rest, before, content, len(made) + 1))
        before.append((role, content))
        last = role
    if told and told[-1].role == "user":
        how.note("conversations end with a user's turn, which nobody answers")
    if not made:
        raise _wrong(
            f"the field {names[0]} has no assistant's turn to learn",
            where,
            ", ".join(message.role for message in told)[:80] or "no turns",
            "a user's turn and the assistant's answer to it",
        )
    yield from made[-1:] if how.turns == "last" else made


def _exchange(rest: Fields, before: Sequence[tuple[str, str]], answer: str, part: int) -> LayoutRow:
    history = tuple(before[:-1])
    said: list[Json] = [{"role": role, "content": content} for role, content in history]
    own = {**rest, "history": said, "prompt": before[-1][1], "completion": answer}
    return LayoutRow(own, part, history)


def _opening(told: Sequence[_Message]) -> str:
    """A name for all conversations that begin alike up to the first user's turn: they stay together in a split."""
    said: list[bytes] = []
    for role, content, _ in told:
        said.append(role.encode() + b": " + _squeezed(content))
        if role == "user":
            break
    return hashing.of_bytes(b"\n".join(said))[:16]


def _squeezed(text: str) -> bytes:
    """A text in UTF-8, casefolded, without spaces at its ends and with one space for every run of them."""
    folded = text.casefold()
    raw = folded.encode("utf-8", "surrogatepass")
    if not raw.isascii() and any(lead in raw for lead in _LEADS_OF_SPACES):
        return " ".join(folded.split()).encode("utf-8", "surrogatepass")
    # The same, several times as fast: nearly all of the work is done before anyone trains, for every conversation.
    raw = raw.translate(_SPACES)
    while b"  " in raw:
        raw = raw.replace(b"  ", b" ")
    return raw.strip(b" ")


def _unsupported(what: str, place: str, where: str) -> InputError:
    return InputError(
        f"the conversation holds {what}",
        where=where,
        found=place,
        expected="text alone",
        fix="leave the conversation out, or write what it says as text; on_bad_row: drop leaves all such rows out",
    )


def _wrong(problem: str, where: str, found: str, expected: str) -> InputError:
    return InputError(problem, where=where, found=found, expected=expected, fix=FIX_TURN)
