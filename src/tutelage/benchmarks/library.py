"""Which benchmarks there are: the bundled ones by name, your own by path."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path

from tutelage.benchmarks.items import BenchmarkItem, read_items
from tutelage.benchmarks.runner import Benchmark
from tutelage.benchmarks.spec import Spec, read_spec
from tutelage.core.errors import InputError, nearest

SPEC = "spec.yaml"
DEVELOPMENT = ":development"


def names() -> list[str]:
    """The bundled benchmarks' names, sorted."""
    return sorted(entry.name for entry in _library().iterdir() if (entry / SPEC).is_file())


def load(
    name: str,
    *,
    data: Path | None = None,
    limit: int | None = None,
    parts: Sequence[str] | None = None,
    root: Path | None = None,
) -> Benchmark:
    """Read and check a benchmark.

    Args:
        name: a bundled benchmark's name, or the path of your own: a folder with a spec.yaml, or the spec itself
            (anything with a / in it, or that ends in .yaml or .yml). With `:development` behind it, its development items.
        data: a folder for items that are not beside their spec.
        limit: only the first so many items of each part.
        parts: only these parts.
        root: what a path is relative to; the current folder when not given.

    Raises:
        InputError: no such benchmark or part (with the nearest name), or a mistake in spec or items with file and
            line; InputErrors for several.
    """
    own = name.removesuffix(DEVELOPMENT)
    mark = name[len(own) :]
    path = _spec_path(own, root or Path())
    spec = read_spec(path, shown=str(path))
    if not path.is_relative_to(_library()) and spec.name in names():
        raise InputError(
            "the name belongs to a bundled benchmark",
            where=f"{path}: name",
            found=spec.name,
            expected=f"none of {', '.join(names())}",
            fix="give your benchmark a name of its own",
        )
    file = _items_path(spec, path, data, development=bool(mark))
    items = read_items(file, spec, shown=str(file))
    return Benchmark(spec.name + mark, spec, _selected(items, spec, limit, parts))


def _library() -> Path:
    return Path(str(resources.files("tutelage.benchmarks"))) / "library"


def _spec_path(name: str, root: Path) -> Path:
    if name in names():
        return _library() / name / SPEC
    if "/" in name or name.endswith((".yaml", ".yml")):
        path = Path(name)
        with suppress(RuntimeError):  # nobody is called so: the file is not there
            path = path.expanduser()
        path = root / path
        return path / SPEC if path.is_dir() else path
    close = nearest(name, names())
    raise InputError(
        "there is no such benchmark",
        found=name,
        expected=", ".join(names()) + ", or the path of your own, such as ./my-bench/spec.yaml",
        fix=f"did you mean {close}?" if close else "take one of these",
    )


def _items_path(spec: Spec, path: Path, data: Path | None, *, development: bool) -> Path:
    """The items' file: beside the spec, else in the data folder."""
    if development and not spec.development:
        raise InputError(
            f"{spec.name} has no development items",
            where=str(path),
            expected="the field development, with the name of their file",
        )
    file = spec.development if development else spec.items
    places = [path.parent / file, *([data / file] if data is not None else [])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(
            "the items' file is not there",
            where=f"{path}: {'development' if development else 'items'}",
            found="no file " + " nor ".join(map(str, places)),
            fix="put it beside the spec, or name the folder it is in with --data",
        )
    return found


def _selected(
    items: Sequence[BenchmarkItem], spec: Spec, limit: int | None, parts: Sequence[str] | None
) -> tuple[BenchmarkItem, ...]:
    if limit is not None and limit < 1:
        raise InputError(
            "at least one item a part is needed", where="limit", found=str(limit), expected="1 or more"
        )
    for part in parts or ():
        if part not in spec.parts:
            close = nearest(part, list(spec.parts))
            raise InputError(
                f"{spec.name} has no such part",
                where="parts",
                found=part,
                expected=", ".join(spec.parts),
                fix=f"did you mean {close}?" if close else "take one of these",
            )
    taken: dict[str, int] = {}
    chosen = []
    for item in items:
        if parts and item.part not in parts:
            continue
        taken[item.part] = taken.get(item.part, 0) + 1
        if limit is None or taken[item.part] <= limit:
            chosen.append(item)
    return tuple(chosen)
