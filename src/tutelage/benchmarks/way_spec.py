"""A spec over rows, asked in one of its ways, as the runner reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.benchmarks.fields import AnswerSettings, PartMembership, TaskScoring
from tutelage.benchmarks.rows_spec import RowsPart, RowsSpec
from tutelage.benchmarks.spec import PartSpec, RunnableSpec


def ways_notes(spec: RowsSpec, way: str, parts: Sequence[str]) -> Iterator[str]:
    """Which parts are asked in another way, because this way has no prompt for them."""
    others: dict[str, list[str]] = {}
    for part in parts:
        if (other := spec.way_of_part(way, part)) != way:
            others.setdefault(other, []).append(part)
    for other, names in others.items():
        yield f"asked in the way {other}, because {way} does not have them: {', '.join(names)}"


def spec_in_way(spec: RowsSpec, way: str, parts: Sequence[str]) -> RunnableSpec:
    """The spec of a benchmark over rows, asked in one of its ways, with the parts whose data is here."""
    part_specs = {}
    for name in parts:
        prompt_spec, part = spec.prompt_spec(way, name), spec.parts.get(name, RowsPart())
        part_specs[name] = PartSpec(
            title=part.title or name.replace("_", " "),
            kind=prompt_spec.kind,
            **{field: getattr(prompt_spec, field) for field in AnswerSettings.model_fields},
            **{
                field: getattr(part, field)
                for block in (PartMembership, TaskScoring)
                for field in block.model_fields
            },
            metrics=prompt_spec.metrics if spec.aggregate == "tasks" else (),
        )
    info = spec.info
    if way:
        info["description"] = f"{spec.description} {spec.ways[way].title}".strip()
    return RunnableSpec(**info, metrics=spec.prompt_spec(way, "").metrics, parts=part_specs)
