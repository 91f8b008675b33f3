"""Sphinx's settings for `make docs`."""

from tutelage.core.version import __version__

project = "Tutelage"
release = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"Tutelage {release}"
