"""Which benchmarks there are: the bundled ones by name, your own by path."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tutelage.benchmarks import dataset, wording
from tutelage.benchmarks.fields import About, Belonging, Reading
from tutelage.benchmarks.items import BenchmarkItem, read_items
from tutelage.benchmarks.rowspec import RowsPart, RowsSpec, read_rows_spec
from tutelage.benchmarks.runner import Benchmark
from tutelage.benchmarks.sampling import Limit, sampled
from tutelage.benchmarks.spec import PartSpec, Spec, check_spec
from tutelage.benchmarks.validation import Places as Fields
from tutelage.benchmarks.validation import read_document
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Json

SPEC = "spec.yaml"
DEVELOPMENT = "development"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of a benchmark's items are asked, and with how many worked examples.

    Attributes:
        limit: how many of each part.
        parts: only these; all when empty.
        shots: worked examples before each question; as many as the spec says when not given.
    """

    limit: Limit
    parts: tuple[str, ...] = ()
    shots: int | None = None


@dataclass(frozen=True, slots=True)
class _Named:
    """A benchmark's spec, and what stood behind its name."""

    path: Path
    value: dict[str, Json]
    fields: Fields
    words: tuple[str, ...]


def names() -> list[str]:
    """The bundled benchmarks' names, sorted."""
    return sorted(entry.name for entry in _library().iterdir() if (entry / SPEC).is_file())


def ways(name: str, *, root: Path | None = None) -> list[str]:
    """The names that a name stands for: `mmlu:all` for every way to ask MMLU, any other for itself.

    Raises:
        InputError: there is no such benchmark, or it has one way only.
    """
    if not name.endswith(f":{ALL}"):
        return [name]
    named = _named(name, root)
    spec = _rows_spec(named)
    if spec is None or not spec.ways:
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
    """Read and check a benchmark.

    Args:
        name: a bundled benchmark's name, or the path of your own: a folder with a spec.yaml, or the spec itself
            (anything with a / in it, or that ends in .yaml or .yml). Behind it, after a colon each, one of its ways and one of
            its filters (`mmlu:lm-eval:redux`), or `development` for its development items.
        data: a folder for items that are not beside their spec.
        limit: at most so many items of each part, sampled unless the limit says the first ones.
        parts: only these parts.
        shots: worked examples before each question, if not as many as the spec says.
        root: what a path is relative to; the current folder when not given.

    Raises:
        InputError: no such benchmark, way or part (with the nearest name), or a mistake in spec or items with file and
            line; InputErrors for several.
    """
    chosen = Selection(limit if isinstance(limit, Limit) else Limit(limit), tuple(parts or ()), shots)
    named = _named(name, root)
    rows = _rows_spec(named)
    spec = rows or check_spec(named.value, named.fields)
    if not named.path.is_relative_to(_library()) and spec.name in names():
        raise InputError(
            "the name belongs to a bundled benchmark",
            where=f"{named.path}: name",
            found=spec.name,
            expected=f"none of {', '.join(names())}",
            fix="give your benchmark a name of its own",
        )
    if isinstance(spec, RowsSpec):
        return _over_rows(spec, named, data, chosen)
    return _of_items(spec, named, data, chosen)


def describe(name: str, *, root: Path | None = None) -> Spec | RowsSpec:
    """A benchmark's spec, read and checked, whether its data is here or not.

    Raises:
        InputError: as `load`, but for the data.
    """
    named = _named(name, root)
    return _rows_spec(named) or check_spec(named.value, named.fields)


def _over_rows(spec: RowsSpec, named: _Named, data: Path | None, chosen: Selection) -> Benchmark:
    filtered = next((word for word in named.words if word in spec.filters), "")
    rest = [word for word in named.words if word != filtered]
    way = spec.way(rest[0] if rest else "")
    if len(rest) > 1:
        spec.way(rest[1])
        raise InputError(
            "one way is asked at a time", where=":".join([spec.name, *named.words]), found=", ".join(rest)
        )
    _known_parts(spec.name, list(spec.parts) or [spec.name], chosen.parts if spec.parts else ())
    foreign = not named.path.is_relative_to(_library())
    places = dataset.Places(named.path.parent if foreign else None, data)
    found = dataset.read_parts(spec, places, filtered=filtered, parts=chosen.parts)
    items = wording.items_of(
        spec, way, found, places, limit=chosen.limit, shots=chosen.shots, foreign=foreign
    )
    return Benchmark(
        name=":".join(word for word in (spec.name, way, filtered) if word),
        spec=_as_asked(spec, way, list(found.rows)),
        items=items,
        sizes={part: len(rows) for part, rows in found.rows.items()},
        missing=found.missing,
        notes=found.notes,
    )


def _as_asked(spec: RowsSpec, way: str, parts: Sequence[str]) -> Spec:
    """What the runner needs of a spec over rows, for the parts that are here."""
    told = {}
    for name in parts:
        asked, own = spec.asked(way, name), spec.parts.get(name, RowsPart())
        told[name] = PartSpec(
            title=own.title or name.replace("_", " "),
            kind=asked.kind,
            **{field: getattr(asked, field) for field in Reading.model_fields},
            **{field: getattr(own, field) for field in Belonging.model_fields},
        )
    said = {field: getattr(spec, field) for field in About.model_fields}
    if way:
        said["description"] = f"{spec.description} {spec.ways[way].title}".strip()
    return Spec(**said, items=spec.data.path, metrics=spec.asked(way, "").metrics, parts=told)


def _of_items(spec: Spec, named: _Named, data: Path | None, chosen: Selection) -> Benchmark:
    for word in named.words:
        if word != DEVELOPMENT:
            raise InputError(
                f"{spec.name} has no such way",
                found=word,
                expected=f"{spec.name}, or {spec.name}:{DEVELOPMENT} for its development items",
                fix=did_you_mean(word, [DEVELOPMENT], form=f"{spec.name}:{{}}"),
            )
    if chosen.shots is not None:
        raise InputError(
            f"{spec.name} has no worked examples to choose from",
            where="shots",
            found=str(chosen.shots),
            fix="leave --shots away",
        )
    _known_parts(spec.name, list(spec.parts), chosen.parts)
    file = _items_path(spec, named.path, data, development=bool(named.words))
    items = [
        item for item in read_items(file, spec, shown=str(file)) if item.part in (chosen.parts or spec.parts)
    ]
    by_part: dict[str, list[BenchmarkItem]] = {}
    for item in items:
        by_part.setdefault(item.part, []).append(item)
    kept = {
        item.id
        for own in by_part.values()
        for item in sampled(own, chosen.limit, key=lambda one: "\n".join([one.prompt, *one.choices]))
    }
    return Benchmark(
        name=":".join([spec.name, *named.words]),
        spec=spec,
        items=tuple(item for item in items if item.id in kept),
        sizes={part: len(own) for part, own in by_part.items()},
    )


def _library() -> Path:
    return Path(str(resources.files("tutelage.benchmarks"))) / "library"


def _named(name: str, root: Path | None) -> _Named:
    own = name
    words: list[str] = []
    while ":" in own and "/" not in own.rpartition(":")[2] and not _is_there(own, root):
        own, _, word = own.rpartition(":")
        words.insert(0, word)
    path = _spec_path(own, root or Path())
    value, fields = read_document(path, shown=str(path), fields=Spec.model_fields)
    return _Named(path, value, fields, tuple(words))


def _rows_spec(named: _Named) -> RowsSpec | None:
    return read_rows_spec(named.value, named.fields) if "data" in named.value else None


def _spec_path(name: str, root: Path) -> Path:
    if name in names():
        return _library() / name / SPEC
    if "/" in name or name.endswith((".yaml", ".yml")):
        path = _own_path(name, root)
        return path / SPEC if path.is_dir() else path
    raise InputError(
        "there is no such benchmark",
        found=name,
        expected=", ".join(names()) + ", or the path of your own, such as ./my-bench/spec.yaml",
        fix=did_you_mean(name, names()) or "take one of these",
    )


def _is_there(name: str, root: Path | None) -> bool:
    """Whether a path of one's own is there, be it with a colon in its name."""
    return "/" in name and _own_path(name, root or Path()).exists()


def _own_path(name: str, root: Path) -> Path:
    path = Path(name)
    with suppress(RuntimeError):  # nobody is called so: the file is not there
        path = path.expanduser()
    return root / path


def _items_path(spec: Spec, path: Path, data: Path | None, *, development: bool) -> Path:
    """The items' file: beside the spec, else in the data folder."""
    if development and not spec.development:
        raise InputError(
            f"{spec.name} has no development items",
            where=str(path),
            expected="the field development, with the name of their file",
        )
    file = spec.development if development else spec.items
    places = dataset.Places(path.parent, data)
    found = places.find(file)
    if found is None:
        raise InputError(
            "the items' file is not there",
            where=f"{path}: {'development' if development else 'items'}",
            found=places.said(file),
            fix="put it beside the spec, or name the folder it is in with --data",
        )
    return found


def _known_parts(name: str, known: Sequence[str], asked: Sequence[str]) -> None:
    for part in asked:
        if part not in known:
            raise InputError(
                f"{name} has no such part",
                where="parts",
                found=part,
                expected=", ".join(known),
                fix=did_you_mean(part, known) or "take one of these",
            )
