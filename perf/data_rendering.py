"""Question: what does it cost to put rows into words and tokens, beside `datasets.map`?

    python perf/data_rendering.py [--rows 20000] [--rounds 3] [--alone]

needs the extra `perf-data`, but for `--alone`: Tutelage without the peer. Both sides take the same rows in memory, the same two Jinja templates, the model's own chat template, the
same fast tokenizer and the same number of threads, and give ids and a loss mask. The peer is a batched function under
`map(batched=True, batch_size=1000)` without cache: its templates compiled once, the chat template applied to a batch,
one call of the tokenizer for prompts and one for completions. Ours is `TaskTemplate.render_all`, then `encode_all`;
once in this process, as the library's templates and all that only put fields into a text; once with a filter, which a
recipe's own template has rendered in the child.

Each measurement is a process of its own, the sides take turns, and the best of the rounds counts: seconds by the clock
and of the processor (children too) without imports, and their ratios (above 1: Tutelage is faster). A hash over all ids and
masks must be the same on all sides. The second table says how much the peak memory grew, for 2 N rows and for 8 N, while the
encoded rows are looked at one by one and let go.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measurement_note import measured_on

PROMPT = "Answer the customer in a friendly way.\n\n{{ question }}"
COMPLETION = "{{ answer }}"
SIDES = ("datasets", "here", "apart")
WORDS = re.findall(
    r"\w+",
    "the of and to in is that it was for on are with as you be at one have this from or had by but what some we can out "
    "other were all there when up use your how said an each which their time will way about many then them write would "
    "like so these her long make thing see him two has look more day could go come did number sound no most people over "
    "know water than call first who may down side been now find any new work part take get place made live where after "
    "back little only round man year came show every good me give our under name very through just form sentence great "
    "think say help low line differ turn cause much mean before move right boy old too same tell does set three want air "
    "invoice refund shipment account password delivery cancellation subscription customer payment address ",
)


def sentence(rng: random.Random, low: int, high: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(low, high))).capitalize()


def questions(rng: random.Random, number: int) -> dict[str, str]:
    """A short question and an answer of several sentences."""
    answer = " ".join(f"{sentence(rng, 8, 15)}." for _ in range(5))
    return {"question": f"{sentence(rng, 8, 16)} (order {number})?", "answer": answer}


def summaries(rng: random.Random, number: int) -> dict[str, str]:
    """A conversation of some lines, and a sentence or two about it."""
    talk = "\n".join(f"#Person{1 + turn % 2}#: {sentence(rng, 6, 18)}." for turn in range(10))
    return {"question": f"{talk}\n{number}", "answer": f"{sentence(rng, 10, 25)}."}


def labels(rng: random.Random, number: int) -> dict[str, str]:
    """A short text, and one of 77 labels."""
    return {"question": f"{sentence(rng, 6, 20)}, {number}", "answer": f"{rng.choice(WORDS[:77])}_payment"}


KINDS: dict[str, Callable[[random.Random, int], dict[str, str]]] = {
    "questions": questions,
    "summaries": summaries,
    "labels": labels,
}


def made(kind: str, count: int) -> list[dict[str, str]]:
    rng = random.Random(0)  # noqa: S311 - the same rows every time
    return [KINDS[kind](rng, number) for number in range(count)]


class Seen:
    """A hash over ids and masks, row by row."""

    def __init__(self) -> None:
        import hashlib

        self.tokens = 0
        self._hash = hashlib.sha256()

    def add(self, ids: object, mask: object) -> None:
        """One row's."""
        import numpy as np

        row = np.asarray(ids, dtype=np.int32)
        self.tokens += len(row)
        self._hash.update(row.tobytes() + b"|" + np.asarray(mask, dtype=np.bool_).tobytes() + b"\n")

    def __str__(self) -> str:
        return self._hash.hexdigest()


def one(side: str, kind: str, count: int, *, keep: bool = True) -> tuple[float, float, float, int, str]:
    """Measure one side in this process: seconds by the clock, of the processor, MB, tokens and the hash."""
    from time import perf_counter

    from tutelage.models import load_tokenizer, resolve

    tokenizer = load_tokenizer(resolve("smollm2-135m-instruct")).tokenizer
    rows = made(kind, count)
    work = peer(tokenizer, rows) if side == "datasets" else ours(tokenizer, rows, side=side, keep=keep)
    memory, processor, started = peak(), spent(), perf_counter()
    seen = work()
    clock, used, grown = perf_counter() - started, spent() - processor, peak() - memory
    rows_hash = seen()
    return clock, used, grown, rows_hash.tokens, str(rows_hash)


def peer(tokenizer: Any, rows: list[dict[str, str]]) -> Callable[[], Callable[[], Seen]]:
    import datasets
    import jinja2

    datasets.disable_caching()
    datasets.disable_progress_bars()
    table = datasets.Dataset.from_list(rows)
    environment = jinja2.Environment()  # noqa: S701 - no HTML
    prompt, completion = environment.from_string(PROMPT), environment.from_string(COMPLETION)

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        told = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        talks = [[{"role": "user", "content": prompt.render(row)}] for row in told]
        texts = tokenizer.apply_chat_template(talks, tokenize=False, add_generation_prompt=True)
        answers = [completion.render(row) + "<|im_end|>" for row in told]
        asked = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        answered = tokenizer(answers, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        pairs = list(zip(asked, answered, strict=True))
        return {
            "input_ids": [a + b for a, b in pairs],
            "completion_mask": [[0] * len(a) + [1] * len(b) for a, b in pairs],
        }

    def work() -> Callable[[], Seen]:
        done = table.map(encode, batched=True, batch_size=1000, remove_columns=table.column_names)

        def seen() -> Seen:
            found = Seen()
            for row in done:
                found.add(row["input_ids"], row["completion_mask"])
            return found

        return seen

    return work


def ours(
    tokenizer: Any, rows: list[dict[str, str]], *, side: str, keep: bool
) -> Callable[[], Callable[[], Seen]]:
    from tutelage.core.types import Example, Origin
    from tutelage.templates import TaskTemplate
    from tutelage.tokens.batch_encoding import encode_all
    from tutelage.tokens.encoder import Encoder

    examples = [Example(f"rows:{n}", row, Origin("rows.jsonl", n)) for n, row in enumerate(rows, 1)]
    # The child is needed only by templates that do more than put fields into a text.
    prompt = PROMPT if side == "here" else PROMPT.replace("question", "question | trim")
    template = TaskTemplate(prompt, COMPLETION, untrusted=side == "apart")
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=8192)

    def work() -> Callable[[], Seen]:
        encoded = encode_all(encoder, template.render_all(examples, "task"))
        found = Seen()
        if keep:
            kept = list(encoded)
        else:
            for row in encoded:
                found.add(row.ids, row.loss_mask)

        def seen() -> Seen:
            for row in kept if keep else ():
                found.add(row.ids, row.loss_mask)
            return found

        return seen

    return work


def peak() -> float:
    """The most memory that this process had, in MB; its children's beside it are not in it."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def spent() -> float:
    """Processor seconds of this process and of the children that ended."""
    import resource

    from tutelage.templates import close

    close()
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)  # os.times() counts in hundredths only


def measured(side: str, kind: str, count: int, *, keep: bool = True) -> tuple[float, float, float, int, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", **threads()}
    words = [sys.executable, str(Path(__file__)), "--side", side, "--kind", kind, "--rows", str(count)]
    words += [] if keep else ["--stream"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    clock, processor, memory, tokens, told = done.stdout.split()[-5:]
    return float(clock), float(processor), float(memory), int(tokens), told


def threads() -> dict[str, str]:
    """The same threads on all sides: as the machine has processors, unless the environment says another number."""
    count = os.environ.get("RAYON_NUM_THREADS", str(os.cpu_count() or 1))
    return {"RAYON_NUM_THREADS": count, "TOKENIZERS_PARALLELISM": "true"}


def speed(count: int, rounds: int, kinds: Sequence[str], sides: Sequence[str]) -> None:
    print(
        f"{count:,} rows, {threads()['RAYON_NUM_THREADS']} threads; seconds by the clock (of the processor)\n"
    )
    print("| rows | tokens a row | datasets.map | here | ratio | in the child | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for kind in kinds:
        taken: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        hashes = set()
        for _ in range(rounds):
            for side in sides:
                clock, processor, _memory, tokens, told = measured(side, kind, count)
                taken[side].append((clock, processor))
                hashes.add(told)
        assert len(hashes) == 1, f"the sides give different ids: {hashes}"
        best = {side: (min(c for c, _ in both), min(p for _, p in both)) for side, both in taken.items()}
        cells = [pair(best["datasets"]) if "datasets" in best else ""]
        for side in ("here", "apart"):
            cells += [pair(best[side]), ratio(best["datasets"], best[side]) if "datasets" in best else ""]
        print(f"| {kind} | {tokens / count:.0f} | " + " | ".join(cells) + " |", flush=True)


def pair(seconds: tuple[float, float]) -> str:
    """Seconds by the clock, and of the processor in brackets."""
    return f"{seconds[0]:.2f} ({seconds[1]:.2f})"


def ratio(peer: tuple[float, float], tutelage: tuple[float, float]) -> str:
    """How many times the peer's seconds are Tutelage's, by the clock and of the processor."""
    return pair((peer[0] / tutelage[0], peer[1] / tutelage[1]))


def memory(count: int, sides: Sequence[str]) -> None:
    counts = (2 * count, 8 * count)
    print("\n| growth of the peak, MB | " + " | ".join(f"{n:,} rows" for n in counts) + " |")
    print("|---|---:|---:|")
    for side in sides:
        grown = [measured(side, "questions", n, keep=False)[2] for n in counts]
        print(f"| {side} | " + " | ".join(f"{mb:.0f}" for mb in grown) + " |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=list(KINDS), help=argparse.SUPPRESS)
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--alone", action="store_true", help="Tutelage only")
    parser.add_argument("--no-memory", action="store_true", help="without the second table")
    options = parser.parse_args(arguments)
    if options.side:
        print(*one(options.side, options.kind, options.rows, keep=not options.stream))
        return
    sides = SIDES[1:] if options.alone else SIDES
    if "datasets" in sides and not find_spec("datasets"):
        sys.exit("datasets is not installed: pip install -e '.[perf-data]', or measure Tutelage with --alone")
    print(f"{measured_on()}\n")
    speed(options.rows, options.rounds, options.kinds, sides)
    if not options.no_memory:
        memory(options.rows, sides)


if __name__ == "__main__":
    main()
