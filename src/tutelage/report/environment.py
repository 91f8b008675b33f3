"""What all pages share: Jinja that escapes everything, and our style sheets."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment(**filters: Callable[..., Any]) -> Environment:
    """Jinja for a page: every value is escaped; an unknown name is an error and not an empty place."""
    made = Environment(
        loader=PackageLoader("tutelage.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(filters)
    return made


def style(*names: str) -> Markup:
    """Style sheets of this package, one after the other, as they stand."""
    folder = files("tutelage.report").joinpath("templates")
    return Markup("".join(folder.joinpath(name).read_text("utf-8") for name in names))  # noqa: S704 - ours
