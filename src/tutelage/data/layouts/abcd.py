"""Turns ABCD's customer-service dialogues (Chen et al., NAACL 2021) into conversations of the layout `messages`.

The agent is the assistant. What the agent's system did ("Account has been pulled up for ...") is read, in brackets, with the
customer's side, because the agent answers to it and does not say it. Turns in a row of one speaker are joined line by line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Json
from tutelage.data.layouts.conversations import messages
from tutelage.data.layouts.options import Fields, LayoutRow, ReadOptions
from tutelage.data.layouts.turns import turn_error

_TURNS = "original"
_SPEAKERS = {"agent": "assistant", "customer": "user", "action": "user"}
_UNREAD = ("scenario", "delexed")
COLUMNS = (_TURNS, *_UNREAD)
"""What the layout reads, or names as not read."""


def is_abcd(fields: Fields) -> bool:
    """Whether a row has ABCD's turns: `original`, a list of [speaker, words]."""
    turns = fields.get(_TURNS)
    return isinstance(turns, list) and any(
        isinstance(turn, list) and len(turn) == 2 and turn[0] in _SPEAKERS for turn in turns
    )


def abcd(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """One row for each of the agent's turns that answers something, with `flow` and `subflow` of the scenario as fields."""
    turns = fields.get(_TURNS)
    spoken = [
        _spoken(turn, index, where) for index, turn in enumerate(turns if isinstance(turns, list) else [])
    ]
    conversation: list[Json] = [
        {"role": role, "content": "\n".join(text for _, text in group)}
        for role, group in groupby(spoken, key=lambda turn: turn[0])
    ]
    unread = [name for name in _UNREAD if name in fields]
    if unread:
        options.note(f"dialogues have {' and '.join(unread)}, which are not part of the talk and not used")
    scenario = fields.get("scenario")
    topic: dict[str, Json] = (
        {name: scenario[name] for name in ("flow", "subflow") if name in scenario}
        if isinstance(scenario, dict)
        else {}
    )
    others = {name: value for name, value in fields.items() if name not in (_TURNS, *_UNREAD)}
    yield from messages({**others, **topic, "messages": conversation}, options, where)


def _spoken(turn: Json, index: int, where: str) -> tuple[str, str]:
    """The role and the words of a turn."""
    if not (isinstance(turn, list) and len(turn) == 2 and all(isinstance(part, str) for part in turn)):
        shown = shorten(str(turn)) if isinstance(turn, list) else json_kind(turn)
        raise turn_error(
            f"the field {_TURNS}[{index}] is no turn", where, shown, '["agent", "what was said"]'
        )
    speaker, text = str(turn[0]), str(turn[1])
    if speaker not in _SPEAKERS:
        raise turn_error(
            f"the field {_TURNS}[{index}] names no known speaker",
            where,
            shorten(speaker),
            ", ".join(_SPEAKERS),
        )
    return _SPEAKERS[speaker], f"[{text}]" if speaker == "action" else text
