"""A question of a benchmark, and the request that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from tutelage.benchmarks.output_cut import OutputCut
from tutelage.benchmarks.spec import PartSpec
from tutelage.core.patterns import Pattern
from tutelage.core.types import History, Json, Request


@dataclass(frozen=True)
class BenchmarkItem:
    """A question of a benchmark.

    Attributes:
        id: unique in the benchmark.
        part: the part it belongs to.
        prompt: the question: the part's prefix, and its prompt with the item's input.
        choices: for `choose`, the texts whose likelihoods are compared.
        references: the right choice, or right answers; with a `pattern`, examples of what it accepts.
        extraction: for `generate`, the name of the rule that takes the answer out of the text; else "".
        pattern: for `generate`, a regular expression that the whole extracted answer must match; "" for none.
        topic: a finer kind than the part, for people.
        difficulty: of development items, for people.
        form: whether it is a turn of a conversation, or a text that the answer goes on from.
        before: the text before exemplars and question.
        exemplars: exemplars before the question, each as text.
        between: the text between exemplars, and before the question.
        exemplar_turns: exemplars as earlier turns of the conversation instead, two an exemplar.
        join: the text between a prompt of form "text" and the choice, or `continuation`, that continues it.
        dropped_exemplars: how many exemplars were left out, so that the question fits into the model's context.
        fields: values of the row that metrics read beside the answer.
        cluster: what dependent rows share, such as a passage; None for an independent row.
        predictions: for `choose`, what each choice stands for; the prediction is the choice's text when empty.
        categories: categories of the item that are scored on their own, within its part.
        continuation: for `choose`, what is scored behind the prompt and each choice, instead of the choices; "" for none.
        output: for `generate`, how the answer is cut out of the text; by the extraction rule when None. Right answers stay as they are.
    """

    id: str
    part: str
    prompt: str
    choices: tuple[str, ...]
    references: tuple[str, ...]
    extraction: str
    pattern: str = ""
    topic: str = ""
    difficulty: str = ""
    form: Literal["chat", "text"] = "chat"
    before: str = ""
    exemplars: tuple[str, ...] = ()
    between: str = ""
    exemplar_turns: History = ()
    join: str = ""
    dropped_exemplars: int = 0
    fields: Mapping[str, Json] = field(default_factory=dict)
    cluster: str | None = None
    predictions: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    continuation: str = ""
    output: OutputCut | None = None

    @property
    def full_prompt(self) -> str:
        """The whole text of the question: what stands before it, the exemplars that are texts, the prompt."""
        return self.before + self.between.join([*self.exemplars, self.prompt])

    @property
    def exemplar_count(self) -> int:
        """How many exemplars there are, in the text or as turns."""
        return len(self.exemplars) + len(self.exemplar_turns) // 2

    def without_last_exemplar(self) -> BenchmarkItem:
        """The same question with one exemplar less, the last one."""
        return replace(
            self,
            exemplars=self.exemplars[:-1],
            exemplar_turns=self.exemplar_turns[:-2],
            dropped_exemplars=self.dropped_exemplars + 1,
        )

    @cached_property
    def accepts(self) -> Pattern | None:
        """The pattern, which matches in bounded time; None without one."""
        return Pattern(self.pattern, f"item {self.id}: pattern") if self.pattern else None

    def request(self, part: PartSpec) -> Request:
        """The question as a request to an engine."""
        request = Request(self.id, part.kind, self.full_prompt, history=self.exemplar_turns, form=self.form)
        if self.continuation:  # the choices stand in the question
            return replace(request, choices=self.choices, continuation=self.join + self.continuation)
        if part.kind == "choose":
            return replace(request, choices=tuple(self.join + choice for choice in self.choices))
        return replace(request, max_new_tokens=part.max_new_tokens, stop=part.stop)
