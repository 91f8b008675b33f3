"""Sphinx's settings for `make docs`."""

from pathlib import Path
from typing import Any

from tutelage.core.version import __version__

project = "Tutelage"
release = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"Tutelage {release}"
suppress_warnings = ["misc.highlighting_failure"]  # blocks name data formats that Pygments does not know
# README links pages beside it, which stand in the site under docs/.
PAGES_BESIDE_README = {"SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md"}


def link_pages_of_the_site(_app: Any, _folder: Path, _page: str, content: list[str]) -> None:
    """Point links to files beside README to the pages that include them."""
    for name, page in PAGES_BESIDE_README.items():
        content[0] = content[0].replace(f"({name})", f"({page})")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("include-read", link_pages_of_the_site)
