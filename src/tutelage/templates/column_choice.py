"""Chooses the prompt and the completion column of a table: by their names, then by their order, then by what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tutelage.templates.column_contents import ColumnContent, same_classes
from tutelage.templates.column_roles import (
    CONTEXT_RANK,
    STRONG_RANK,
    TEXT_RANK,
    ColumnRole,
    column_role,
    name_stem,
    name_words,
    role_table,
)

Contents = Mapping[str, ColumnContent]
_UNLEARNABLE = ("empty", "constant", "running", "date", "identifier", "number", "tags", "nested", "json")


class ColumnChoice(NamedTuple):
    """The prompt and the completion column, what decided, and whether that is certain."""

    prompt: str
    completion: str
    basis: str
    is_certain: bool


@dataclass(frozen=True)
class Table:
    """A table's columns in order: what each holds, what its name says, and which may be learned.

    Attributes:
        contents: what each column holds.
        options: columns with answers to choose from, which are neither prompt nor completion.
    """

    contents: Contents
    options: tuple[str, ...] = ()

    @cached_property
    def roles(self) -> dict[str, ColumnRole]:
        """The columns' roles by their names; names that only say it together count where both hold texts."""
        roles = {name: column_role(name) for name in self.contents}
        column_by_words = {name_words(name): name for name in self.contents}
        for first, second in role_table()["pairs"]:
            pair = [column_by_words[words] for words in (first, second) if words in column_by_words]
            if len(pair) == 2 and all(
                self.kind(name) in ("text", "label", "number", "running") for name in pair
            ):
                roles[pair[0]], roles[pair[1]] = ColumnRole(prompt_rank=0), ColumnRole(completion_rank=0)
        for name, role in roles.items():
            words = name_words(name)
            if (
                role.is_ignored
                and self.kind(name) == "label"
                and column_role(words[-1]).completion_rank is not None
            ):
                roles[name] = ColumnRole()  # an email type may be the label, where nothing else is
            # 0 and 1 under `toxic` are labels; texts there would be what should not be said.
            if (
                role.is_ignored
                and self.kind(name) == "label"
                and name_words(name)[0] in role_table()["never"]
            ):
                roles[name] = ColumnRole(is_ignored=len(name_words(name)) > 1)
        return roles

    @cached_property
    def usable(self) -> list[str]:
        """The columns that may be prompt or completion."""
        return [
            name
            for name, role in self.roles.items()
            if not role.is_ignored and name not in self.options and self._may_be_learned(name)
        ]

    @cached_property
    def texts(self) -> list[str]:
        """Usable columns of texts."""
        return [name for name in self.usable if self.kind(name) == "text" and not self.roles[name].is_about]

    @cached_property
    def labels(self) -> list[str]:
        """Usable columns of few values whose names do not say that they ask, or say who, where or how much."""
        return [
            name
            for name in self.usable
            if self.kind(name) == "label"
            and not self.roles[name].is_about
            and self.roles[name].prompt_rank is None
        ]

    @cached_property
    def completions(self) -> list[str]:
        """The columns that are the completion by name, the best first; a plain name goes before a compound."""
        ranks = {
            name: (rank, len(name_words(name)) > 1)
            for name in self.usable
            if (rank := self.roles[name].completion_rank) is not None
        }
        fitting = {n: rank for n, rank in ranks.items() if rank[0] <= STRONG_RANK or self.kind(n) != "number"}
        return sorted(fitting or ranks, key=ranks.__getitem__)

    @cached_property
    def prompts(self) -> list[str]:
        """The columns that are the prompt by name, the best first."""
        ranks = {
            name: rank
            for name in self.usable
            if (rank := self.roles[name].prompt_rank) is not None
            and (rank <= STRONG_RANK or self.kind(name) == "text" or self.completions)
        }
        return sorted(ranks, key=ranks.__getitem__)

    def kind(self, name: str) -> str:
        """What a column holds, in one word."""
        return self.contents[name].kind

    def _may_be_learned(self, name: str) -> bool:
        """Whether a column's values may be prompt or completion; a name that says so allows numbers, dates and JSON."""
        role, kind = self.roles[name], self.kind(name)
        if kind in ("empty", "nested", "tags"):
            return False
        if role.completion_rank is not None and role.completion_rank <= STRONG_RANK:
            return kind != "constant"
        if role.prompt_rank is not None and role.prompt_rank <= STRONG_RANK:
            return kind != "json"
        return kind not in _UNLEARNABLE or (kind == "number" and role.completion_rank is not None)


def choose_columns(table: Table) -> ColumnChoice | None:
    """Choose prompt and completion; None if there are no two columns of which one may ask and one may answer."""
    choice = _choose(table)
    dates = [name for name in table.contents if table.kind(name) == "date"]
    if choice is None and table.texts and dates:
        return ColumnChoice(table.texts[0], dates[0], "the only other column holds dates", is_certain=False)
    return choice


def _choose(table: Table) -> ColumnChoice | None:
    if languages := _languages(table):
        basis = "by their order: the first language is translated into the second"
        return ColumnChoice(languages[0], languages[1], basis, is_certain=True)
    if table.completions:
        return _with_completion(table)
    if table.prompts:
        return _with_prompt(table, table.prompts[0])
    return _without_names(table)


def are_together(first: str, second: str) -> bool:
    """Whether two columns ask together, in this order: a premise and a hypothesis, a title and a text."""
    return any(
        _is_among(first, group[0]) and _is_among(second, group[1]) for group in role_table()["together"]
    )


def _languages(table: Table) -> list[str]:
    """The two columns of texts, if they are named by two languages and nothing else says what answers."""
    languages = {name: role_table()["languages"].intersection(name_words(name)) for name in table.texts}
    are_two = len(table.texts) == 2 and all(languages.values()) and len(set().union(*languages.values())) == 2
    return table.texts if are_two and not table.completions else []


def _with_completion(table: Table) -> ColumnChoice | None:
    completion, is_tie = _best_completion(table)
    candidates = [name for name in table.prompts if name != completion]
    if candidates:
        rank = table.roles[candidates[0]].prompt_rank
        best = [name for name in candidates if table.roles[name].prompt_rank == rank]
        if len(best) == 2 and are_together(best[1], best[0]):
            best.reverse()
        are_one = len({name_stem(name) for name in best}) == 1 or (len(best) == 2 and are_together(*best))
        return ColumnChoice(best[0], completion, "by the columns' names", are_one and not is_tie)
    others = [name for name in table.texts if name != completion]
    if others:
        are_one = len({name_stem(name) for name in others}) == 1
        return ColumnChoice(others[0], completion, "by the name of the answer", are_one and not is_tie)
    labels = [name for name in table.labels if name != completion]
    if (
        labels
        and table.kind(completion) == "text"
        and (table.roles[completion].completion_rank or 0) > STRONG_RANK
    ):
        label, is_tie = _one_label_column(table, labels)
        return ColumnChoice(
            completion, label, "by what they hold: texts, and few values that repeat", not is_tie
        )
    rest = [name for name in table.usable if name != completion]
    return ColumnChoice(rest[0], completion, "by the name of the answer", is_certain=False) if rest else None


def _best_completion(table: Table) -> tuple[str, bool]:
    """The completion, and whether another column may be it as well."""
    first = table.completions[0]
    rank, is_compound = table.roles[first].completion_rank, len(name_words(first)) > 1
    if rank is not None and rank <= STRONG_RANK:
        equals = [
            name
            for name in table.completions
            if table.roles[name].completion_rank == rank and (len(name_words(name)) > 1) == is_compound
        ]
        return first, len(equals) > 1
    labels = [name for name in table.completions if table.kind(name) == "label"]
    # Beside labels, a headline or a summary may be what is asked about.
    if labels and (not table.prompts or len(labels) == len(table.completions)):
        return _one_label_column(table, labels)
    return first, len(table.completions) > 1 or table.kind(first) == "number" or (
        rank != TEXT_RANK and bool(table.labels)
    )


def _one_label_column(table: Table, labels: Sequence[str]) -> tuple[str, bool]:
    """Of columns that name the same classes the one in words; whether another column has other classes."""
    first = table.contents[labels[0]]
    if any(not same_classes(first, table.contents[name]) for name in labels[1:]):
        return labels[0], True
    in_words = [name for name in labels if not any(value.isdigit() for value in table.contents[name].values)]
    return next(iter(in_words), labels[0]), False


def _with_prompt(table: Table, prompt: str) -> ColumnChoice | None:
    """A completion for a prompt that is known by its name: the only label, else the only other text."""
    rank = table.roles[prompt].prompt_rank or 0
    other_texts = [name for name in table.texts if name_stem(name) != name_stem(prompt)]
    free_texts = [name for name in other_texts if table.roles[name].prompt_rank is None]
    labels = [name for name in table.labels if name != prompt]
    if labels and not [name for name in free_texts if not are_together(name, prompt)]:
        completion, is_tie = _one_label_column(table, labels)
        return ColumnChoice(
            prompt, completion, "by the name of the prompt, and a column of few values", not is_tie
        )
    if rank <= STRONG_RANK and len(free_texts) == 1 and not labels:
        return ColumnChoice(prompt, free_texts[0], "by the name of the prompt", is_certain=True)
    position = {name: number for number, name in enumerate(table.contents)}
    rest = [
        name
        for name in dict.fromkeys((*free_texts, *labels, *other_texts, *table.usable))
        if name != prompt and table.roles[name].prompt_rank != CONTEXT_RANK
    ]
    later = [name for name in rest if position[name] > position[prompt]]
    if not rest:
        return None
    if rank > STRONG_RANK and not later:  # of a title and a body, either may be the answer
        return ColumnChoice(rest[0], prompt, "by their order", is_certain=False)
    return ColumnChoice(prompt, (later or rest)[0], "by their order", is_certain=False)


def _without_names(table: Table) -> ColumnChoice | None:
    texts, labels = table.texts, table.labels
    if len(texts) == 1 and len(labels) == 1:
        return ColumnChoice(
            texts[0], labels[0], "by what they hold: texts, and few values that repeat", is_certain=True
        )
    ranked = list(dict.fromkeys((*texts, *labels, *table.usable)))
    return ColumnChoice(ranked[0], ranked[1], "by their order", is_certain=False) if len(ranked) > 1 else None


def _is_among(name: str, words: set[str]) -> bool:
    parts = name_words(name)
    return bool(parts) and (" ".join(parts) in words or parts[-1] in words)
