"""Ten files of ten shapes, as people bring them: what `docs/first-hour.md` walks through."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

THINGS = (
    "bicycle", "tent", "kettle", "lamp", "jacket", "boat", "ladder", "drum", "mirror", "carpet", "clock", "hammer",
    "basket", "candle", "helmet", "pillow", "shovel", "teapot", "violin", "wallet", "anchor", "bucket", "cradle", "easel",
    "fiddle", "goblet", "hatchet", "inkwell", "jigsaw", "kimono", "lantern", "mattress", "napkin", "oven", "pencil", "quilt",
    "racket", "saddle", "trumpet", "umbrella",
)  # fmt: skip
QUEUES = ("billing", "delivery", "returns", "technical")
HINDI = ("साइकिल", "तंबू", "दीपक", "नाव", "घड़ी", "दर्पण", "कालीन", "टोकरी")


def _jsonl(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _odd_csv(path: Path) -> None:
    """Semicolons, a byte order mark, Windows line ends, an index column without a name, and line breaks in quotes."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerow(["", "Customer Question", "Agent Reply"])
        for n, thing in enumerate(THINGS):
            writer.writerow(
                [n, f"Where is my {thing}?\nI paid for it; twice.", f"Your {thing} comes tomorrow."]
            )


def _chats(path: Path) -> None:
    _jsonl(
        path,
        [
            {
                "messages": [
                    {"role": "system", "content": "Be short."},
                    {"role": "user", "content": f"I have lost the {thing}."},
                    {"role": "assistant", "content": "What colour was it?"},
                    {"role": "user", "content": f"Red, as any {thing}."},
                    {"role": "assistant", "content": f"We have found a red {thing}."},
                ]
            }
            for thing in THINGS[:20]
        ],
    )


def _tickets(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ticket_id", "created_at", "subject", "body", "queue"])
        for n, thing in enumerate(THINGS):
            queue = QUEUES[n % 4]
            created = f"2026-03-{n % 28 + 1:02}T09:{n:02}:00Z"
            writer.writerow([9000 + n, created, f"My {thing}", f"The {thing} has to do with {queue}.", queue])


def _preferences(path: Path) -> None:
    _jsonl(
        path,
        [
            {"prompt": f"Describe a {t}.", "chosen": f"A {t} is a useful thing.", "rejected": "No idea."}
            for t in THINGS
        ],
    )


def _german(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Nr", "Antwort", "Frage"])
        for n, thing in enumerate(THINGS):
            writer.writerow([n + 1, f"Ja, {thing} ist da.", f"Haben Sie für mich {thing}?"])


def _pandas_parquet(path: Path) -> None:
    """As `DataFrame.to_parquet` writes a filtered table: with the index that is left."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "question": [f"How heavy is the {thing}?" for thing in THINGS],
        "answer": [f"The {thing} weighs {n + 1} kilograms." for n, thing in enumerate(THINGS)],
        "score": [float("nan") if n % 3 else 0.5 for n in range(len(THINGS))],
        "__index_level_0__": [3 * n for n in range(len(THINGS))],
    }
    pq.write_table(pa.table(columns), path)


def _hindi(path: Path) -> None:
    _jsonl(
        path,
        [
            {"question": f"{thing} {n} कहाँ है?", "answer": f"{thing} {n} घर में है।"}
            for n in range(5)
            for thing in HINDI
        ],
    )


def _code(path: Path) -> None:
    _jsonl(
        path,
        [
            {
                "task_id": n,
                "instruction": f"Write a function that counts the {thing}s of a list.",
                "code": f"def count(items):\n    return items.count({thing!r})\n",
            }
            for n, thing in enumerate(THINGS)
        ],
    )


def _splits(path: Path) -> None:
    def rows(some: Sequence[str]) -> list[dict[str, str]]:
        return [{"prompt": f"Sell me the {t}.", "completion": f"The {t} is sold."} for t in some]

    splits = {"train": rows(THINGS[:24]), "validation": rows(THINGS[24:30]), "test": rows(THINGS[30:])}
    path.write_text(json.dumps(splits), encoding="utf-8")


def _entities(path: Path) -> None:
    sentences = [
        [("Anna", "B-PER"), ("sold", "O"), ("a", "O"), (t, "O"), ("in", "O"), ("Rome", "B-LOC")]
        for t in THINGS
    ]
    path.write_text(
        "\n\n".join("\n".join(f"{token}\t{tag}" for token, tag in sentence) for sentence in sentences) + "\n",
        encoding="utf-8",
    )


FILES: dict[str, Callable[[Path], None]] = {
    "export.csv": _odd_csv,
    "chats.jsonl": _chats,
    "tickets.csv": _tickets,
    "pairs.jsonl": _preferences,
    "fragen.csv": _german,
    "frame.parquet": _pandas_parquet,
    "hindi.jsonl": _hindi,
    "functions.jsonl": _code,
    "all.json": _splits,
    "entities.tsv": _entities,
}
"""The name of each file, and what writes it."""
