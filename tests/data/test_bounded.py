"""Reading holds a bounded piece of a file, whatever the file's size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

READ = """
import sys
from pathlib import Path
from tutelage.data import read

def peak():
    # VmHWM and not ru_maxrss: a child begins with the peak of the process that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

rows = iter(read(Path(sys.argv[1])))
next(rows)
for _ in range(int(sys.argv[2])):
    next(rows)
early = peak()
count = int(sys.argv[2]) + 1 + sum(1 for _ in rows)
print(count, early, peak())
"""
ROW = (
    '{"id": %d, "prompt": "'
    + "What is this about? " * 40
    + '", "completion": "'
    + "A few words. " * 12
    + '"}\n'
)


def write(path: Path, size: int) -> int:
    count = 0
    with path.open("w") as file:
        if path.suffix == ".json":
            file.write("[\n")
        while file.tell() < size:
            rows = [ROW % n for n in range(count, count + 1000)]
            file.write("".join(row[:-1] + ",\n" if path.suffix == ".json" else row for row in rows))
            count += 1000
        if path.suffix == ".json":
            file.write(ROW % count + "]\n")
            count += 1
    return count


def measured(path: Path, early: int) -> tuple[int, float, float]:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(early)], capture_output=True, text=True, check=True
    )
    count, first, last = done.stdout.split()
    return int(count), float(first), float(last)


def check(path: Path, size: int) -> None:
    try:
        rows = write(path, size)
        count, early, late = measured(path, 5000)
    finally:
        path.unlink(missing_ok=True)
    assert count == rows
    assert late - early < 16, f"{early:.0f} MB after 5,000 rows, {late:.0f} MB after {rows:,}"


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_memory_stays_flat_over_60_megabytes(tmp_path, name):
    check(tmp_path / name, 60_000_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_memory_stays_flat_over_2_gigabytes(tmp_path, name):
    check(tmp_path / name, 2_000_000_000)
