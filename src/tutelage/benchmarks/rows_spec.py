"""The spec of a benchmark over an existing data set: where its rows are, and one or several ways of asking them.

`dataset.py` reads the rows, `row_prompts.py` makes prompts of them. All mistakes of the spec are reported at once, with file and
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from tutelage.benchmarks.fields import NAME, PART, BenchmarkInfo, PartMembership, PartPath, is_per_part
from tutelage.benchmarks.prompt_spec import PromptSpec, contradictions, merge_layers
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.suggestions import unknown_name
from tutelage.core.validation import Block, Places, validate
from tutelage.core.yamltext import FieldPath

AGGREGATES = ("micro", "macro")


class RowsData(Block):
    """Where the rows are."""

    path: PartPath = Field(
        min_length=1,
        description="The file, beside the spec or in the data folder; {{ part }} is the part's name, where each has a file.",
    )
    columns: tuple[str, ...] = Field((), description="The columns' names, where the file has none.")
    part: str = Field(
        "", description="The column that says which part a row belongs to, where one file holds all."
    )


class RowFilter(Block):
    """A filter that keeps rows by an annotation file."""

    title: str = Field(min_length=1, description="What is kept, for people.")
    source: str = Field("", description="Where the annotations are from.")
    path: PartPath = Field(min_length=1, description="The annotations, a CSV; {{ part }} is the part's name.")
    match: Mapping[str, str | tuple[str, ...]] = Field(
        min_length=1,
        description="A column of the annotations to the column, or columns, of the rows that say the same.",
    )
    keep: Mapping[str, tuple[str, ...]] = Field(
        min_length=1,
        description="A column of the annotations to the values that keep a row; letter case is ignored.",
    )


class RowsPart(PromptSpec, PartMembership):
    """One part, with the fields in which it differs from the benchmark."""

    title: str = Field("", description="What the part is about; its name when not given.")


class Way(PromptSpec):
    """One of several known ways to ask the same rows."""

    title: str = Field(min_length=1, description="Whose way it is, for people.")
    source: str = Field("", description="Where it is defined.")


class RowsSpec(PromptSpec, BenchmarkInfo):
    """The spec.yaml of a benchmark over rows."""

    data: RowsData = Field(description="Where the rows are.")
    parts: Mapping[str, RowsPart] = Field(
        {}, description="The parts by name; one of all rows, or those that a column names, when not given."
    )
    ways: Mapping[str, Way] = Field({}, description="Known ways to ask it, by name.")
    default: str = Field(
        "", description="The way that is meant when none is named; the first when not given."
    )
    filters: Mapping[str, RowFilter] = Field({}, description="Annotations that leave rows out, by name.")

    @property
    def has_exemplars(self) -> bool:
        """Whether questions have exemplars in any way of asking."""
        return any(layer.shots is not None for layer in (self, *self.ways.values(), *self.parts.values()))

    def prompt_spec(self, way: str, part: str) -> PromptSpec:
        """How the rows of a part are asked in a way."""
        return merge_layers(self.layers(way, part).values())

    def layers(self, way: str, part: str) -> dict[FieldPath, PromptSpec]:
        """The blocks that apply to a part in a way, by their place in the spec; later ones override earlier ones."""
        layers: dict[FieldPath, PromptSpec] = {(): self}
        if way:
            layers["ways", way] = self.ways[way]
        if part in self.parts:
            layers["parts", part] = self.parts[part]
        return layers

    def way(self, name: str) -> str:
        """Resolve the name of a way: "" gives the default, which is "" for a benchmark without ways.

        Raises:
            InputError: there is no such way.
        """
        if not name:
            return self.default or next(iter(self.ways), "")
        if name in self.ways:
            return name
        raise unknown_name(
            f"{self.name} has no such way or filter",
            name,
            [*self.ways, *self.filters] or ["none: it has one way only"],
            form=f"{self.name}:{{}}",
            fix="take one of these, or leave it out",
        )


def read_rows_spec(value: dict[str, Any], places: Places) -> RowsSpec:
    """Check the spec of a benchmark over rows.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    spec, errors, total = validate(RowsSpec, value, places)
    raise_all(places.file, errors, total=total)
    assert spec is not None
    mistakes: dict[tuple[str | None, str], InputError] = {}
    for error in _contradictions(spec, places):  # ways and parts share fields: each mistake is reported once
        mistakes.setdefault((error.where, error.problem), error)
    raise_all(places.file, [*mistakes.values()][:MAX_MISTAKES])
    return spec


def _contradictions(spec: RowsSpec, places: Places) -> Iterator[InputError]:
    yield from _of_parts(spec, places)
    yield from _of_names(spec, places)
    for way in spec.ways or ("",):
        for part in spec.parts or ("",):
            yield from contradictions(spec.layers(way, part), places)


def _of_parts(spec: RowsSpec, places: Places) -> Iterator[InputError]:
    per_file = is_per_part(spec.data.path)
    if per_file and not spec.parts:
        yield InputError(
            "the parts are not named",
            where=places(("data", "path")),
            found=spec.data.path,
            expected="the field parts",
            fix="name the parts, such as  parts: {algebra: {}, geometry: {}}",
        )
    if per_file and spec.data.part:
        yield InputError(
            "parts have files, and a column that names them",
            where=places(("data", "part")),
            found="both",
            fix="remove one",
        )
    if spec.parts and not per_file and not spec.data.part:
        yield InputError(
            "nothing says which part a row belongs to",
            where=places(("data",)),
            expected=f"{{{{ {PART} }}}} in path, or part: the column that names a row's part",
        )
    for name, part in spec.parts.items():
        if "metrics" in part.model_fields_set:
            yield InputError(
                "all parts have the same metrics",
                where=places(("parts", name, "metrics")),
                fix="set them for a way, or for all",
            )


def _of_names(spec: RowsSpec, places: Places) -> Iterator[InputError]:
    if spec.default and spec.default not in spec.ways:
        yield InputError(
            "there is no such way",
            where=places(("default",)),
            found=spec.default,
            expected=", ".join(spec.ways) or "none",
        )
    groups = {part.group for part in spec.parts.values() if part.group}
    for name in sorted({*groups, *AGGREGATES} & set(spec.parts)):
        yield InputError(
            "a part has the name of a group or an aggregate",
            where=places(("parts", name)),
            found=name,
            fix="rename it",
        )
    for name in [*spec.ways, *spec.filters, *spec.parts]:
        if not re.match(NAME, name) or name == "development":
            yield InputError(
                "not a name",
                where=places(()),
                found=name,
                expected="letters, digits, . _ and -; not development",
            )
    for name in sorted(set(spec.ways) & set(spec.filters)):
        yield InputError(
            "a way and a filter have one name", where=places(("filters", name)), found=name, fix="rename one"
        )
