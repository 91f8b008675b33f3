"""Turns OpenAI and ShareGPT conversations into one row for each assistant turn (or the last), with its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Json
from tutelage.data.layouts import meanings, turns
from tutelage.data.layouts.options import Fields, LayoutRow, ReadOptions
from tutelage.data.layouts.turns import FIX_TURN, Message, TurnFormat, read_messages, turn_error

_TURN_FIELDS = ("messages", "conversations", "conversation")


def is_messages(fields: Fields) -> bool:
    """Whether a row is a conversation of {"role": ..., "content": ...}."""
    return any(_has_turns(turn_list, "role") for _, turn_list in _conversation_fields(fields, "role"))


def is_sharegpt(fields: Fields) -> bool:
    """Whether a row is a conversation of {"from": ..., "value": ...}."""
    return any(_has_turns(fields.get(name), "from") for name in _TURN_FIELDS)


def messages(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """One row for each assistant turn of an OpenAI conversation; a column `system` is its system prompt."""
    yield from _conversation(fields, options, where, turns.OPENAI)


def sharegpt(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """One row for each assistant turn of a ShareGPT conversation; a column `system` is its system prompt."""
    yield from _conversation(fields, options, where, turns.SHAREGPT)


def _conversation(
    fields: Fields, options: ReadOptions, where: str, turn_format: TurnFormat
) -> Iterator[LayoutRow]:
    names, turn_list = _find_turns(fields, where, turn_format)
    conversation = read_messages(turn_list, _locations(fields, names, turn_list), where, turn_format, options)
    if "completion" in names:
        conversation = [
            message._replace(is_target=message.is_target and not message.location.startswith("prompt"))
            for message in conversation
        ]
    system, weight = _beside(fields, names, where)
    if weight == 0:
        options.note("conversations have the weight 0, and are no rows")
        return
    names = [*names, *(name for name, _ in system)]
    first = [Message("system", text, is_target=False, location=name) for name, text in system]
    repeats = [message.content for message in conversation if message.role == "system"]
    conversation = [*(message for message in first if message.content not in repeats), *conversation]
    yield from _exchanges(fields, names, conversation, options, where)


def _locations(fields: Fields, names: Sequence[str], turn_list: Sequence[Json]) -> list[str]:
    """Where each turn stands in its row."""
    if len(names) == 1:
        return [f"{names[0]}[{index}]" for index in range(len(turn_list))]
    sizes = [len(side) if isinstance(side := fields[name], list) else 1 for name in names]
    return [f"{name}[{index}]" for name, size in zip(names, sizes, strict=True) for index in range(size)]


def _beside(fields: Fields, names: Sequence[str], where: str) -> tuple[list[tuple[str, str]], int]:
    """The system prompts that stand beside the turns, each with its column, and the conversation's weight.

    Raises:
        InputError: a column holds what the turns do not say, or no weight.
    """
    system: list[tuple[str, str]] = []
    weight = 1
    for name, value in fields.items():
        meaning = None if name in names else meanings.meaning_of("conversation", name)
        if meaning is None:
            continue
        if meaning.use == "weight":
            weight = min(weight, meanings.weight_of(value, name, where))
        elif meanings.says_something(value):
            if meaning.use == "system" and isinstance(value, str):
                system.append((name, value))
                continue
            leave_out = f"write into data  columns: [{', '.join(names)}]  to leave the column {name} out; on_bad_row: drop leaves out all rows that fill it"
            fix = f"{meaning.fix.format(key=name)}; or {leave_out}" if meaning.fix else leave_out
            holds = meaning.holds or "a system prompt that is no text"
            raise turns.unsupported_error(f"{holds}, in a column", name, where, fix)
    return system, weight


def _conversation_fields(fields: Fields, role_key: str) -> Iterator[tuple[list[str], Json]]:
    """The columns that may hold a conversation, with its turns; a prompt or a completion that is text is one turn."""
    for name in _TURN_FIELDS:
        if name in fields:
            yield [name], fields[name]
    sides = {"user": fields.get("prompt"), "assistant": fields.get("completion")}
    are_turns = [_has_turns(side, "role") for side in sides.values()]
    both_lists = all(isinstance(side, list) for side in sides.values())
    one_text = any(are_turns) and all(
        isinstance(side, str) or has_turns for side, has_turns in zip(sides.values(), are_turns, strict=True)
    )
    if role_key == "role" and (both_lists or one_text):
        turn_list: list[Json] = []
        for role, side in sides.items():
            turn_list += side if isinstance(side, list) else [{"role": role, "content": side}]
        yield ["prompt", "completion"], turn_list


def _has_turns(value: Json, key: str) -> bool:
    return isinstance(value, list) and any(isinstance(turn, dict) and key in turn for turn in value)


def _find_turns(fields: Fields, where: str, turn_format: TurnFormat) -> tuple[list[str], list[Json]]:
    key = turn_format.role_key
    for names, turn_list in _conversation_fields(fields, key):
        if _has_turns(turn_list, key) and isinstance(turn_list, list):
            return names, turn_list
    candidates = list(_conversation_fields(fields, key))
    finding = (
        f"{candidates[0][0][0]}: {json_kind(candidates[0][1])}"
        if candidates
        else "the fields " + ", ".join(fields)
    )
    raise InputError(
        "the row holds no conversation",
        where=where,
        found=f"{finding}{' without turns' if candidates and candidates[0][1] == [] else ''}",
        expected=f'a list such as [{{"{key}": "...", "{turn_format.content_key}": "..."}}, ...] in the field messages',
        fix="fill it, or leave the row out",
    )


def _exchanges(
    fields: Fields, names: Sequence[str], conversation: Sequence[Message], options: ReadOptions, where: str
) -> Iterator[LayoutRow]:
    other_fields = {name: value for name, value in fields.items() if name not in names}
    other_fields["conversation"] = _conversation_key(conversation)
    exchanges: list[LayoutRow] = []
    earlier_turns: list[tuple[str, str]] = []
    last_role = "system"
    for role, content, is_target, location in conversation:
        if role == "assistant":
            if last_role == "system":
                options.note("conversations begin with an assistant's turn, which is read and not learned")
            elif last_role == "assistant":
                raise turn_error(
                    f"the field {location} is a second assistant's turn in a row",
                    where,
                    shorten(content, 40),
                    "a user's turn between them",
                    "write into data  join_turns: true  to join turns of one speaker in a row by a blank line",
                )
            elif is_target:
                exchanges.append(_exchange_row(other_fields, earlier_turns, content, len(exchanges) + 1))
        earlier_turns.append((role, content))
        last_role = role
    if conversation and conversation[-1].role == "user":
        options.note("conversations end with a user's turn, which nobody answers")
    answers_user = any(pair == ("user", "assistant") for pair in pairwise(m.role for m in conversation))
    if not exchanges and answers_user:
        options.note("conversations have no turn with a weight other than 0, and are no rows")
    elif not exchanges:
        roles = [message.role for message in conversation]
        answers_system = roles[-1:] == ["assistant"] and "user" not in roles and "system" in roles
        raise turn_error(
            f"the field {names[0]} has no assistant's turn to learn",
            where,
            ", ".join(roles)[:80] or "no turns",
            "a user's turn and the assistant's answer to it",
            "write what is answered as a user's turn, not as the system prompt"
            if answers_system
            else FIX_TURN,
        )
    yield from exchanges[-1:] if options.turns == "last" else exchanges


def _exchange_row(
    other_fields: Fields, earlier_turns: Sequence[tuple[str, str]], answer: str, part: int
) -> LayoutRow:
    history = tuple(earlier_turns[:-1])
    history_json: list[Json] = [{"role": role, "content": content} for role, content in history]
    fields = {**other_fields, "history": history_json, "prompt": earlier_turns[-1][1], "completion": answer}
    return LayoutRow(fields, part, history)


def _conversation_key(conversation: Sequence[Message]) -> str:
    """A hash of the turns up to the first user's, with case and spaces folded: a split keeps rows with one key together."""
    roles = [message.role for message in conversation]
    opening = conversation[: roles.index("user") + 1] if "user" in roles else conversation
    lines = (f"{role}: {' '.join(content.casefold().split())}" for role, content, *_ in opening)
    return hashing.of_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))[:16]
