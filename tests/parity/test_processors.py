"""What the suite records and compares holds on other processors: its tests of computed values, run with older instructions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VALUES = ("parity/test_mmlu.py", "models", "training", "engine", "tokens", "end_to_end/test_run.py")
# Each library chooses its kernels for the processor; these hold it to those for one without AVX, and for one without AVX-512.
PROCESSORS = {
    "sse4": {
        "ATEN_CPU_CAPABILITY": "default",
        "DNNL_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "OMP_NUM_THREADS": "2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "DNNL_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "OMP_NUM_THREADS": "1",
    },
}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_computed_values_hold_on_other_processors(processor: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-m", "not long", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*words, f"--basetemp={tmp_path / 'tests'}", *(str(ROOT / "tests" / place) for place in VALUES)],
        cwd=ROOT,
        env={**os.environ, **PROCESSORS[processor]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
