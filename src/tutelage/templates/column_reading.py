"""Decides which columns of a table are the prompt and which one is the completion: by names, then order, then what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tutelage.data.layouts.meanings import meaning_of
from tutelage.templates.column_choice import Contents, Table, are_together, choose_columns
from tutelage.templates.column_contents import ColumnContent
from tutelage.templates.column_roles import (
    CONTEXT_RANK,
    STRONG_RANK,
    name_stem,
    name_words,
    role_table,
)
from tutelage.templates.sandbox import reference

_BRACES = str.maketrans("{}", "()")
_OPTION_WORDS = (("option",), ("choice",), ("ending",), ("opt",))


@dataclass(frozen=True, slots=True)
class ColumnReading:
    """Which columns are prompt and completion.

    Attributes:
        prompt: the column that asks.
        completion: the column that answers.
        basis: what decided, in a few words.
        is_certain: whether that is enough to write a recipe without a question.
        before, after: further columns of the prompt, before and behind the one that asks.
        options: columns with answers to choose from, in order.
        maybe_empty: columns of the prompt that some rows leave empty.
        rejected: columns with rejected answers, which are not learned.
        other: another possible pair of prompt and completion, where the reading is not certain.
    """

    prompt: str
    completion: str
    basis: str
    is_certain: bool
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    maybe_empty: frozenset[str] = frozenset()
    rejected: tuple[str, ...] = ()
    other: tuple[str, str] | None = None

    @property
    def note(self) -> str:
        """How the columns were chosen, in one line."""
        basis = self.basis if self.is_certain else f"a guess: check which column is which; {self.basis}"
        return basis + (f"; left out: {', '.join(self.rejected)}" if self.rejected else "")

    @property
    def prompt_columns(self) -> tuple[str, ...]:
        """All columns of the prompt, in its order."""
        return (*self.before, self.prompt, *self.after, *self.options)

    @property
    def languages(self) -> tuple[str, str] | None:
        """The languages after which prompt and completion are named, of a translation."""
        names = role_table()["languages"]
        pair = [
            next((word for word in name_words(column) if word in names), None)
            for column in (self.prompt, self.completion)
        ]
        return None if pair[0] is None or pair[1] is None else (pair[0].capitalize(), pair[1].capitalize())

    @property
    def is_summary(self) -> bool:
        """Whether the completion is named as a summary."""
        return not role_table()["summaries"].isdisjoint(name_words(self.completion))

    def prompt_template(self) -> str:
        """The Jinja template of the prompt: its columns as paragraphs, siblings with their names, options with letters."""
        is_named = name_words(self.prompt) == ("premise",) or any(map(self._is_sibling, self.after))
        before = "".join(self._unless_empty(name, f"{reference(name)}\n\n") for name in self.before)
        after = "".join(
            self._unless_empty(name, f"\n{_named(name)}" if is_named else f"\n\n{reference(name)}")
            for name in self.after
        )
        options = "".join(f"\n{_option_mark(name)}. {reference(name)}" for name in self.options)
        return before + (_named(self.prompt) if is_named else reference(self.prompt)) + after + options

    def _is_sibling(self, name: str) -> bool:
        return name_stem(name) == name_stem(self.prompt)

    def _unless_empty(self, name: str, text: str) -> str:
        return f"{{% if {reference(name)[3:-3]} %}}{text}{{% endif %}}" if name in self.maybe_empty else text


def _named(name: str) -> str:
    """A column's placeholder behind its name."""
    return f"{name.translate(_BRACES)}: {reference(name)}"


def _option_mark(name: str) -> str:
    """The letter or number by which an answer names an option: A of option_a, 1 of choice1."""
    return name.strip()[-1].upper()


def read_columns(contents: Contents) -> ColumnReading | None:
    """Decide which columns are prompt and completion.

    Args:
        contents: what each column of the table holds, by its name, in the table's order.

    Returns:
        The reading; None if there are no two columns of which one may ask and one may answer.
    """
    options = _options(contents)
    table = Table(contents, options)
    choice = choose_columns(table)
    if choice is None:
        return None
    never = role_table()["never"]
    rejected = tuple(name for name in contents if name not in choice and never.intersection(name_words(name)))
    reading = ColumnReading(*choice, options=options, rejected=rejected)
    reading = _with_further_columns(reading, table)
    doubt = next(_doubts(reading, table), None)
    if doubt is not None and reading.is_certain:
        reading = replace(reading, is_certain=False, basis=doubt)
    empty = [n for n in reading.prompt_columns if contents[n].is_ever_empty and n != reading.prompt]
    reading = replace(reading, maybe_empty=frozenset(empty))
    return reading if reading.is_certain else replace(reading, other=_other_pair(reading, table))


def _options(contents: Contents) -> tuple[str, ...]:
    """The columns that hold answers to choose from: A, B, C, ... or option1, option2, ..."""
    by_words = {" ".join(name_words(name)): name for name in contents}
    for group in role_table()["options"]:
        present = [words for words in group if words in by_words]
        if len(present) >= 3 and present == group[: len(present)]:
            return tuple(by_words[words] for words in present)
    numbered = tuple(name for name in contents if name_words(name) in _OPTION_WORDS and name[-1].isdigit())
    return numbered if len(numbered) > 1 else ()


def is_system_prompt(column: str) -> bool:
    """Whether a column is the rows' system prompt by its name: rows get it before their prompts, so no template need read it."""
    meaning = meaning_of("row", column)
    return meaning is not None and meaning.use == "system"


def _with_further_columns(reading: ColumnReading, table: Table) -> ColumnReading:
    """The reading with contexts, inputs, second sentences and titles in its prompt."""
    before: list[str] = []
    after: list[str] = []
    answers = table.contents[reading.completion]
    is_question = (table.roles[reading.prompt].prompt_rank or 0) <= STRONG_RANK
    for name, content in table.contents.items():
        role = table.roles[name]
        is_used = name in (reading.prompt, reading.completion, *reading.options)
        is_rejected = bool(role_table()["never"].intersection(name_words(name)))
        if (
            is_used
            or is_rejected
            or role.is_ignored
            or is_system_prompt(name)
            or content.kind not in ("text", "label", "number", "constant")
        ):
            continue
        if _repeats_the_row(content, table.contents[reading.prompt], answers):
            continue
        is_label = content.kind in ("label", "constant") and role.prompt_rank is None
        is_choices = " ".join(name_words(name)) in role_table()["choices"]
        if (
            is_choices
            or (are_together(reading.prompt, name) and not is_label)
            or name_stem(name) == name_stem(reading.prompt)
        ):
            after.append(name)
        elif (
            (are_together(name, reading.prompt) and not is_label)
            or role.prompt_rank == CONTEXT_RANK
            or (
                is_question
                and content.kind == "text"
                and role_table()["passages"].intersection(name_words(name)[-1:])
            )
        ):
            before.append(name)
    return replace(reading, before=tuple(before), after=tuple(after))


def _repeats_the_row(content: ColumnContent, prompt: ColumnContent, completion: ColumnContent) -> bool:
    """Whether a column's texts hold both the question and its answer, as a rendered example does."""
    rows = zip(content.values, prompt.values, completion.values, strict=True)
    return all(question in text and answer in text for text, question, answer in rows)


def _doubts(reading: ColumnReading, table: Table) -> Iterator[str]:
    """What speaks against a reading: answers marked as good or bad, options that no answer names, rows that are no examples."""
    contents = table.contents
    answers = set(contents[reading.completion].values)
    if reading.completion in answers and contents[reading.completion].kind == "label":
        yield f"the first line seems to be a row: {reading.completion} names a column and is one of its values"
    if any(content.kind == "tags" for content in contents.values()):
        yield "each row seems to be one token of a sentence with its tag"
    if reading.options:
        marks = {_option_mark(name) for name in reading.options}
        texts = {text for name in reading.options for text in contents[name].values}
        if not ({answer.upper() for answer in answers} <= marks or answers <= texts):
            yield f"{reading.completion} names none of the options {', '.join(reading.options)}"
    rank = table.roles[reading.completion].completion_rank
    if rank is None or rank > STRONG_RANK:
        return
    for name, content in contents.items():
        words = name_words(name)
        has_two_values = content.kind == "label" and len(set(content.values) - {""}) == 2
        if has_two_values and " ".join(words) in role_table()["marks"]:
            yield f"{name} may mark answers that are not wanted"


def _other_pair(reading: ColumnReading, table: Table) -> tuple[str, str]:
    """The second possible reading: another completion of the same standing, else the two exchanged."""
    used = (reading.completion, *reading.prompt_columns)
    others = [name for name in (*table.completions, *table.labels) if name not in used]
    return (reading.prompt, others[0]) if others else (reading.completion, reading.prompt)
