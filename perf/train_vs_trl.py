"""Full fine-tuning with Tutelage and with TRL's SFTTrainer: tokens a second, peak memory, and the same losses.

    python perf/train_vs_trl.py [--quick | --alone] [--model FOLDER_OR_NAME] [--data DIR]

needs the extra `perf-trl`, but for `--alone`: Tutelage without the peer. 32 rows of DialogSum (named in train_vs_trl_rows.json, in the order of their names as
text), 8 rows an optimizer step in that order, fp32, AdamW, a constant rate, the loss on completions only. Each
measurement is a fresh process: one warm-up step, then three that are timed from the end of one step to the end of
the next, so that all that a loop does is counted. Tutelage runs between TRL's settings, so that what else the
machine does meets both. Ids, masks and losses must agree, else the script fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BATCH = 8
RATE = 2e-5
CLIP = 1.0
BETAS = (0.9, 0.999)
LOSS_TOLERANCE = 0.01
PROMPT = "Summarize the following conversation.\n\n{dialogue}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What one child does: `micro` rows at once for TRL, tokens at once for Tutelage (0: its default)."""

    side: str
    micro: int
    checkpointing: bool

    @property
    def name(self) -> str:
        """The table's first column."""
        if self.side == "tutelage":
            unit = f"{self.micro} tokens" if self.micro else "defaults"
            return f"Tutelage, {unit}" + (", checkpointing" if self.checkpointing else "")
        default = " (its defaults)" if self == TRL_DEFAULTS else ""
        return (
            f"TRL, micro-batch {self.micro}, checkpointing {'on' if self.checkpointing else 'off'}{default}"
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What one child found: per step the loss, wall and processor seconds and tokens; the peak in bytes."""

    losses: list[float]
    seconds: list[float]
    cpu: list[float]
    tokens: list[int]
    peak: int
    digest: str


TUTELAGE = Setting("tutelage", 0, checkpointing=False)
TRL_DEFAULTS = Setting("trl", 8, checkpointing=True)
TRL_ALL = [Setting("trl", micro, checkpointing=on) for micro in (8, 4, 2, 1) for on in (True, False)]
TRL_QUICK = [TRL_DEFAULTS, Setting("trl", 1, checkpointing=False)]


class Clock:
    """Notes when each step ended; the interval before the first is the warm-up."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def step_ended(self) -> None:
        """Notes the wall and the processor time."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.ends.append((time.perf_counter(), used.ru_utime + used.ru_stime))

    def intervals(self, which: int) -> list[float]:
        """Seconds of each step after the first: wall (0) or processor (1)."""
        return [b[which] - a[which] for a, b in zip(self.ends, self.ends[1:], strict=False)]


class Enough(Exception):
    """Stops Tutelage's loop after its last step, before it writes a checkpoint (TRL writes none either)."""


def digest_of(rows: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> str:
    """One hash for ids and loss masks of all rows in order."""
    plain = [[list(map(int, ids)), list(map(int, mask))] for ids, mask in rows]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def load_model(folder: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def measured(clock: Clock, losses: list[float], rows: list[tuple[list[int], list[bool]]]) -> Measured:
    """Puts a child's findings together; the first step's time was the warm-up's."""
    steps = [rows[i : i + BATCH] for i in range(0, len(losses) * BATCH, BATCH)]
    return Measured(
        losses=losses,
        seconds=clock.intervals(0),
        cpu=clock.intervals(1),
        tokens=[sum(len(ids) for ids, _ in step) for step in steps[1:]],
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        digest=digest_of(rows),
    )


def child_tutelage(setting: Setting, folder: str, texts: list[dict[str, str]], steps: int) -> Measured:
    from tutelage.core.types import Origin, Prompted
    from tutelage.tokens.encoder import Encoder
    from tutelage.training.events import StepDone
    from tutelage.training.loop import Loop
    from tutelage.training.settings import LoopSettings

    model, tokenizer = load_model(folder)
    encoder = Encoder(tokenizer, encoder_decoder=False)
    rows = [
        encoder.encode(Prompted(t["id"], "dialogsum", t["prompt"], t["completion"], "", Origin("", n)))
        for n, t in enumerate(texts)
    ]
    clock = Clock()
    losses: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, StepDone):
            clock.step_ended()
            losses.append(event.loss)
            if event.step == steps:
                raise Enough

    settings = LoopSettings(
        steps=steps,
        batch_size=BATCH,
        micro_batch_tokens=setting.micro or 512,
        validate_every=steps,
        learning_rate=RATE,
        schedule="constant",
        warmup=0.0,
        weight_decay=0.0,
        betas=BETAS,
        max_grad_norm=CLIP,
        checkpoint_every=steps,
        activation_checkpointing=setting.checkpointing,
    )
    with tempfile.TemporaryDirectory() as where:
        loop = Loop(
            model,
            pad_id=tokenizer.pad_token_id,
            row_at=lambda position: rows[position],
            validation=[],
            settings=settings,
            folder=Path(where),
            needs={},
            on_event=listen,
        )
        try:
            loop.tune()
        except Enough:
            return measured(clock, losses, [(list(r.ids), list(r.loss_mask)) for r in rows])
    raise RuntimeError("the loop ended before its last step")


def child_trl(setting: Setting, folder: str, texts: list[dict[str, str]], steps: int) -> Measured:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = load_model(folder)
    clock = Clock()
    losses: list[float] = []

    class Notes(TrainerCallback):  # type: ignore[misc] # trl is untyped
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step_ended()

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            if (
                "loss" in logs
            ):  # the step's summed loss over its completion tokens: TRL counts them over all micro-batches
                losses.append(logs["loss"])

    def opened(prompt: str) -> str:
        turn = [{"role": "user", "content": prompt}]
        return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))

    with tempfile.TemporaryDirectory() as where:
        config = SFTConfig(
            output_dir=where,
            per_device_train_batch_size=setting.micro,
            gradient_accumulation_steps=BATCH // setting.micro,
            gradient_checkpointing=setting.checkpointing,
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            warmup_steps=0,
            weight_decay=0.0,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            adam_epsilon=1e-8,
            max_grad_norm=CLIP,
            bf16=False,
            fp16=False,
            max_length=None,
            completion_only_loss=True,
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        data = Dataset.from_list(
            [{"prompt": opened(t["prompt"]), "completion": t["completion"]} for t in texts]
        )
        trainer = SFTTrainer(
            model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Notes()]
        )
        trainer.train()
        rows = [
            (list(row["input_ids"]), [label != -100 for label in row["labels"]])
            for row in trainer.train_dataset
        ]
    return measured(clock, losses, rows)


def run_child(
    setting: Setting, folder: str, texts: list[dict[str, str]], steps: int, threads: int
) -> Measured:
    """One setting in a fresh process."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
    }
    with tempfile.TemporaryDirectory() as where:
        task, found = Path(where, "task.json"), Path(where, "found.json")
        task.write_text(json.dumps([asdict(setting), folder, texts, steps]), "utf-8")
        environment["HF_DATASETS_CACHE"] = str(Path(where, "datasets"))
        done = subprocess.run(
            [sys.executable, __file__, "--child", str(task), str(found)],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"{setting.name} failed:\n{done.stderr[-4000:]}")
        return Measured(**json.loads(found.read_text("utf-8")))


def be_child(task: Path, found: Path) -> None:
    """The child's side: read the task, measure, write what was found."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    setting, folder, texts, steps = json.loads(task.read_text("utf-8"))
    side: Callable[..., Measured] = child_trl if setting["side"] == "trl" else child_tutelage
    found.write_text(json.dumps(asdict(side(Setting(**setting), folder, texts, steps))), "utf-8")


def read_texts(data: Path) -> list[dict[str, str]]:
    """The named rows of DialogSum's dev file, in the order of the names."""
    names = json.loads((HERE / "train_vs_trl_rows.json").read_text("utf-8"))["rows"]
    file = data / "dialogsum" / "dialogsum.dev.jsonl"
    if not file.is_file():
        sys.exit(f"{file} is not there; name the folder that holds dialogsum/ with --data or TUTELAGE_DATA")
    rows = {row["fname"]: row for row in map(json.loads, file.read_text("utf-8").splitlines())}
    return [
        {"id": n, "prompt": PROMPT.format(dialogue=rows[n]["dialogue"]), "completion": rows[n]["summary"]}
        for n in names
    ]


def order(settings: Sequence[Setting], rounds: int) -> list[Setting]:
    """Tutelage first, after every second setting of TRL's, and last; without settings of TRL's just once."""
    turns: list[Setting] = []
    for _ in range(rounds):
        for index, setting in enumerate(settings):
            if index % 2 == 0:
                turns.append(TUTELAGE)
            turns.append(setting)
    return [*turns, TUTELAGE]


def rate(runs: Sequence[Measured]) -> float:
    """Tokens a second: the median over all timed steps."""
    return statistics.median(t / s for run in runs for t, s in zip(run.tokens, run.seconds, strict=True))


def cpu(runs: Sequence[Measured]) -> float:
    """Processor seconds for a thousand tokens: the median over all timed steps."""
    return statistics.median(1000 * s / t for run in runs for t, s in zip(run.tokens, run.cpu, strict=True))


def peak(runs: Sequence[Measured]) -> float:
    """Peak resident memory in GB: the median over the runs."""
    return statistics.median(run.peak for run in runs) / 1e9


def agree(results: dict[Setting, list[Measured]]) -> list[str]:
    """What differs between the sides that must not."""
    first = results[TUTELAGE][0]
    wrong = []
    for setting, runs in results.items():
        for run in runs:
            if run.digest != first.digest:
                wrong.append(f"{setting.name}: other ids or masks than Tutelage's")
            for step, (a, b) in enumerate(zip(run.losses, first.losses, strict=True), 1):
                if abs(a - b) > LOSS_TOLERANCE * abs(b):
                    wrong.append(f"{setting.name}: loss {a:.5f} in step {step}, Tutelage's is {b:.5f}")
    return wrong


def table(results: dict[Setting, list[Measured]]) -> str:
    """The markdown table; ratios are Tutelage's over the row's."""
    ours = results[TUTELAGE]
    lines = [
        "| setting | runs | tokens/s | Tutelage is faster by | CPU s per 1,000 tokens | peak GB | Tutelage needs | losses |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for setting, runs in results.items():
        lines.append(
            f"| {setting.name} | {len(runs)} | {rate(runs):.1f} | {rate(ours) / rate(runs):.2f}x | {cpu(runs):.1f} | "
            f"{peak(runs):.2f} | {peak(ours) / peak(runs):.2f}x | {' '.join(f'{x:.4f}' for x in runs[0].losses)} |"
        )
    return "\n".join(lines)


def goals(results: dict[Setting, list[Measured]]) -> list[tuple[str, bool]]:
    """What was promised, and whether it holds in this run."""
    ours = results[TUTELAGE]
    best = max((s for s in results if s.side == "trl"), key=lambda s: rate(results[s]))
    faster = rate(ours) / rate(results[best])
    twice = rate(ours) / rate(results[TRL_DEFAULTS])
    less = peak(ours) / min(peak(results[best]), peak(results[TRL_DEFAULTS]))
    return [
        (f"faster than TRL's best setting ({best.name}): {faster:.2f}x", faster > 1),
        (f"at least twice as fast as TRL's defaults: {twice:.2f}x", twice >= 2),
        (f"less peak memory than either: {less:.2f}x", less < 1),
    ]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sides = parser.add_mutually_exclusive_group()
    sides.add_argument("--quick", action="store_true", help="TRL's defaults and its usual best only")
    sides.add_argument("--alone", action="store_true", help="Tutelage only")
    parser.add_argument(
        "--steps", type=int, help="optimizer steps, at least 2 (default: as many as the rows fill)"
    )
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a folder, or the bundled model")
    parser.add_argument("--data", type=Path, default=os.environ.get("TUTELAGE_DATA", "../shared/data"))
    parser.add_argument("--threads", type=int, default=2, help="of either side (default 2)")
    parser.add_argument("--rounds", type=int, help="how often all is measured (default 1; with --quick 2)")
    parser.add_argument("--json", type=Path, help="write every measurement there too")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.child:
        be_child(*options.child)
        return 0
    settings = [] if options.alone else TRL_QUICK if options.quick else TRL_ALL
    if settings and not find_spec("trl"):
        sys.exit("trl is not installed: pip install -e '.[perf-trl]', or measure Tutelage with --alone")
    texts = read_texts(Path(options.data))[: BATCH * options.steps if options.steps else None]
    folder = model_folder(options.model)
    results: dict[Setting, list[Measured]] = {TUTELAGE: []}
    rounds = options.rounds or (2 if options.quick else 1)
    for setting in order(settings, rounds):
        load = os.getloadavg()[0]
        run = run_child(setting, folder, texts, len(texts) // BATCH, options.threads)
        results.setdefault(setting, []).append(run)
        print(
            f"{setting.name}: {rate([run]):.1f} tokens/s, {peak([run]):.2f} GB (load before: {load:.1f})",
            file=sys.stderr,
        )
    if options.json:
        plain = [{**asdict(s), "runs": [asdict(r) for r in runs]} for s, runs in results.items()]
        options.json.write_text(json.dumps(plain, indent=1), "utf-8")
    print(f"{about(results, options.threads)}\n\n{table(results)}\n")
    wrong = agree(results)
    for line in wrong:
        print(f"WRONG: {line}")
    reached = goals(results) if settings else []
    for text, holds in reached:
        print(f"- {'yes' if holds else 'NO'}: {text}")
    return 1 if wrong or not all(holds for _, holds in reached) else 0


def about(results: dict[Setting, list[Measured]], threads: int) -> str:
    """What was measured, with which versions."""
    from importlib.metadata import version

    from measurement_note import measured_on

    tokens = results[TUTELAGE][0].tokens
    peers = ("trl",) if len(results) > 1 else ()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", *peers))
    return (
        f"Full fine-tuning, fp32, {threads} threads, {BATCH} rows a step, {len(tokens)} timed steps of {tokens} tokens; "
        f"{versions}; Python {platform.python_version()}; medians. "
        f"{measured_on()}"
    )


def model_folder(name: str) -> str:
    """The folder of a model that is named by folder or by the bundled default's name."""
    if Path(name).is_dir():
        return name
    from tutelage.models import bundled

    return str(bundled.ensure(bundled.find(name)))


if __name__ == "__main__":
    sys.exit(main())
