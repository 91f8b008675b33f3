"""The known layouts by name, and the detection of a data set's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tutelage.core.suggestions import unknown_name
from tutelage.data.layouts import abcd, conversations, tasks
from tutelage.data.layouts.options import Fields, LayoutRow, ReadOptions


@dataclass(frozen=True, slots=True)
class Layout:
    """A common shape of published data sets' rows, and how to read it.

    Attributes:
        name: its name in recipes.
        fits: whether a raw row has this shape; layouts that are only ever asked for have none.
        read: the rows that a raw row gives; raises InputError for one that has not the shape after all.
        template: the library's template for what it makes; None where the columns say it.
        formats: the formats of files in which it is looked for; all when empty.
    """

    name: str
    read: Callable[[Fields, ReadOptions, str], Iterator[LayoutRow]]
    matches: Callable[[Fields], bool] = lambda _: False
    template: str | None = None
    formats: tuple[str, ...] = ()


def _read_plain(fields: Fields, _options: ReadOptions, _where: str) -> Iterator[LayoutRow]:
    yield LayoutRow(dict(fields))


PLAIN = Layout("plain", _read_plain)
_LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("messages", conversations.messages, conversations.is_messages, "prompt-completion"),
        Layout("sharegpt", conversations.sharegpt, conversations.is_sharegpt, "prompt-completion"),
        Layout("abcd", abcd.abcd, abcd.is_abcd, "prompt-completion"),
        Layout("super-ni", tasks.super_ni, tasks.is_super_ni, "super-ni"),
        Layout("self-instruct", tasks.self_instruct, tasks.is_self_instruct, "instruction-output"),
        Layout("flan-cot", tasks.flan_cot, tasks.is_flan_cot, "flan-cot", ("tsv",)),
        Layout("entities", tasks.entities, tasks.is_entities, "entities"),
        Layout("translation", tasks.translation, tasks.is_translation, "translation-pair"),
        Layout("classification", tasks.classification),
        PLAIN,
    )
}
NAMES = tuple(_LAYOUTS)


def get_layout(name: str) -> Layout:
    """A layout by its name. Raises InputError, with the nearest name, if there is none."""
    if name not in _LAYOUTS:
        raise unknown_name(
            "there is no such layout",
            name,
            NAMES,
            where="data.layout",
            fix="take one of these, or leave it out",
        )
    return _LAYOUTS[name]


def detect(rows: Sequence[Fields], options: ReadOptions, file_format: str) -> Layout:
    """The layout that the options name, else the one that more than half of the given rows match, else PLAIN."""
    if options.layout is not None:
        return get_layout(options.layout)
    if options.labels is not None:
        return get_layout("classification")
    fitting = (layout for layout in _LAYOUTS.values() if file_format in layout.formats or not layout.formats)
    return next((layout for layout in fitting if sum(map(layout.matches, rows)) * 2 > len(rows)), PLAIN)
