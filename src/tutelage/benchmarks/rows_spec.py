"""The spec of a benchmark over an existing data set: where its rows are, and one or several ways of asking them.

`dataset.py` reads the rows, `row_prompts.py` makes prompts of them. All mistakes of the spec are reported at once, with file and
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from tutelage.benchmarks.fields import (
    AGGREGATES,
    NAME,
    PART,
    BenchmarkInfo,
    HubRows,
    PartMembership,
    PartPath,
    TaskScoring,
    is_per_part,
)
from tutelage.benchmarks.prompt_spec import PromptSpec, contradictions, merge_layers, task_scoring_mistakes
from tutelage.benchmarks.row_layouts import LayoutName
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.suggestions import unknown_name
from tutelage.core.validation import Block, Places, checked
from tutelage.core.yamltext import FieldPath


class RowsData(Block):
    """Where the rows are."""

    path: PartPath = Field(
        "",
        description="The file, beside the spec or in the data folder; {{ part }} is the part's name, where each has a file.",
    )
    columns: tuple[str, ...] = Field((), description="The columns' names, where the file has none.")
    folders: tuple[str, ...] = Field(
        ("",), min_length=1, description="Folders in which the paths of sources are looked up, in turn."
    )
    part: str = Field(
        "", description="The column that says which part a row belongs to, where one file holds all."
    )


class RowsSource(Block):
    """One place and layout in which a part's rows may be; the first one whose files are there is read."""

    path: PartPath | tuple[PartPath, ...] = Field(
        (), description="The file, or files that are read in turn, beside the spec or in the data folder."
    )
    hub: HubRows | None = Field(None, description="A dataset on the hub, instead of path.")
    columns: tuple[str, ...] = Field((), description="The columns' names, where the file has none.")
    read: Literal["rows", "entities", "parallel"] = Field(
        "rows",
        description="rows: as they stand in the file; entities: tokens with their tags, also as text (columns tokens, text, entities); "
        "parallel: line n of each file, in `columns`.",
    )
    header: tuple[str, ...] = Field(
        (), description="Columns that the first line of the file must name; else the next source is tried."
    )
    layout: LayoutName = Field(
        "",
        description="The published layout whose nested rows become one row a question, such as multirc; rows as they stand when not "
        "given.",
    )
    rename: Mapping[str, str] = Field({}, description="Columns of the file to the names that prompts use.")
    values: Mapping[str, Mapping[str, str]] = Field(
        {}, description="For a column, after renaming: values of the file to the values that prompts use."
    )
    first: int = Field(1, ge=1, description="The first row that belongs to the part, from 1.")
    last: int | None = Field(None, ge=1, description="The last such row; the file's last one when not given.")
    substitute: str = Field(
        "",
        description="Why these are not the benchmark's official rows; averages over them do not bear its name.",
    )

    @property
    def paths(self) -> tuple[PartPath, ...]:
        """The paths as a list, also where there is one."""
        return (self.path,) if isinstance(self.path, str) else self.path


class SubmissionFile(Block):
    """A leaderboard's file of predictions for a part, and the test rows that it is about."""

    file: str = Field(
        pattern=r"^[^/\\]+\.(tsv|jsonl)$",
        description="Its name; .tsv: index and prediction; .jsonl: idx and label, MultiRC's as passages with questions with answers.",
    )
    labels: tuple[str | int, ...] = Field(
        (), description="What the file says for each choice in turn; the prediction itself when not given."
    )
    index: str = Field(
        "idx", description="The column with a row's number, or its numbers of passage, question and answer."
    )
    sources: tuple[RowsSource, ...] = Field(
        min_length=1, description="Where the test rows may be, in order of preference."
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


class RowsPart(PromptSpec, PartMembership, TaskScoring):
    """One part, with the fields in which it differs from the benchmark."""

    title: str = Field("", description="What the part is about; its name when not given.")
    sources: tuple[RowsSource, ...] = Field(
        (), description="Where the part's rows may be, in order of preference; instead of data.path."
    )
    unit: str = Field(
        "",
        description="The column that is equal in rows that are judged together, such as the options of a question: a sample takes "
        "all of them or none.",
    )
    submission: SubmissionFile | None = Field(
        None, description="The leaderboard's file of predictions for the part's test rows."
    )


class Way(PromptSpec):
    """One of several known ways to ask the same rows."""

    title: str = Field(min_length=1, description="Whose way it is, for people.")
    source: str = Field("", description="Where it is defined.")
    parts: Mapping[str, PromptSpec] = Field(
        {}, description="How it asks parts that need prompts of their own."
    )
    otherwise: str = Field(
        "",
        description="The way in which the parts that are not among `parts` are asked; this one when not given.",
    )


class RowsSpec(PromptSpec, BenchmarkInfo):
    """The spec.yaml of a benchmark over rows."""

    data: RowsData = Field(
        RowsData.model_construct(path=""),
        description="Where the rows are, unless every part has sources.",
    )
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
        return any(block.shots is not None for _, block in self._prompt_blocks())

    def hub_datasets(self) -> list[tuple[str, HubRows]]:
        """The splits of datasets on the hub that parts and exemplars may be read from, each with a name for people."""
        rows = [(name, source.hub) for name, part in self.parts.items() for source in part.sources]
        tests = {name: part.submission for name, part in self.parts.items() if part.submission is not None}
        rows += [
            (f"{name}, test rows", source.hub) for name, file in tests.items() for source in file.sources
        ]
        rows += [
            (f"exemplars of {name}" if name else "exemplars", block.shots.hub)
            for name, block in self._prompt_blocks()
            if block.shots is not None
        ]
        return [(name, dataset) for name, dataset in rows if dataset is not None]

    def _prompt_blocks(self) -> Iterator[tuple[str, PromptSpec]]:
        """All blocks that set how rows are asked, each with its name, "" for the benchmark's."""
        yield "", self
        yield from self.ways.items()
        yield from self.parts.items()
        for name, way in self.ways.items():
            yield from ((f"{part} in {name}", block) for part, block in way.parts.items())

    def prompt_spec(self, way: str, part: str) -> PromptSpec:
        """How the rows of a part are asked in a way."""
        return merge_layers(self.layers(way, part).values())

    def layers(self, way: str, part: str) -> dict[FieldPath, PromptSpec]:
        """The blocks that apply to a part in a way, by their place in the spec; later ones override earlier ones."""
        layers: dict[FieldPath, PromptSpec] = {(): self}
        way = self.way_of_part(way, part)
        if way:
            layers["ways", way] = self.ways[way]
        if part in self.parts:
            layers["parts", part] = self.parts[part]
        if way and part in self.ways[way].parts:
            layers["ways", way, "parts", part] = self.ways[way].parts[part]
        return layers

    def way_of_part(self, way: str, part: str) -> str:
        """The way in which a part is asked: another one where this way has no prompt for the part."""
        if way and self.ways[way].otherwise and part not in self.ways[way].parts:
            return self.ways[way].otherwise
        return way

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


def is_over_rows(spec: Mapping[str, Any]) -> bool:
    """Whether a spec asks the rows of a data set: it says where they are, for all parts or for some."""
    parts = spec.get("parts")
    blocks = parts.values() if isinstance(parts, dict) else ()
    return "data" in spec or any(isinstance(part, dict) and "sources" in part for part in blocks)


def read_rows_spec(value: dict[str, Any], places: Places) -> RowsSpec:
    """Check the spec of a benchmark over rows.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    spec = checked(RowsSpec, value, places)
    mistakes: dict[tuple[str | None, str], InputError] = {}
    for error in _contradictions(spec, places):  # ways and parts share fields: each mistake is reported once
        mistakes.setdefault((error.where, error.problem), error)
    raise_all(places.file, [*mistakes.values()][:MAX_MISTAKES])
    return spec


def _contradictions(spec: RowsSpec, places: Places) -> Iterator[InputError]:
    yield from _of_parts(spec, places)
    yield from _of_names(spec, places)
    yield from _of_ways(spec, places)
    if any(way.otherwise and way.otherwise not in spec.ways for way in spec.ways.values()):
        return  # the prompts of their parts cannot be looked up
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
    without_sources = [name for name, part in spec.parts.items() if not part.sources]
    if without_sources and not per_file and not spec.data.part:
        yield InputError(
            "nothing says which part a row belongs to",
            where=places(("data",)),
            expected=f"{{{{ {PART} }}}} in path, or part: the column that names a row's part",
        )
    if not spec.parts and not spec.data.path:
        yield InputError("nothing says where the rows are", where=places(("data",)), expected="path: FILE")
    for name, part in spec.parts.items():
        for index, source in enumerate(part.sources):
            yield from _of_source(source, places(("parts", name, "sources", index)))
        for index, source in enumerate(part.submission.sources if part.submission else ()):
            yield from _of_source(source, places(("parts", name, "submission", "sources", index)))
        metrics = part.metrics if "metrics" in part.model_fields_set else spec.metrics
        over_tasks = spec.aggregate == "tasks"
        yield from task_scoring_mistakes(name, part, metrics, over_tasks=over_tasks, places=places)


def _of_source(source: RowsSource, where: str) -> Iterator[InputError]:
    if bool(source.path) == (source.hub is not None):
        yield InputError(
            "a source has a path or a dataset on the hub",
            where=where,
            found="both" if source.path else "neither",
        )
    if source.read == "parallel" and len(source.columns) != len(source.paths):
        yield InputError(
            "parallel files need a column each",
            where=where,
            found=f"{len(source.paths)} files and {len(source.columns)} columns",
        )
    if source.last is not None and source.last < source.first:
        yield InputError(
            "last is before first", where=where, found=f"first: {source.first}, last: {source.last}"
        )


def _of_ways(spec: RowsSpec, places: Places) -> Iterator[InputError]:
    for name, way in spec.ways.items():
        if way.otherwise and way.otherwise not in spec.ways:
            yield unknown_name(
                "there is no such way", way.otherwise, spec.ways, where=places(("ways", name, "otherwise"))
            )
        for part in way.parts:
            if part not in spec.parts:
                yield unknown_name(
                    "there is no such part", part, spec.parts, where=places(("ways", name, "parts", part))
                )


def _of_names(spec: RowsSpec, places: Places) -> Iterator[InputError]:
    if spec.default and spec.default not in spec.ways:
        yield InputError(
            "there is no such way",
            where=places(("default",)),
            found=spec.default,
            expected=", ".join(spec.ways) or "none",
        )
    groups = {group for part in spec.parts.values() for group in part.groups}
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
