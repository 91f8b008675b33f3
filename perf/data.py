"""Question: what does strict reading cost beside `datasets.load_dataset`?

    python perf/data.py [--megabytes 100] [--rounds 3] [--alone]

needs the extra `perf-data`, but for `--alone`: Tutelage without the peer. For each kind of file, written on the fly: Tutelage reads and checks every row; datasets reads the same file
and writes its own cache, without a cache to begin with. Each measurement is a process of its own, the two sides take
turns, and the best of the rounds counts: wall-clock seconds without imports, and the ratio (above 1: Tutelage is faster).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measurement_note import measured_on

OURS = """
import sys, time
from pathlib import Path
from tutelage.data import read
import pyarrow.parquet
start = time.perf_counter()
rows = sum(1 for _ in read(Path(sys.argv[1])))
print(rows, time.perf_counter() - start)
"""
THEIRS = """
import sys, time
import datasets
datasets.disable_progress_bars()
path, kind, cache = sys.argv[1:]
start = time.perf_counter()
found = datasets.load_dataset(kind, data_files=path, split="train", cache_dir=cache)
print(len(found), time.perf_counter() - start)
"""


def words(rng: random.Random, count: int, vocabulary: list[str]) -> str:
    return " ".join(rng.choices(vocabulary, k=count))


def rows(megabytes: float) -> Iterator[dict[str, Any]]:
    """Rows as instruction data has them: an id, a prompt of some hundred characters, a shorter answer, a number."""
    rng = random.Random(0)  # noqa: S311 - the same rows every time
    vocabulary = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyzäöü", k=rng.randint(2, 9))) for _ in range(5000)
    ]
    size = number = 0
    while size < megabytes * 1_000_000:
        prompt = f'{words(rng, 80, vocabulary)}\n"{words(rng, 3, vocabulary)}"?'
        completion = words(rng, 30, vocabulary)
        size += len(prompt.encode()) + len(completion.encode()) + 60
        yield {"id": number, "prompt": prompt, "completion": completion, "score": 0.5}
        number += 1


def conversations(megabytes: float) -> Iterator[dict[str, Any]]:
    for row in rows(megabytes):
        said = [("system", "Be short."), ("user", row["prompt"]), ("assistant", row["completion"])]
        yield {"messages": [{"role": role, "content": content} for role, content in said]}


def jsonl(path: Path, made: Iterator[dict[str, Any]], *, ascii_only: bool = False) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in made:
            file.write(json.dumps(row, ensure_ascii=ascii_only) + "\n")


def table(path: Path, made: Iterator[dict[str, Any]]) -> None:
    import csv

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "prompt", "completion", "score"])
        writer.writeheader()
        writer.writerows(made)


def parquet(path: Path, made: Iterator[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(made)), path, row_group_size=10_000)


KINDS: dict[str, tuple[str, str, Callable[[Path, float], None]]] = {
    "JSONL": ("rows.jsonl", "json", lambda path, size: jsonl(path, rows(size))),
    "JSONL, \\u escapes": (
        "escaped.jsonl",
        "json",
        lambda path, size: jsonl(path, rows(size), ascii_only=True),
    ),
    "JSONL of messages": ("talk.jsonl", "json", lambda path, size: jsonl(path, conversations(size))),
    "CSV": ("rows.csv", "csv", lambda path, size: table(path, rows(size))),
    "Parquet": ("rows.parquet", "parquet", lambda path, size: parquet(path, rows(size))),
}


def timed(program: str, *words_: str) -> tuple[int, float]:
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *words_], capture_output=True, text=True, check=True, env=env
    )
    count, seconds = done.stdout.split()[-2:]
    return int(count), float(seconds)


def reading(folder: Path, megabytes: float, rounds: int, kinds: Sequence[str], *, alone: bool) -> None:
    print("| file | MB | rows | Tutelage, s | datasets, s | ratio |\n|---|---:|---:|---:|---:|---:|")
    for name in kinds:
        file, kind, make = KINDS[name]
        path = folder / file
        make(path, megabytes)
        ours: list[float] = []
        theirs: list[float] = []
        for turn in range(rounds):
            found, seconds = timed(OURS, str(path))
            ours.append(seconds)
            if alone:
                continue
            count, seconds = timed(THEIRS, str(path), kind, str(folder / f"cache-{turn}-{file}"))
            theirs.append(seconds)
            assert found == count, f"{found} rows here, {count} there"
        size = path.stat().st_size / 1e6
        peer = "| |" if alone else f"| {min(theirs):.2f} | {min(theirs) / min(ours):.2f} |"
        print(
            f"| {name} | {size:.0f} | {found:,} | {min(ours):.2f} {peer}",
            flush=True,
        )
        path.unlink()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="of files")
    parser.add_argument("--alone", action="store_true", help="Tutelage only")
    options = parser.parse_args(arguments)
    if not options.alone and not find_spec("datasets"):
        sys.exit("datasets is not installed: pip install -e '.[perf-data]', or measure Tutelage with --alone")
    print(f"{measured_on()}\n")
    with tempfile.TemporaryDirectory() as folder:
        reading(Path(folder), options.megabytes, options.rounds, options.kinds, alone=options.alone)


if __name__ == "__main__":
    main()
