"""Turns OpenAI and ShareGPT conversations into one row for each assistant turn (or the last), with its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import nearest
from tutelage.core.types import Json
from tutelage.data.layouts.options import Fields, LayoutRow, ReadOptions

_TURN_FIELDS = ("messages", "conversations", "conversation")
_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}
_SHAREGPT_ROLES = {
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
FIX_TURN = "correct the turn, or leave the conversation out"


class _TurnFormat(NamedTuple):
    """The keys of a turn's role and content, and the roles by the names that turns give them."""

    role_key: str
    content_key: str
    roles: dict[str, str]


_OPENAI = _TurnFormat("role", "content", _ROLES)
_SHAREGPT = _TurnFormat("from", "value", _SHAREGPT_ROLES)


class _Message(NamedTuple):
    """One turn; `is_target` says whether its content is learned as a completion."""

    role: str
    content: str
    is_target: bool


def is_messages(fields: Fields) -> bool:
    """Whether a row is a conversation of {"role": ..., "content": ...}."""
    return any(_has_turns(turns, "role") for _, turns in _conversation_fields(fields))


def is_sharegpt(fields: Fields) -> bool:
    """Whether a row is a conversation of {"from": ..., "value": ...}."""
    return any(_has_turns(fields.get(name), "from") for name in _TURN_FIELDS)


def messages(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """One row for each assistant turn of an OpenAI conversation."""
    names, turns = _find_turns(fields, where, "role")
    prompt = fields.get("prompt")
    conversation = _read_messages(turns, names[0], where, _OPENAI)
    if names == ["prompt", "completion"] and isinstance(prompt, list):
        conversation = [
            message._replace(is_target=message.is_target and i >= len(prompt))
            for i, message in enumerate(conversation)
        ]
    yield from _exchanges(fields, names, conversation, options, where)


def sharegpt(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """One row for each assistant turn of a ShareGPT conversation; a field `system` is its system prompt."""
    names, turns = _find_turns(fields, where, "from")
    conversation = _read_messages(turns, names[0], where, _SHAREGPT)
    system = fields.get("system")
    if isinstance(system, str) and system.strip():
        conversation = [_Message("system", system, is_target=False), *conversation]
        names = [*names, "system"]
    yield from _exchanges(fields, names, conversation, options, where)


def _conversation_fields(fields: Fields) -> Iterator[tuple[list[str], Json]]:
    for name in _TURN_FIELDS:
        if name in fields:
            yield [name], fields[name]
    prompt, completion = fields.get("prompt"), fields.get("completion")
    if isinstance(prompt, list) and isinstance(completion, list):
        yield ["prompt", "completion"], [*prompt, *completion]


def _has_turns(turns: Json, key: str) -> bool:
    return isinstance(turns, list) and any(isinstance(turn, dict) and key in turn for turn in turns)


def _find_turns(fields: Fields, where: str, key: str) -> tuple[list[str], list[Json]]:
    for names, turns in _conversation_fields(fields):
        if _has_turns(turns, key) and isinstance(turns, list):
            return names, turns
    candidates = list(_conversation_fields(fields))
    finding = (
        f"{candidates[0][0][0]}: {json_kind(candidates[0][1])}"
        if candidates
        else "the fields " + ", ".join(fields)
    )
    content_key = "value" if key == "from" else "content"
    raise InputError(
        "the row holds no conversation",
        where=where,
        found=f"{finding}{' without turns' if candidates and candidates[0][1] == [] else ''}",
        expected=f'a list such as [{{"{key}": "...", "{content_key}": "..."}}, ...] in the field messages',
        fix="fill it, or leave the row out",
    )


def _read_messages(turns: Sequence[Json], name: str, where: str, turn_format: _TurnFormat) -> list[_Message]:
    messages: list[_Message] = []
    for index, turn in enumerate(turns):
        location = f"{name}[{index}]"
        if not isinstance(turn, dict):
            raise _turn_error(
                f"the field {location} is {json_kind(turn)}", where, shorten(str(turn), 40), "an object"
            )
        may_be_unsupported = len(turn) > 2 or turn_format.content_key not in turn
        unsupported = (
            next((key for key in _UNSUPPORTED if turn.get(key)), None) if may_be_unsupported else None
        )
        if unsupported is not None:
            raise _unsupported_error(_UNSUPPORTED[unsupported], f"{location}.{unsupported}", where)
        _require_turn_keys(turn, location, where, turn_format)
        role = _role(
            turn.get(turn_format.role_key), f"{location}.{turn_format.role_key}", where, turn_format.roles
        )
        content = _content(turn.get(turn_format.content_key), f"{location}.{turn_format.content_key}", where)
        weight = turn.get("weight", 1)
        if weight not in (0, 1):
            raise _turn_error(f"the field {location}.weight is no weight", where, str(weight), "0 or 1")
        if role == "system" and any(message.role != "system" for message in messages):
            raise _turn_error(
                f"the field {location} is a system prompt behind other turns",
                where,
                shorten(content, 40),
                "it first",
            )
        messages.append(_Message(role, content, is_target=role == "assistant" and weight == 1))
    return messages


def _require_turn_keys(turn: Fields, location: str, where: str, turn_format: _TurnFormat) -> None:
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


def _role(value: Json, location: str, where: str, roles: dict[str, str]) -> str:
    if isinstance(value, str) and value.strip().lower() in roles:
        return roles[value.strip().lower()]
    if isinstance(value, str) and value.lower() in _TOOL_ROLES:
        raise _unsupported_error("a tool's turn", f"{location}: {value}", where)
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
        parts: list[str] = []
        for index, part in enumerate(value):
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(part, dict) and part.get("type", "text") != "text":
                raise _unsupported_error(f"a part of type {part.get('type')}", f"{location}[{index}]", where)
            if not isinstance(text, str):
                raise _turn_error(
                    f"the field {location}[{index}] is no text",
                    where,
                    json_kind(text),
                    '{"type": "text", "text": "..."}',
                )
            parts.append(text)
        value = "".join(parts)
    if not isinstance(value, str):
        raise _turn_error(f"the field {location} is {json_kind(value)}", where, json_kind(value), "text")
    if not value.strip():
        raise _turn_error(f"the field {location} is empty", where, shorten(value), "what was said")
    return value


def _exchanges(
    fields: Fields, names: Sequence[str], conversation: Sequence[_Message], options: ReadOptions, where: str
) -> Iterator[LayoutRow]:
    for name in _TOOLS:
        if fields.get(name) not in (None, [], "", "[]"):
            raise _unsupported_error("tools that may be called", name, where)
    other_fields = {name: value for name, value in fields.items() if name not in names}
    other_fields["conversation"] = _conversation_key(conversation)
    exchanges: list[LayoutRow] = []
    earlier_turns: list[tuple[str, str]] = []
    last_role = "system"
    for index, (role, content, is_target) in enumerate(conversation):
        if role == "assistant":
            if last_role == "system":
                options.note("conversations begin with an assistant's turn, which is read and not learned")
            elif last_role == "assistant":
                raise _turn_error(
                    f"the field {names[0]}[{index}] is a second assistant's turn in a row",
                    where,
                    shorten(content, 40),
                    "a user's turn between them",
                )
            elif is_target:
                exchanges.append(_exchange_row(other_fields, earlier_turns, content, len(exchanges) + 1))
        earlier_turns.append((role, content))
        last_role = role
    if conversation and conversation[-1].role == "user":
        options.note("conversations end with a user's turn, which nobody answers")
    if not exchanges:
        raise _turn_error(
            f"the field {names[0]} has no assistant's turn to learn",
            where,
            ", ".join(message.role for message in conversation)[:80] or "no turns",
            "a user's turn and the assistant's answer to it",
        )
    yield from exchanges[-1:] if options.turns == "last" else exchanges


def _exchange_row(
    other_fields: Fields, earlier_turns: Sequence[tuple[str, str]], answer: str, part: int
) -> LayoutRow:
    history = tuple(earlier_turns[:-1])
    history_json: list[Json] = [{"role": role, "content": content} for role, content in history]
    fields = {**other_fields, "history": history_json, "prompt": earlier_turns[-1][1], "completion": answer}
    return LayoutRow(fields, part, history)


def _conversation_key(conversation: Sequence[_Message]) -> str:
    """A hash of the turns up to the first user's, with case and spaces folded: a split keeps rows with one key together."""
    roles = [message.role for message in conversation]
    opening = conversation[: roles.index("user") + 1] if "user" in roles else conversation
    turns = (f"{role}: {' '.join(content.casefold().split())}" for role, content, _ in opening)
    return hashing.of_bytes("\n".join(turns).encode("utf-8", "surrogatepass"))[:16]


def _unsupported_error(feature: str, location: str, where: str) -> InputError:
    return InputError(
        f"the conversation holds {feature}",
        where=where,
        found=location,
        expected="text alone",
        fix="leave the conversation out, or write what it says as text; on_bad_row: drop leaves all such rows out",
    )


def _turn_error(problem: str, where: str, found: str, expected: str) -> InputError:
    return InputError(problem, where=where, found=found, expected=expected, fix=FIX_TURN)
