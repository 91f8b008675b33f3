"""A benchmark over a data set as it lies: where its rows are, how they are asked, in one way or several.

Its rows are read by `dataset.py` and asked as `wording.py` says; every mistake of the spec is reported with file and line, all at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from tutelage.benchmarks.fields import NAME, About, Belonging
from tutelage.benchmarks.prompt_spec import Asking, Checker, Shots, merged
from tutelage.benchmarks.validation import Block, Places, validate
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.patterns import Pattern
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Json
from tutelage.core.yamltext import FieldPath

PART = "{part}"
AGGREGATES = ("micro", "macro")


class Data(Block):
    """Where the rows are."""

    path: str = Field(
        min_length=1,
        description="The file, beside the spec or in the data folder; {part} is the part's name, where each has a file.",
    )
    columns: tuple[str, ...] = Field((), description="The columns' names, where the file has none.")
    part: str = Field(
        "", description="The column that says which part a row belongs to, where one file holds all."
    )


class Filter(Block):
    """Rows that are kept because an annotation file says something of them."""

    title: str = Field(min_length=1, description="What is kept, for people.")
    source: str = Field("", description="Where the annotations are from.")
    path: str = Field(min_length=1, description="The annotations, a CSV; {part} is the part's name.")
    match: Mapping[str, str | tuple[str, ...]] = Field(
        min_length=1,
        description="A column of the annotations to the column, or columns, of the rows that say the same.",
    )
    keep: Mapping[str, tuple[str, ...]] = Field(
        min_length=1,
        description="A column of the annotations to the values that keep a row; letter case is ignored.",
    )


class RowsPart(Asking, Belonging):
    """One part, where it has something of its own."""

    title: str = Field("", description="What the part is about; its name when not given.")


class Way(Asking):
    """One of several known ways to ask the same rows."""

    title: str = Field(min_length=1, description="Whose way it is, for people.")
    source: str = Field("", description="Where it is defined.")


class RowsSpec(Asking, About):
    """A benchmark over rows, as its spec.yaml says it."""

    data: Data = Field(description="Where the rows are.")
    parts: Mapping[str, RowsPart] = Field(
        {}, description="The parts by name; one of all rows, or those that a column names, when not given."
    )
    ways: Mapping[str, Way] = Field({}, description="Known ways to ask it, by name.")
    default: str = Field(
        "", description="The way that is meant when none is named; the first when not given."
    )
    filters: Mapping[str, Filter] = Field({}, description="Annotations that leave rows out, by name.")

    @property
    def gives_shots(self) -> bool:
        """Whether it has worked examples in any way of asking."""
        return any(layer.shots is not None for layer in (self, *self.ways.values(), *self.parts.values()))

    def asked(self, way: str, part: str) -> Asking:
        """What one part is asked in one way."""
        return merged(*self.layers(way, part).values())

    def layers(self, way: str, part: str) -> dict[FieldPath, Asking]:
        """Who may say what is asked, by place in the spec, the strongest last."""
        found: dict[FieldPath, Asking] = {(): self}
        if way:
            found["ways", way] = self.ways[way]
        if part in self.parts:
            found["parts", part] = self.parts[part]
        return found

    def way(self, name: str) -> str:
        """The way of that name, or the default one; "" for a benchmark without ways.

        Raises:
            InputError: there is no such way.
        """
        if not name:
            return self.default or next(iter(self.ways), "")
        if name in self.ways:
            return name
        names = [*self.ways, *self.filters]
        raise InputError(
            f"{self.name} has no such way or filter",
            found=name,
            expected=", ".join(names) or "none: it has one way only",
            fix=did_you_mean(name, names, form=f"{self.name}:{{}}"),
        )


def read_rows_spec(value: dict[str, Json], places: Places) -> RowsSpec:
    """Check a spec over rows.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    spec, errors = validate(RowsSpec, value, places)
    if spec is not None:
        errors += _contradictions(spec, places)
    raise_all(places.file, errors[:MAX_MISTAKES])
    assert spec is not None
    return spec


def _contradictions(spec: RowsSpec, places: Places) -> list[InputError]:
    errors = [*_of_parts(spec, places), *_of_names(spec, places)]
    checker = Checker(places)
    seen = set()
    for way in spec.ways or ("",):
        for part in spec.parts or ("",):
            layers = spec.layers(way, part)
            for error in checker.mistakes(merged(*layers.values()), layers):
                if (error.where, error.problem) not in seen:
                    seen.add((error.where, error.problem))
                    errors.append(error)
            if (shots := spec.asked(way, part).shots) is not None:
                errors += [
                    one for one in _patterns(shots, places(("shots",))) if str(one) not in map(str, errors)
                ]
    return errors


def _of_parts(spec: RowsSpec, places: Places) -> Iterator[InputError]:
    if PART in spec.data.path and not spec.parts:
        yield InputError(
            "which parts there are is not said",
            where=places(("data", "path")),
            found=spec.data.path,
            expected="the field parts",
            fix="name the parts, such as  parts: {algebra: {}, geometry: {}}",
        )
    if PART in spec.data.path and spec.data.part:
        yield InputError(
            "a part has a file or is named by a column",
            where=places(("data", "part")),
            found="both",
            fix="remove one",
        )
    if spec.parts and PART not in spec.data.path and not spec.data.part:
        yield InputError(
            "what tells the parts apart is not said",
            where=places(("data",)),
            expected=f"{PART} in path, or part: the column that names a row's part",
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
                "the name does not fit",
                where=places(()),
                found=name,
                expected="letters, digits, . _ and -; not development",
            )
    for name in sorted(set(spec.ways) & set(spec.filters)):
        yield InputError(
            "a way and a filter have one name", where=places(("filters", name)), found=name, fix="rename one"
        )


def _patterns(shots: Shots, where: str) -> Iterator[InputError]:
    for pattern, by in [(shots.split, ""), *((one.pattern, one.by) for one in shots.replace)]:
        try:
            Pattern(pattern, where).check()
            re.compile(pattern).sub(by, "")  # whether the groups that `by` names are there
        except InputError as error:
            yield error
        except (re.error, IndexError) as error:
            yield InputError(
                "the pattern is no regular expression",
                where=where,
                found=pattern,
                expected=f"Python's re: {error}",
            )
