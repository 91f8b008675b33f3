"""The known layouts by name, and the detection of a data set's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tutelage.core.suggestions import unknown_name
from tutelage.data.layouts import abcd, conversations, tasks
from tutelage.data.layouts.meanings import meaning_of
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
        columns: the columns that it reads itself, in lower case.
    """

    name: str
    read: Callable[[Fields, ReadOptions, str], Iterator[LayoutRow]]
    matches: Callable[[Fields], bool] = lambda _: False
    template: str | None = None
    formats: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def reads(self, column: str) -> bool:
        """Whether the layout reads a column itself, and a template need not."""
        place = meaning_of("conversation", column) if self.name in CONVERSATIONS else None
        return column.lower() in self.columns or place is not None


def _read_plain(fields: Fields, _options: ReadOptions, _where: str) -> Iterator[LayoutRow]:
    yield LayoutRow(dict(fields))


CONVERSATIONS = ("messages", "sharegpt", "abcd")
"""The layouts whose rows are turns, with the turns before them as their history."""
_TURNS = ("messages", "conversations", "conversation", "prompt", "completion")
PLAIN = Layout("plain", _read_plain)
_LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "messages", conversations.messages, conversations.is_messages, "prompt-completion", columns=_TURNS
        ),
        Layout(
            "sharegpt", conversations.sharegpt, conversations.is_sharegpt, "prompt-completion", columns=_TURNS
        ),
        Layout("abcd", abcd.abcd, abcd.is_abcd, "prompt-completion", columns=abcd.COLUMNS),
        Layout(
            "super-ni",
            tasks.super_ni,
            tasks.is_super_ni,
            "super-ni",
            columns=("definition", "input", "output", "id", "categories"),
        ),
        Layout(
            "self-instruct",
            tasks.self_instruct,
            tasks.is_self_instruct,
            "instruction-output",
            columns=("instances",),
        ),
        Layout("flan-cot", tasks.flan_cot, tasks.is_flan_cot, "flan-cot", ("tsv",), tasks.CHAIN_FIELDS),
        Layout(
            "entities", tasks.entities, tasks.is_entities, "entities", columns=("tokens", "tags", "ner_tags")
        ),
        Layout(
            "translation",
            tasks.translation,
            tasks.is_translation,
            "translation-pair",
            columns=("translation", *tasks.languages()),
        ),
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
