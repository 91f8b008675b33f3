"""`tutelage doctor`: what this machine can do."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

from tutelage.cli import console


def doctor(json: Annotated[bool, console.Json] = False) -> int:
    """Look at processors, memory, disk, accelerators, speed of matrix products, the model cache, the compiled core."""
    found = look()
    if json:
        console.print_json(found)
        return 0
    console.show_table(["", ""], [[name, str(value)] for name, value in found.items()])
    return 0


def look() -> dict[str, Any]:
    """Everything that `doctor` prints, by name."""
    import torch

    from tutelage.core import caches
    from tutelage.core.provenance import processor, versions

    cpu = processor()
    return {
        "processor": cpu.name,
        "processor features": " ".join(cpu.features),
        "processors": cpu.cores,
        "threads that torch uses": torch.get_num_threads(),
        "memory in GB": _gigabytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        "free disk for runs in GB": _gigabytes(shutil.disk_usage(Path.cwd()).free),
        "accelerators": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "fp32 matrix products in GFLOP/s": matrix_rate(torch.float32),
        "bf16 matrix products in GFLOP/s": matrix_rate(torch.bfloat16),
        "cache": str(caches.root()),
        "bundled model": "in the cache"
        if _bundled_is_there()
        else "not fetched: tutelage models fetch smollm2-135m-instruct",
        "compiled core of ROUGE and BLEU": _compiled_core(),
        **{f"version of {name}": version for name, version in versions().items()},
    }


def matrix_rate(dtype: Any, *, size: int = 1024, seconds: float = 0.5) -> float:
    """Billions of floating-point operations a second in products of square matrices, over about `seconds`."""
    import torch

    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    left @ right
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        left @ right
        done += 1
    return round(2 * size**3 * done / (time.perf_counter() - began) / 1e9, 1)


def _bundled_is_there() -> bool:
    from tutelage.models import bundled

    return any(bundled.ready(spec) for spec in bundled.table().values())


def _compiled_core() -> str:
    from tutelage.metrics.rouge import core

    if core.BUILT:
        return "in use"
    return "not built, numpy counts instead: install a C compiler and Python's headers, then install Tutelage again"


def _gigabytes(count: int) -> float:
    return round(count / 1e9, 1)
