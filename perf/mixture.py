"""Question: what does a mixture of 1,836 tasks and 100 million rows cost, beside `datasets.interleave_datasets`?

    python perf/mixture.py [--rows 100000] [--rounds 3] [--peer-tasks 1836 | --alone]

needs the extra `perf-data`, but for `--alone`: Tutelage without the peer. Two Arrow files of a million rows each are written; every task is a part of one of them, so contents repeat on
disk and row numbers do not. Every measurement is a process of its own. Prints, beside the goals: seconds from the start of
the program to the first batch; milliseconds to seek any position; resident memory at 1, 10 and 100 million rows (private, and
pages of the mapped files, which the system may drop); rows a second with their template, by wall clock and by processor.

The peer gets its tasks from the same files, the same shares and the same template. Its ways are streaming (rendered a row or 64 at
a time before the interleaving, by `TaskTemplate`) and a map-style data set, which makes a list of all rows of the mixture first and
is rendered on access, 1,024 rows at a time: by jinja2's compiled templates, as its users would; by `TaskTemplate.render_all`, lent to it; and
by no template at all, the texts put together in Python by hand, which nothing with templates can undercut. Its set-up, which
grows with the rows, is told apart. Both sides read as many tasks (`--peer-tasks`), in turns; Tutelage gives batches of 1,024 with their
prompts and completions. The ratios are of rows a second (above 1: Tutelage is faster), by processor time, which a second job on the
machine disturbs least. With its set-up: by the clock, from the first look at the files to the last row.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TASKS = 1836
TOTAL = 100_000_000
TOTALS = (1_000_000, 10_000_000, TOTAL)
FILE_ROWS = 1_000_000
FILES = 2
BATCH = 64
LARGE = 1024
PROMPT = "How was it?\n\n{{ text }}\n\nAnswer yes or no."
COMPLETION = "{{ answer }}"
COMPUTED = PROMPT.replace("text", "text | trim")
"""The same texts, by a template that does more than put fields into a text."""


def sizes(total: int) -> list[int]:
    """1,836 sizes from 100 to a million, most of them small, that add up to `total` nearly."""
    tall = [((n + 0.5) / TASKS) for n in range(TASKS)]
    low, high = 0.01, 100.0
    for _ in range(60):
        bend = (low + high) / 2
        found = [int(100 * (FILE_ROWS / 100) ** (one**bend)) for one in tall]
        low, high = (bend, high) if sum(found) > total else (low, bend)
    random.Random(0).shuffle(found)  # noqa: S311 - the same sizes every time
    return found


def write(folder: Path) -> None:
    """Reviews of about 150 characters."""
    import pyarrow as pa

    text = "The soup came late but warm, and the bread was fresh. " * 2
    schema = pa.schema([("text", pa.string()), ("answer", pa.string()), ("stars", pa.int64())])
    for file in range(FILES):
        with pa.ipc.new_stream(str(folder / f"{file}.arrow"), schema) as writer:
            for start in range(0, FILE_ROWS, 10_000):
                numbers = range(start, min(start + 10_000, FILE_ROWS))
                columns = [
                    [f"Visit {file}.{n}, table {n * 7 % 91}. {text}" for n in numbers],
                    ["yes" if n % 3 else "no" for n in numbers],
                    [n % 5 for n in numbers],
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))


def places(total: int) -> list[tuple[str, int, int]]:
    """Each task's file and rows in it."""
    chance = random.Random(1)  # noqa: S311 - the same parts every time
    found = []
    for number, size in enumerate(sizes(total)):
        start = chance.randrange(FILE_ROWS - size + 1)
        found.append((f"{number % FILES}.arrow", start, start + size))
    return found


def shares(found: list[tuple[str, int, int]]) -> Any:
    """FLAN's: clipped at 3,000."""
    from tutelage.mixture import Mix, TaskSize, task_shares

    parts = [TaskSize(f"task{n}", stop - start) for n, (_, start, stop) in enumerate(found)]
    return task_shares(Mix("all", parts, rate_maximum=3000))


def ours(folder: Path, found: list[tuple[str, int, int]], prompt: str = PROMPT) -> Any:
    from tutelage.data.mapped import MappedRows
    from tutelage.mixture import MixtureSource, MixtureStream
    from tutelage.templates import TaskTemplate

    files = {f"{n}.arrow": MappedRows(folder / f"{n}.arrow") for n in range(FILES)}
    template = TaskTemplate(prompt, COMPLETION)
    sources = [
        MixtureSource(f"task{n}", files[file].part(start, stop), template)
        for n, (file, start, stop) in enumerate(found)
    ]
    return MixtureStream.of(0, sources, shares(found))


def resident() -> dict[str, int]:
    """Megabytes: all, private, of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines)
    return {name: int(told[name].split()[0]) // 1024 for name in ("VmRSS", "RssAnon", "RssFile")}


def child_start(folder: Path, began: str) -> dict[str, float]:
    batch = next(ours(folder, places(TOTAL)).batches(BATCH))
    return {"seconds": time.time() - float(began), "cpu": time.process_time(), "rows": len(batch)}


def child_seek(folder: Path) -> dict[str, float]:
    mixed = ours(folder, places(TOTAL))
    chance = random.Random(2)  # noqa: S311 - the same places every time
    asked = [chance.randrange(10 ** chance.randrange(3, 13)) for _ in range(1000)]
    mixed.span(0, BATCH)
    wall, cpu = [], []
    for position in asked:
        start, used = time.perf_counter(), time.process_time()
        mixed.span(position, position + 1)
        wall.append((time.perf_counter() - start) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return {"median": sorted(wall)[500], "worst": max(wall), "worst by processor": max(cpu)}


def child_memory(folder: Path, total: str, rows: str) -> dict[str, int]:
    mixed = ours(folder, places(int(total)))
    for batch in range(int(rows) // 1000):  # far apart, so that all of the files is touched
        mixed.span(batch * 7_777_000, batch * 7_777_000 + 1000)
    return resident()


def child_rows(folder: Path, tasks: str, rows: str, subject: str = "texts") -> dict[str, float]:
    """`what`: texts, texts of the template that computes (computed), or whole rows (whole)."""
    begun = time.perf_counter()
    mixed = ours(folder, places(TOTAL)[: int(tasks)], COMPUTED if subject == "computed" else PROMPT)
    mixed.span(0, 1000)
    batches = mixed.batches(LARGE)
    return measured((list(b) if subject == "whole" else b.prompts for b in batches), int(rows), begun)


Columns = dict[str, list[Any]]


def lent() -> Callable[[Columns], Columns]:
    """Tutelage's template over columns."""
    from tutelage.core.types import Example, Origin
    from tutelage.templates import TaskTemplate

    template, origin = TaskTemplate(PROMPT, COMPLETION), Origin("rows.arrow", 1, "row")

    def several(columns: Columns) -> Columns:
        fields = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        made = template.render_all([Example("row", one, origin) for one in fields], "task")
        return {"prompt": [one.prompt for one in made], "completion": [one.completion for one in made]}

    return several


def jinja(asked: str = PROMPT) -> Callable[[Columns], Columns]:
    import jinja2

    environment = jinja2.Environment()  # noqa: S701 - no HTML
    prompt, completion = environment.from_string(asked), environment.from_string(COMPLETION)

    def several(columns: Columns) -> Columns:
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return {
            "prompt": [prompt.render(row) for row in rows],
            "completion": [completion.render(row) for row in rows],
        }

    return several


def by_hand() -> Callable[[Columns], Columns]:
    before, after = PROMPT.split("{{ text }}")

    def several(columns: Columns) -> Columns:
        return {
            "prompt": [before + text + after for text in columns["text"]],
            "completion": columns["answer"],
        }

    return several


MAP_STYLE: dict[str, Callable[[], Callable[[dict[str, Any]], dict[str, list[str]]]]] = {
    "map-style, jinja2": jinja, "map-style, templates lent": lent, "map-style, by hand": by_hand,
    "map-style, jinja2, computed": partial(jinja, COMPUTED),
}  # fmt: skip


def child_peer(folder: Path, tasks: str, rows: str, way: str) -> dict[str, float]:
    """`interleave_datasets` over the same tasks."""
    import datasets

    from tutelage.core.types import Example, Origin
    from tutelage.templates import TaskTemplate

    datasets.disable_progress_bars()
    begun = time.perf_counter()
    template = TaskTemplate(PROMPT, COMPLETION)
    origin = Origin("rows.arrow", 1, "row")

    def one(row: dict[str, Any]) -> dict[str, str]:
        made = template.render(Example("row", row, origin), "task")
        return {"prompt": made.prompt, "completion": made.completion}

    found = places(TOTAL)[: int(tasks)]
    chances = [rate.share for rate in shares(found)]
    files = {f"{n}.arrow": datasets.Dataset.from_file(str(folder / f"{n}.arrow")) for n in range(FILES)}
    parts: list[Any] = [files[file].select(range(start, stop)) for file, start, stop in found]
    rule = {"probabilities": chances, "seed": 0, "stopping_strategy": "first_exhausted"}
    if way in MAP_STYLE:
        mixed = datasets.interleave_datasets(parts, **rule).with_transform(MAP_STYLE[way]())
        batches: Iterator[Any] = iter(mixed.iter(batch_size=LARGE))
        return measured((batch["prompt"] for batch in batches), int(rows), begun)
    rendering: dict[str, Any] = {"batched": True, "batch_size": BATCH} if way == "streaming, 64" else {}
    streams = [
        part.to_iterable_dataset().map(
            lent() if rendering else one, remove_columns=["text", "answer", "stars"], **rendering
        )
        for part in parts
    ]
    mixed = datasets.interleave_datasets(streams, **rule)
    return measured(([row] for row in mixed), int(rows), begun)


def measured(batches: Iterator[list[Any]], rows: int, begun: float) -> dict[str, float]:
    """Rows a second, after the first batch."""
    next(batches)
    ready = time.perf_counter()
    wall, cpu, count = ready, time.process_time(), 0
    while count < rows and (batch := next(batches, None)) is not None:
        count += len(batch)
    return {
        "rows": count,
        "setup": ready - begun,
        "wall": count / (time.perf_counter() - wall),
        "cpu": count / (time.process_time() - cpu),
    }


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "start": child_start, "seek": child_seek, "memory": child_memory, "rows": child_rows, "peer": child_peer,
}  # fmt: skip
WAYS = ("streaming", "streaming, 64", *MAP_STYLE)


def child(subject: str, folder: Path, *words: Any) -> dict[str, Any]:
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder)}
    command = [sys.executable, __file__, "--child", subject, str(folder), *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return max(runs, key=lambda run: float(run["cpu"]))


def goals(folder: Path, rows: int, rounds: int) -> None:
    child("start", folder, time.time())
    starts = [child("start", folder, time.time()) for _ in range(rounds)]
    seconds, cpu = (min(start[name] for start in starts) for name in ("seconds", "cpu"))
    print(
        f"first batch       {seconds:.2f} s after the program's start, {cpu:.2f} of the processor (goal: 3)"
    )
    seek = child("seek", folder)
    print(
        "seek              " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in seek.items()) + " (goal: 10)"
    )
    for total in TOTALS:
        found = child("memory", folder, total, rows)
        print(
            f"memory at {total // 1_000_000:>4} M  {found['VmRSS']} MB: {found['RssAnon']} private, "
            f"{found['RssFile']} mapped (goal: 1,000 in all)",
            flush=True,
        )
    for subject in ("texts", "whole"):
        done = best([child("rows", folder, TASKS, rows, subject) for _ in range(rounds)])
        print(
            f"rendered, {subject:<7} {done['wall']:,.0f} rows/s, {done['cpu']:,.0f} a processor second (goal: 20,000)"
        )


def peers(folder: Path, tasks: int, rows: int, rounds: int) -> None:
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for subject in ("texts", "computed"):
            runs.setdefault(subject, []).append(child("rows", folder, tasks, rows, subject))
        for way in WAYS:
            runs.setdefault(way, []).append(child("peer", folder, tasks, rows, way))
    print(
        f"\n{tasks} tasks | set-up, s | rows/s | a processor second | rows | with its set-up, rows/s"
        "\n---|---:|---:|---:|---:|---:"
    )
    found = {name: best(several) for name, several in runs.items()}
    for name, run in found.items():
        print(
            f"{'datasets' if name in WAYS else 'Tutelage'}, {name} | {run['setup']:.2f} | {run['wall']:,.0f} "
            f"| {run['cpu']:,.0f} | {run['rows']:,} | {whole(run):,.0f}"
        )
    for way in WAYS:
        mine = found["computed" if "computed" in way else "texts"]
        ratios = mine["cpu"] / found[way]["cpu"], whole(mine) / whole(found[way])
        print(f"ratio to {way}: {ratios[0]:.2f}, with its set-up {ratios[1]:.2f} (goal: 3)")


def whole(run: dict[str, Any]) -> float:
    """Rows a second by the clock from the program's first look at the files."""
    return float(run["rows"] / (run["setup"] + run["rows"] / run["wall"]))


def main(arguments: Sequence[str] | None = None) -> None:
    if sys.argv[1:2] == ["--child"] and arguments is None:
        subject, place, *words = sys.argv[2:]
        print(json.dumps(CHILDREN[subject](Path(place), *words)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    sides = parser.add_mutually_exclusive_group()
    sides.add_argument("--peer-tasks", type=int, default=TASKS)
    sides.add_argument("--alone", action="store_true", help="Tutelage only")
    asked = parser.parse_args(arguments)
    if not asked.alone and not find_spec("datasets"):
        sys.exit("datasets is not installed: pip install -e '.[perf-data]', or measure Tutelage with --alone")
    from measurement_note import measured_on

    print(measured_on())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        used = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        all_rows = sum(sizes(TOTAL))
        print(
            f"{TASKS:,} tasks, {all_rows:,} rows of {min(sizes(TOTAL))} to {max(sizes(TOTAL)):,}; {used:.0f} MB on disk"
        )
        goals(folder, asked.rows, asked.rounds)
        if not asked.alone:
            peers(folder, asked.peer_tasks, asked.rows, asked.rounds)


if __name__ == "__main__":
    main()
