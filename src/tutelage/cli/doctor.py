"""`tutelage doctor`: what this machine offers for training and evaluation."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

from tutelage.cli import console

NO_COMPILED_CORE = (
    "not built, Python counts instead: install a C compiler and Python's headers, then install Tutelage again"
)


def doctor(json: Annotated[bool, console.Json] = False) -> None:
    """Show processors, memory, disk, accelerators, speed of matrix products, the model cache, the compiled core."""
    facts = machine_facts()
    if json:
        console.print_json(facts)
    else:
        console.show_table(["", ""], [[name, str(value)] for name, value in facts.items()])


def machine_facts() -> dict[str, Any]:
    """Everything that `doctor` prints, by name."""
    import torch

    from tutelage.core import caches
    from tutelage.core.provenance import processor, versions
    from tutelage.metrics.rouge import core
    from tutelage.models import bundled

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
        if any(bundled.is_cached(spec) for spec in bundled.table().values())
        else "not fetched: tutelage models fetch smollm2-135m-instruct",
        "compiled core of ROUGE": "in use" if core.BUILT else NO_COMPILED_CORE,
        **{f"version of {name}": version for name, version in versions().items()},
    }


def matrix_rate(dtype: Any, *, size: int = 1024, seconds: float = 0.5) -> float:
    """Billions of floating-point operations a second in products of square matrices, over about `seconds`."""
    import torch

    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    a @ b
    start, products = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        a @ b
        products += 1
    return round(2 * size**3 * products / (time.perf_counter() - start) / 1e9, 1)


def _gigabytes(count: int) -> float:
    return round(count / 1e9, 1)
