"""The line that stands below a table of measurements."""

from __future__ import annotations

from tutelage.core.provenance import SOURCES, git_commit, processor, timestamp
from tutelage.core.version import __version__


def measured_on() -> str:
    """Date, commit and processor of a measurement, as one line."""
    commit, changed, _ = (git_commit(SOURCES) or f"version {__version__}").partition("-changed")
    short = commit if commit.startswith("version") else commit[:7]
    cpu = processor()
    return f"Measured {timestamp()[:10]} at {short}{changed}, {cpu.name}, {cpu.cores} cores ({' '.join(cpu.features)})."
