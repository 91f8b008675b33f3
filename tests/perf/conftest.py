"""Scripts of perf/ import what they share from its folders, as they do when Python runs them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "perf"))
