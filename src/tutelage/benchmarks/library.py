"""Finds benchmarks: the bundled ones by name, the user's own by path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tutelage.benchmarks import old_form
from tutelage.benchmarks.bigbench import BigBenchSpec, read_bigbench, read_bigbench_spec
from tutelage.benchmarks.dataset import DataFolders, DataNotFoundError, first_file, read_parts
from tutelage.benchmarks.item_file import read_items
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.lm_eval import task_file
from tutelage.benchmarks.part_sources import fetch_hub_rows
from tutelage.benchmarks.row_prompts import PromptSettings, items_of_rows
from tutelage.benchmarks.rows_spec import RowsSpec, is_over_rows, read_rows_spec
from tutelage.benchmarks.runner import Benchmark
from tutelage.benchmarks.sampling import Limit, sample_items
from tutelage.benchmarks.spec import ALL, DEVELOPMENT, RunnableSpec, Spec, check_spec
from tutelage.benchmarks.suite import SuiteSpec, load_suite, read_suite_spec
from tutelage.benchmarks.way_spec import spec_in_way, ways_notes
from tutelage.core import regular
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.suggestions import unknown_name
from tutelage.core.validation import read_document

SPEC = "spec.yaml"
AnySpec = Spec | RowsSpec | BigBenchSpec | SuiteSpec


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of a benchmark's items are asked, and with how many exemplars.

    Attributes:
        limit: how many of each part.
        parts: only these; all when empty.
        shots: exemplars before each question; as many as the spec says when not given.
    """

    limit: Limit
    parts: tuple[str, ...] = ()
    shots: int | None = None


@dataclass(frozen=True, slots=True)
class NamedSpec:
    """The spec that a benchmark's name leads to.

    Attributes:
        path: the spec's file.
        spec: the spec, checked.
        selectors: the words behind the name, such as a way and a filter.
        notes: what the user should know of the spec.
    """

    path: Path
    spec: AnySpec
    selectors: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def foreign(self) -> bool:
        """Whether it is not one of the bundled specs."""
        return not self.path.is_relative_to(_library())


def names() -> list[str]:
    """The bundled benchmarks' names, sorted."""
    return sorted(entry.name for entry in _library().iterdir() if (entry / SPEC).is_file())


def ways(name: str, *, root: Path | None = None) -> list[str]:
    """Expand `NAME:all` to the names of all ways of a benchmark; any other name stands for itself.

    Raises:
        InputError: there is no such benchmark, or it has one way only.
    """
    if not name.endswith(f":{ALL}"):
        return [name]
    spec = find_spec(name, root).spec
    if not isinstance(spec, RowsSpec) or not spec.ways:
        raise InputError("the benchmark has one way only", where=name, fix=f"name it without :{ALL}")
    return [name.removesuffix(ALL) + way for way in spec.ways]


def load(
    name: str,
    *,
    data: Path | None = None,
    limit: int | Limit | None = None,
    parts: Sequence[str] | None = None,
    shots: int | None = None,
    root: Path | None = None,
) -> Benchmark:
    """Load a benchmark: its spec, its data, and the items made of them.

    Args:
        name: a bundled benchmark's name, or the path of your own: a folder with a spec.yaml, or the spec itself
            (anything with a / in it, or that ends in .yaml or .yml). Behind it, after a colon each, one of its ways and one of
            its filters (`mmlu:lm-eval:redux`), one of its subsets, or `development` for its development items.
        data: a folder for items that are not beside their spec.
        limit: at most so many items of each part, sampled unless the limit says the first ones.
        parts: only these parts.
        shots: exemplars before each question, if not as many as the spec says.
        root: what a path is relative to; the current folder when not given.

    Raises:
        InputError: no such benchmark, way or part (with the nearest name), or a mistake in spec or items with file and
            line; InputErrors for several.
    """
    selection = Selection(limit if isinstance(limit, Limit) else Limit(limit), tuple(parts or ()), shots)
    named = find_spec(name, root)
    if named.foreign and named.spec.name in names():
        raise InputError(
            "the name belongs to a bundled benchmark",
            where=f"{named.path}: name",
            found=named.spec.name,
            expected=f"none of {', '.join(names())}",
            fix="give your benchmark a name of its own",
        )
    if isinstance(named.spec, SuiteSpec):
        return _of_suite(named.spec, named, data, selection)
    if isinstance(named.spec, BigBenchSpec):
        return _of_bigbench(named.spec, named, data, selection)
    if isinstance(named.spec, RowsSpec):
        return _over_rows(named.spec, named, data, selection)
    return _of_items(named.spec, named, data, selection)


def describe(name: str, *, root: Path | None = None) -> AnySpec:
    """Read and check a benchmark's spec; its data need not be there.

    Raises:
        InputError: as `load`, but for the data.
    """
    return find_spec(name, root).spec


def fetch(name: str, *, root: Path | None = None) -> Iterator[tuple[str, int]]:
    """Download the rows of a benchmark that are on the hub into its cache.

    Yields:
        The name of each part, and how many files it has; nothing where the items come with the spec.

    Raises:
        InputError: no part names a dataset on the hub.
        MachineError: the hub cannot be reached; the error says what to copy by hand, and where to.
    """
    spec = find_spec(name, root).spec
    datasets = spec.hub_datasets() if isinstance(spec, RowsSpec) else []
    if isinstance(spec, Spec):
        return  # its items stand beside it
    if not datasets:
        raise InputError(
            f"{spec.name} has no rows on the hub",
            where="benchmarks fetch",
            found=f"files of {spec.source}" if spec.source else "no dataset of the hub in its spec",
            expected=f"its files as DIR/{first_file(spec)}" if isinstance(spec, RowsSpec) else None,
            fix="download them by hand, and name the folder that they are in with --data DIR",
        )
    for part, rows in datasets:
        yield part, len(fetch_hub_rows(rows))


def _over_rows(spec: RowsSpec, named: NamedSpec, data: Path | None, selection: Selection) -> Benchmark:
    filter_name = next((word for word in named.selectors if word in spec.filters), "")
    way_names = [word for word in named.selectors if word != filter_name]
    way = spec.way(way_names[0] if way_names else "")
    if len(way_names) > 1:
        spec.way(way_names[1])
        raise InputError(
            "one way is asked at a time",
            where=":".join([spec.name, *named.selectors]),
            found=", ".join(way_names),
        )
    _require_parts(spec.name, list(spec.parts) or [spec.name], selection.parts if spec.parts else ())
    folders = DataFolders(named.path.parent if named.foreign else None, data)
    part_rows = read_parts(spec, folders, filter_name=filter_name, parts=selection.parts)
    settings = PromptSettings(spec, way, folders, selection.shots, named.foreign)
    return Benchmark(
        name=":".join(word for word in (spec.name, way, filter_name) if word),
        spec=spec_in_way(spec, way, list(part_rows.rows)),
        items=items_of_rows(settings, part_rows, selection.limit),
        sizes={part: len(rows) for part, rows in part_rows.rows.items()},
        missing=part_rows.missing,
        notes=(*named.notes, *part_rows.notes, *ways_notes(spec, way, list(part_rows.rows))),
        substitutes=part_rows.substitutes,
        diagnostic=tuple(name for name, part in spec.parts.items() if not part.averaged),
    )


def _of_bigbench(spec: BigBenchSpec, named: NamedSpec, data: Path | None, selection: Selection) -> Benchmark:
    if named.selectors:
        raise InputError(
            f"{spec.name} has one way only",
            where=":".join([spec.name, *named.selectors]),
            fix=f"write {spec.name}",
        )
    parts = read_bigbench(spec, data, shots=selection.shots or 0, selected=selection.parts)
    if not parts.specs:
        raise DataNotFoundError(
            f"the data of {spec.name} is not here",
            where="--data",
            found="no data folder" if data is None else f"none of its tasks in {data}",
            expected=f"a folder {' or '.join(filter(None, spec.bigbench.folders))} with its tasks",
            fix="fetch them, and name the folder that they are in with --data",
        )
    return Benchmark(
        name=spec.name if not selection.shots else f"{spec.name}:{selection.shots}-shot",
        spec=RunnableSpec(**spec.info, parts=parts.specs),
        items=tuple(
            item for part_items in parts.items.values() for item in sample_items(part_items, selection.limit)
        ),
        sizes={part: len(part_items) for part, part_items in parts.items.items()},
        missing=parts.missing,
        notes=(*named.notes, *parts.notes),
        substitutes=parts.substitutes,
    )


def _of_suite(spec: SuiteSpec, named: NamedSpec, data: Path | None, selection: Selection) -> Benchmark:
    if named.selectors or selection.shots is not None:
        raise InputError(
            f"{spec.name} is a suite: the ways and exemplars of its tasks are fixed",
            where=":".join([spec.name, *named.selectors]),
            found=f"shots: {selection.shots}" if not named.selectors else ", ".join(named.selectors),
            fix=f"write {spec.name}, or a suite of your own",
        )

    def load_task(name: str, *, limit: Limit, parts: Sequence[str], shots: int | None) -> Benchmark:
        if isinstance(describe(name, root=named.path.parent), SuiteSpec):
            raise InputError("a suite cannot be a task of a suite", found=name, fix="name its tasks")
        return load(name, data=data, root=named.path.parent, limit=limit, parts=parts, shots=shots)

    return load_suite(spec, load_task, selection.limit, selected=selection.parts, where=str(named.path))


def _of_items(spec: Spec, named: NamedSpec, data: Path | None, selection: Selection) -> Benchmark:
    subset = _subset(spec, named.selectors)
    if selection.shots is not None:
        raise InputError(
            f"{spec.name} has no exemplars to choose from",
            where="shots",
            found=str(selection.shots),
            fix="leave --shots away",
        )
    _require_parts(spec.name, list(spec.parts), selection.parts)
    paths = _item_paths(spec, named.path, data, subset)
    all_items = read_items({str(path): path for path in paths}, spec, foreign=named.foreign)
    by_part: dict[str, list[BenchmarkItem]] = {}
    for item in all_items:
        if item.part in (selection.parts or spec.parts):
            by_part.setdefault(item.part, []).append(item)
    sampled = {item.id for items in by_part.values() for item in sample_items(items, selection.limit)}
    return Benchmark(
        name=":".join([spec.name, *named.selectors]),
        spec=spec,
        items=tuple(item for item in all_items if item.id in sampled),
        sizes={part: len(items) for part, items in by_part.items()},
        notes=named.notes,
    )


def _library() -> Path:
    return Path(str(resources.files("tutelage.benchmarks"))) / "library"


def find_spec(name: str, root: Path | None) -> NamedSpec:
    """Find, read and check the spec of a name."""
    base = name
    selectors: list[str] = []
    while ":" in base and "/" not in base.rpartition(":")[2] and not _exists(base, root):
        base, _, word = base.rpartition(":")
        selectors.insert(0, word)
    path = _spec_path(base, root or Path())
    spec, notes = read_spec(path)
    return NamedSpec(path, spec, tuple(selectors), notes)


def read_spec(path: Path) -> tuple[AnySpec, tuple[str, ...]]:
    """Read and check a spec, of either form.

    Args:
        path: the YAML file.

    Returns:
        The spec, and notes for the user.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    text = regular.read_text(
        path,
        subject="the benchmark's spec",
        fix="name a spec.yaml, or the folder it is in",
        limit=MAX_RECIPE_BYTES,
    )
    if task_file.is_task(text):
        return read_rows_spec(*task_file.read_task(path, text)), ()
    value, places = read_document(
        text,
        file=str(path),
        subject="a benchmark spec",
        fields=Spec.model_fields,
        fix="see `docs/benchmarks.md` for a small spec to start from",
    )
    value, notes = old_form.updated(value, places)
    if "suite" in value:
        return read_suite_spec(value, places), notes
    if "bigbench" in value:
        return read_bigbench_spec(value, places), notes
    return (read_rows_spec if is_over_rows(value) else check_spec)(value, places), notes


def _spec_path(name: str, root: Path) -> Path:
    if name in names():
        return _library() / name / SPEC
    if "/" in name or name.endswith((".yaml", ".yml")):
        path = _user_path(name, root)
        return path / SPEC if path.is_dir() else path
    raise unknown_name(
        "there is no such benchmark",
        name,
        names(),
        also=", or the path of your own, such as ./my-bench/spec.yaml",
    )


def _exists(name: str, root: Path | None) -> bool:
    """Whether a name is an existing path; a path may contain colons."""
    return "/" in name and _user_path(name, root or Path()).exists()


def _user_path(name: str, root: Path) -> Path:
    path = Path(name)
    with suppress(RuntimeError):  # no user of that name has a home: the path stays as it is
        path = path.expanduser()
    return root / path


def _subset(spec: Spec, selectors: Sequence[str]) -> str:
    """The name of the items that are asked: a subset, `development`, or "" for all."""
    names = [*spec.subsets, DEVELOPMENT]
    for word in selectors:
        if word not in names:
            raise unknown_name(
                f"{spec.name} has no such way",
                word,
                names,
                also=", for its development items",
                form=f"{spec.name}:{{}}",
                fix=f"write {spec.name}",
            )
    if len(selectors) > 1:
        raise InputError(
            "one subset is asked at a time",
            where=":".join([spec.name, *selectors]),
            found=", ".join(selectors),
        )
    return selectors[0] if selectors else ""


def _item_paths(spec: Spec, path: Path, data: Path | None, subset: str) -> list[Path]:
    """The files of the items that are asked: beside the spec, else in the data folder."""
    if subset == DEVELOPMENT and not spec.development:
        raise InputError(
            f"{spec.name} has no development items",
            where=str(path),
            expected="the field development, with the name of their file",
        )
    folders = DataFolders(path.parent, data)
    paths = []
    for file in spec.files_of(subset):
        item_path = folders.find(file)
        if item_path is None:
            raise DataNotFoundError(
                "the items' file is not there",
                where=f"{path}: {spec.field_of(file)}",
                found=folders.searched(file),
                fix="put it beside the spec, or name the folder it is in with --data",
            )
        paths.append(item_path)
    return paths


def _require_parts(name: str, parts: Sequence[str], selected: Sequence[str]) -> None:
    for part in selected:
        if part not in parts:
            raise unknown_name(f"{name} has no such part", part, parts, where="parts")
