"""The Jinja environment, style sheets and scripts of all pages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment(**filters: Callable[..., Any]) -> Environment:
    """Make the Jinja environment of a page. Every value is escaped; an unknown name is an error."""
    jinja = Environment(
        loader=PackageLoader("tutelage.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(filters)
    return jinja


def static(*names: str) -> Markup:
    """Join style sheets or scripts of this package, unescaped."""
    folder = files("tutelage.report").joinpath("templates")
    return Markup("".join(folder.joinpath(name).read_text("utf-8") for name in names))  # noqa: S704 - ours
