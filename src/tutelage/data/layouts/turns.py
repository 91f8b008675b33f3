"""Reads the turns of a conversation: who speaks, what is said, and whether it is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import nearest
from tutelage.core.types import Json
from tutelage.data.layouts import meanings
from tutelage.data.layouts.options import Fields, ReadOptions

FIX_TURN = "correct the turn, or leave the conversation out"
_FIX_UNSUPPORTED = (
    "leave the conversation out, or write what it says as text; on_bad_row: drop leaves all such rows out"
)
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_SHAREGPT_ROLES = {
    **_ROLES,
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
}
_TOOL_ROLES = ("tool", "function", "function_call", "observation", "ipython", "tool_call", "tool_response")


class TurnFormat(NamedTuple):
    """The keys of a turn's role and content, and the roles by the names that turns give them."""

    role_key: str
    content_key: str
    roles: dict[str, str]


OPENAI = TurnFormat("role", "content", _ROLES)
SHAREGPT = TurnFormat("from", "value", _SHAREGPT_ROLES)


class Message(NamedTuple):
    """One turn: `is_target` says whether its content is learned as a completion, `location` where it stands in its row."""

    role: str
    content: str
    is_target: bool
    location: str


def read_messages(
    turns: Sequence[Json], names: Sequence[str], where: str, turn_format: TurnFormat, options: ReadOptions
) -> list[Message]:
    """The turns of a conversation; a system turn without text is none.

    Args:
        turns: as the row has them.
        names: each turn's place in the row, for errors.
        where: the row's file and line, for errors.
        turn_format: the keys of a turn.
        options: takes a note on keys that are not used, and says whether turns of one speaker in a row are joined.

    Raises:
        InputError: a turn cannot be read, or holds what would be lost.
    """
    messages: list[Message] = []
    for turn, location in zip(turns, names, strict=True):
        if not isinstance(turn, dict):
            raise turn_error(
                f"the field {location} is {json_kind(turn)}", where, shorten(str(turn), 40), "an object"
            )
        has_other_keys = len(turn) > 2 or turn_format.content_key not in turn
        weight = _weight(turn, location, where, turn_format, options) if has_other_keys else 1
        _require_turn_keys(turn, location, where, turn_format)
        role = _role(turn[turn_format.role_key], f"{location}.{turn_format.role_key}", where, turn_format)
        value = turn[turn_format.content_key]
        if role == "system" and not meanings.says_something(value):
            continue
        content = _content(value, f"{location}.{turn_format.content_key}", where)
        if role == "system" and any(message.role != "system" for message in messages):
            raise turn_error(
                f"the field {location} is a system prompt behind other turns",
                where,
                shorten(content, 40),
                "it first",
            )
        messages.append(Message(role, content, role == "assistant" and weight == 1, location))
    return _joined(messages, where) if options.join_turns else messages


def _weight(turn: Fields, location: str, where: str, turn_format: TurnFormat, options: ReadOptions) -> int:
    """The turn's weight; keys that change what is said are refused, others noted."""
    weight = 1
    for key, value in turn.items():
        if key in (turn_format.role_key, turn_format.content_key):
            continue
        meaning = meanings.meaning_of("turn", key)
        if meaning is None:
            if meanings.says_something(value):
                options.note(f"turns have the key {shorten(key)[1:-1]}, which is not used")
        elif meaning.use == "weight":
            weight = min(weight, meanings.weight_of(value, f"{location}.{key}", where))
        elif meanings.says_something(value):
            fix = meaning.fix.format(key=key, content=turn_format.content_key)
            raise unsupported_error(meaning.holds, f"{location}.{key}", where, fix)
    return weight


def _require_turn_keys(turn: Fields, location: str, where: str, turn_format: TurnFormat) -> None:
    """Raise if a turn lacks the key of its role or content; a key with null is reported elsewhere."""
    for key in (turn_format.role_key, turn_format.content_key):
        if key not in turn:
            raise InputError(
                f"the field {location}.{key} is not there",
                where=where,
                found="the fields " + ", ".join(turn) if turn else "no fields",
                expected=f'{{"{turn_format.role_key}": "...", "{turn_format.content_key}": "..."}}',
                fix="give every turn these two keys; role goes with content, from with value",
            )


def _role(value: Json, location: str, where: str, turn_format: TurnFormat) -> str:
    roles = turn_format.roles
    if isinstance(value, str) and value.strip().lower() in roles:
        return roles[value.strip().lower()]
    if isinstance(value, str) and value.lower() in _TOOL_ROLES:
        raise unsupported_error("a tool's turn", f"{location}: {value}", where)
    suggestion = nearest(value, list(roles)) if isinstance(value, str) else None
    raise InputError(
        f"the field {location} names no known speaker",
        where=where,
        found=shorten(value) if isinstance(value, str) else json_kind(value),
        expected=", ".join(roles),
        fix=f"did you mean {suggestion}?" if suggestion else FIX_TURN,
    )


def _content(value: Json, location: str, where: str) -> str:
    if isinstance(value, list):
        value = "".join(_parts(value, location, where))
    if not isinstance(value, str):
        raise turn_error(f"the field {location} is {json_kind(value)}", where, json_kind(value), "text")
    if not value.strip():
        raise turn_error(f"the field {location} is empty", where, shorten(value), "what was said")
    return value


def _parts(parts: Sequence[Json], location: str, where: str) -> Iterator[str]:
    """The texts of a content that is a list of parts."""
    for index, part in enumerate(parts):
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(part, dict) and part.get("type", "text") != "text":
            raise unsupported_error(f"a part of type {part.get('type')}", f"{location}[{index}]", where)
        if not isinstance(text, str):
            raise turn_error(
                f"the field {location}[{index}] is no text",
                where,
                json_kind(text),
                '{"type": "text", "text": "..."}',
            )
        yield text


def _joined(messages: Sequence[Message], where: str) -> list[Message]:
    """The turns with those of one speaker in a row joined by a blank line.

    Raises:
        InputError: one of two answers in a row is learned and the other is not.
    """
    joined: list[Message] = []
    for message in messages:
        if not joined or joined[-1].role != message.role:
            joined.append(message)
            continue
        last = joined[-1]
        if last.is_target != message.is_target:
            raise turn_error(
                f"the fields {last.location} and {message.location} are joined, and one of them is not learned",
                where,
                f"weights {int(last.is_target)} and {int(message.is_target)}",
                "one weight",
            )
        joined[-1] = last._replace(content=f"{last.content}\n\n{message.content}")
    return joined


def unsupported_error(holds: str, location: str, where: str, fix: str = "") -> InputError:
    """The error for a conversation that holds more than text."""
    return InputError(
        f"the conversation holds {holds}",
        where=where,
        found=location,
        expected="text alone",
        fix=fix or _FIX_UNSUPPORTED,
    )


def turn_error(problem: str, where: str, found: str, expected: str, fix: str = FIX_TURN) -> InputError:
    """The error for a turn that is not as it should be."""
    return InputError(problem, where=where, found=found, expected=expected, fix=fix)
