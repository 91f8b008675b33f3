"""The spec of a benchmark with its own items: the prompts of its parts, how answers are read, and the metrics.

The spec is a YAML file beside the items (JSONL). All its mistakes are reported at once, with file and line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from tutelage.benchmarks.extraction import Rule, rule
from tutelage.benchmarks.fields import (
    BESIDE,
    NAME,
    AnswerSettings,
    BenchmarkInfo,
    Kind,
    PartMembership,
    TaskScoring,
)
from tutelage.benchmarks.prompt_spec import (
    choices_mistake,
    generation_mistakes,
    metric_mistakes,
    task_scoring_mistakes,
)
from tutelage.core.errors import InputError, raise_all
from tutelage.core.suggestions import unknown_name
from tutelage.core.validation import Block, Places, checked
from tutelage.core.yamltext import FieldPath
from tutelage.templates import check as check_template

DEVELOPMENT = "development"
ALL = "all"
RESERVED = (DEVELOPMENT, ALL)
"""Words behind a benchmark's name that have a meaning of their own: its development items, all of its ways."""
INPUT = "input"
CHOICE = "choice"
_MEANINGLESS = {
    "choose": ("max_new_tokens", "stop", "extraction", "reading"),
    "generate": ("choices", "answer", "normalise", "predict"),
}
"""Fields that a part of one kind may not have."""


class PartSpec(PartMembership, TaskScoring, AnswerSettings):
    """One part: items that share prompt, kind of answer and extraction."""

    title: str = Field(min_length=1, description="What the part is about, for people.")
    kind: Kind = Field(description="choose: the likeliest of an item's choices; generate: greedy text.")
    prefix: str = Field(
        "", description="Fixed text before every prompt of the part, such as exemplars; never an item."
    )
    prompt: str = Field("{{ input }}", description="A Jinja template of the user's turn; it reads input.")
    choices: tuple[str, ...] = Field((), description="The choices of every item; else each item has its own.")
    answer: str = Field(
        "{{ choice }}", description="A Jinja template of what the model says for a choice; it reads choice."
    )
    metrics: tuple[str, ...] = Field(
        (),
        description="The part's own metrics, with aggregate: tasks; those of the benchmark when not given.",
    )

    @property
    def rule(self) -> Rule:
        """The extraction rule; its name was checked when the spec was read."""
        return rule(self.extraction, where="extraction")


class RunnableSpec(BenchmarkInfo):
    """The spec of a benchmark as the runner reads it, wherever its items come from."""

    metrics: tuple[str, ...] = Field(
        ("accuracy",), min_length=1, description="The first one is the primary one."
    )
    parts: Mapping[str, PartSpec] = Field(min_length=1, description="The parts by name.")


class Subset(Block):
    """Some of a benchmark's items, asked under a name of their own."""

    title: str = Field(min_length=1, description="Which items they are, for people.")
    items: tuple[str, ...] = Field(min_length=1, description="Their files, of those that the benchmark has.")


class Spec(RunnableSpec):
    """The spec.yaml of a benchmark with its own items."""

    items: str = Field(
        min_length=1, description="The items' file, relative to the spec, else to the data folder."
    )
    added_items: tuple[str, ...] = Field(
        (), description="Files of items that later versions of the benchmark added to these."
    )
    subsets: Mapping[str, Subset] = Field(
        {}, description="Subsets by the name that stands behind the benchmark's (`NAME:SUBSET`)."
    )
    development: str = Field(
        "", description="Items to choose prompts and difficulty on, never scored as the benchmark."
    )

    @property
    def item_files(self) -> tuple[str, ...]:
        """The files of all items, in their order."""
        return (self.items, *self.added_items)

    def files_of(self, subset: str) -> tuple[str, ...]:
        """The files of a subset's items, of the development items, or, for "", of all items."""
        if subset == DEVELOPMENT:
            return (self.development,)
        return self.subsets[subset].items if subset else self.item_files

    def field_of(self, file: str) -> str:
        """The field that names a file of items."""
        fields = {"items": (self.items,), "added_items": self.added_items}
        return next((field for field, files in fields.items() if file in files), DEVELOPMENT)


def check_spec(value: dict[str, Any], places: Places) -> Spec:
    """Check the spec of a benchmark with its own items.

    Args:
        value: the spec's fields.
        places: where they are written.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    spec = checked(Spec, value, places)
    raise_all(places.file, list(_contradictions(spec, places)))
    return spec


def _contradictions(spec: Spec, places: Places) -> Iterator[InputError]:
    yield from metric_mistakes((places(("metrics", index)), name) for index, name in enumerate(spec.metrics))
    yield from _of_files(spec, places)
    for name, part in spec.parts.items():
        yield from _of_part(part, ("parts", name), places)
        yield from metric_mistakes((places(("parts", name, "metrics")), metric) for metric in part.metrics)
        over_tasks = spec.aggregate == "tasks"
        metrics = part.metrics or spec.metrics
        yield from task_scoring_mistakes(name, part, metrics, over_tasks=over_tasks, places=places)


def _of_files(spec: Spec, places: Places) -> Iterator[InputError]:
    """Files that stand twice, and subsets with a wrong name or of files that the benchmark has not."""
    files = spec.item_files
    for index, file in enumerate(spec.added_items):
        if not file or file in files[: index + 1]:
            yield InputError(
                "the file stands twice" if file else "nothing is there",
                where=places(("added_items", index)),
                found=json.dumps(file, ensure_ascii=False),
                expected="files that differ from one another and from items",
                fix="remove one of them" if file else "write a file's name, or remove it",
            )
    for name, subset in spec.subsets.items():
        if not re.match(NAME, name) or name in RESERVED:
            yield InputError(
                "not a name for a subset",
                where=places(("subsets", name)),
                found=name,
                expected=f"letters, digits, . _ and -; not {' or '.join(RESERVED)}",
            )
        for index, file in enumerate(subset.items):
            place = places(("subsets", name, "items", index))
            if file not in files:
                yield unknown_name("the benchmark has no such file of items", file, files, where=place)
            elif file in subset.items[:index]:
                yield InputError("the file stands twice", where=place, found=file, fix="remove one of them")


def _of_part(part: PartSpec, path: FieldPath, places: Places) -> Iterator[InputError]:
    for field, text, name in (("prompt", part.prompt, INPUT), ("answer", part.answer, CHOICE)):
        yield from _of_template(text, name, places((*path, field)))
    for field in sorted({*_MEANINGLESS[part.kind]} & part.model_fields_set):
        yield InputError(
            f"{field} has no meaning for kind: {part.kind}",
            where=places((*path, field)),
            found=json.dumps(getattr(part, field), ensure_ascii=False)[:60],
            fix="remove it, or change kind",
        )
    if part.reading is not None and "extraction" in part.model_fields_set:
        yield InputError(
            "an answer is read by extraction or by reading",
            where=places((*path, "extraction")),
            found="both",
            fix="remove one",
        )
    if part.kind == "generate":
        yield from generation_mistakes(part, lambda field: places((*path, field)))
    elif part.choices and (error := choices_mistake(part.choices, places((*path, "choices")))):
        yield error


def _of_template(text: str, name: str, where: str) -> Iterator[InputError]:
    """The mistakes of a template that must read `name`, and may read the part's name and title."""
    try:
        names = check_template(text, where=where)
    except InputError as error:
        yield error
        return
    allowed = (name, *BESIDE)
    if name not in names or not set(names) <= set(allowed):
        yield InputError(
            f"the template must read {name}, and nothing that an item does not have",
            where=where,
            found=", ".join(names),
            expected=f"{{{{ {name} }}}}; it may also read {' and '.join(BESIDE)}",
            fix=f"write {{{{ {name} }}}} where it belongs",
        )
