"""Tag sequences of entities (IOB, IOB2, IOBES) to the entities that they mark, read leniently or strictly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

Entity = tuple[str, int, int]
"""Type, first token, last token."""
_TAG = re.compile(r"O|[BIES](-.*)?", re.DOTALL)


def is_entity_tag(tag: str) -> bool:
    """Whether a tag is O, or B, I, E or S, alone or with a dash and a type: SCONJ is a part of speech, and no S of the type CONJ."""
    return _TAG.fullmatch(tag) is not None


def conlleval_entities(tags: Sequence[str]) -> list[Entity]:
    """The entities that the CoNLL-2000 script conlleval reads: (type, first token, last token)."""
    entities: list[Entity] = []
    start = 0
    for index, (closes, opens) in enumerate(map(transition, ["", *tags], [*tags, "O"])):
        if closes:
            entities.append((split_tag(tags[index - 1])[1], start, index - 1))
        if opens:
            start = index
    return entities


def strict_entities(tags: Sequence[str], prefixes: str) -> list[Entity]:
    """The entities that keep to a scheme: `prefixes` are its letters, with E and S for IOBES.

    Raises:
        ValueError: a tag has another prefix.
    """
    entities: list[Entity] = []
    needs_end = "E" in prefixes
    start: int | None = None
    last_prefix, entity_type = "O", ""
    for index, tag in enumerate([*tags, "O"]):
        prefix, tag_type = tag[0], tag[1:].strip("-") or "_"
        if prefix not in prefixes:
            raise ValueError(tag)
        inside = start is not None and last_prefix in "BI" and prefix in "IE" and tag_type == entity_type
        if start is not None and not inside:
            if not needs_end or last_prefix in "ES":
                entities.append((entity_type, start, index - 1))
            start = None
        if prefix in "BS" and not inside:
            start = index
        last_prefix, entity_type = prefix, tag_type
    return entities


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type. The type is what follows the first dash behind the prefix."""
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


@lru_cache(maxsize=65536)
def transition(previous: str, tag: str) -> tuple[bool, bool]:
    """Whether conlleval closes an entity before a tag, and opens one with it. `previous` is "" at the beginning."""
    last_prefix, last_type = split_tag(previous) if previous else ("O", "")
    prefix, tag_type = split_tag(tag)
    changed = last_type != tag_type
    # The script's last rule on either side: a change of type, at a tag that is neither O nor a full stop.
    closes = (
        last_prefix in "ES"
        or (last_prefix in "BI" and (prefix in "BSO" or changed))
        or (changed and last_prefix not in "O.")
    )
    opens = prefix in "BS" or (last_prefix in "ESO" and prefix in "EI") or (changed and prefix not in "O.")
    return closes, opens
