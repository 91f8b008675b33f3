"""How full are packs, and how full were micro-batches?

    python perf/packing.py [--data DIR] [--length 1024] [--target 256]

Every file of the data folder's `instruction` whose columns say what prompt and completion are, read, put into words and
encoded as a recipe does (SmolLM2's tokenizer, chatml-plain), without the rows that are longer than `--length`. The
training order mixes them all. For encoder-decoder models the same tokenizer makes source and target; rows whose target
is longer than `--target` are left out. One epoch; fill is tokens over the room of all packs, or micro-batches of
`--length` tokens. Prints processor time for finding the packs too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from measurement_note import measured_on
from tutelage.config.data_block import Data
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError
from tutelage.core.types import Encoded, Prompted
from tutelage.data import load
from tutelage.mixture.epoch_order import EpochOrder
from tutelage.models import load_tokenizer, resolve
from tutelage.tokens import chat_templates
from tutelage.tokens.batch import micro_batches, size
from tutelage.tokens.batch_encoding import encode_all
from tutelage.tokens.encoder import Encoder
from tutelage.tokens.packing import WINDOW, Packing, Packs, packing_of

BATCHES = (8, 16, 32, 64)


@dataclass(frozen=True)
class Filled:
    """An epoch: its packs or micro-batches, and the share of their room that rows take."""

    count: int
    fill: tuple[float, ...]
    seconds: float


def prompted(folder: Path) -> Iterator[list[Prompted]]:
    """The rows of each file that says what its prompt and completion are."""
    for path in sorted(folder.rglob("*.*")):
        if not path.is_file() or path.suffix in {".md", ".txt"}:
            continue
        layout = {"flan_cot": "flan-cot"}.get(path.parent.name)  # these files have no line of columns
        task = Task(data=Data(path=str(path), layout=layout), name=path.name.split(".")[0])
        try:
            loaded = load(task.data.source(), root=folder)
            words = task.template_for(loaded.examples, where="task", root=folder, default=loaded.template)
            yield list(words.render_all(loaded.examples, task.name))
        except InputError as error:
            print(f"left out: {path.relative_to(folder)}: {error.problem}", flush=True)


def packed(row_at: Callable[[int], Encoded], packing: Packing, batch_size: int) -> Filled:
    started = time.process_time()
    steps = -(-packing.epoch // batch_size)
    packs = Packs(row_at, packing, batch_size=batch_size, steps=steps)
    found = [pack for step in range(steps) for pack in packs.of_step(step)]
    return Filled(len(found), packs.fill(found), time.process_time() - started)


def cut(row_at: Callable[[int], Encoded], rows: int, batch_size: int, length: int) -> Filled:
    """What steps of rows are cut into without packing."""
    started = time.process_time()
    steps = [range(low, low + batch_size) for low in range(0, rows, batch_size)]
    found = [micro for step in steps for micro in micro_batches([row_at(p) for p in step], tokens=length)]
    tokens = sum(size(row) for micro in found for row in micro)
    return Filled(len(found), (tokens / (len(found) * length),), time.process_time() - started)


def padded(row_at: Callable[[int], Encoded], rows: int, batch_size: int, length: int) -> float:
    """The share of a padded encoder-decoder micro-batch that is no padding, both sides together."""
    real = room = 0
    for low in range(0, rows, batch_size):
        for micro in micro_batches([row_at(low + i) for i in range(batch_size)], tokens=length):
            real += sum(size(row) for row in micro)
            room += len(micro) * (max(len(r.ids) for r in micro) + max(len(r.source or ()) for r in micro))
    return real / room


def percent(fill: tuple[float, ...]) -> str:
    return " / ".join(f"{100 * share:.1f} %" for share in fill)


def measure(title: str, tasks: list[list[Encoded]], packings: dict[str, Packing], length: int) -> None:
    order = EpochOrder(seed=0, sizes=[len(rows) for rows in tasks])
    count = order.epoch_size

    def row_at(position: int) -> Encoded:
        task, row = order.at(position)
        return tasks[task][row]

    for position in range(count):  # so that timings hold no first use
        row_at(position)
    tokens = sum(size(row) for rows in tasks for row in rows)
    print(f"\n{title}: {count:,} rows, {tokens / count:.0f} tokens a row\n")
    print("| what | batch_size | packs | fill | CPU ms a window |\n|---|---:|---:|---:|---:|")
    windows = -(-count // WINDOW)
    for batch_size in BATCHES:
        plain = cut(row_at, count, batch_size, length)
        print(
            f"| without packing | {batch_size} | {plain.count:,} micro-batches | {percent(plain.fill)} | |",
            flush=True,
        )
        if tasks[0][0].source is not None:
            share = padded(row_at, count, batch_size, length)
            print(f"| of these no padding | {batch_size} | | {100 * share:.1f} % | |")
        for name, packing in packings.items():
            it = packed(row_at, packing, batch_size)
            print(
                f"| {name} | {batch_size} | {it.count:,} | {percent(it.fill)} | {it.seconds / windows * 1e3:.1f} |",
                flush=True,
            )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TUTELAGE_DATA", "../shared/data")))
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--target", type=int, default=256)
    asked = parser.parse_args(arguments)
    print(measured_on())
    words = list(prompted((asked.data / "instruction").absolute()))
    model = load_tokenizer(
        resolve("smollm2-135m-instruct"),
        chat_template=chat_templates.template_text("chatml-plain", root=Path()),
    )
    for pairs in (False, True):
        encoder = Encoder(model.tokenizer, encoder_decoder=pairs)
        limit = asked.target if pairs else asked.length
        tasks = [
            [
                row
                for row in encode_all(encoder, rows)
                if len(row.ids) <= limit and len(row.source or ()) <= asked.length
            ]
            for rows in words
        ]
        tasks = [rows for rows in tasks if rows]
        every = [row for rows in tasks for row in rows]
        if pairs:
            own = packing_of(every, max_length=asked.length)
            packings = {
                f"packs of {asked.length} source and {asked.target} target tokens": Packing(
                    asked.target, asked.length, len(every)
                ),
                f"packs of {own.source} source and {own.target} target tokens (the recipe's)": own,
            }
        else:
            packings = {f"packs of {asked.length} tokens": packing_of(every, max_length=asked.length)}
        measure(
            "encoder-decoder, source / target" if pairs else "decoder-only", tasks, packings, asked.length
        )


if __name__ == "__main__":
    main()
