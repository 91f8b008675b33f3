"""A server that kills trainings: started as a program, it imports the libraries once and forks for every attempt.

Each attempt is a real process that ends by SIGKILL or by itself. The server never computes, so that no thread of torch's
is there to be lost in a fork. It is given a plan as JSON on standard input, and prints one JSON line a case.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import peft  # noqa: F401 - imported once, here
import torch
import transformers
from peft import LoraConfig, OFTConfig  # noqa: F401 - so are its lazy parts

from tutelage.core.types import Encoded
from tutelage.mixture.epoch_order import EpochOrder
from tutelage.models import add_adapter
from tutelage.models.load import LoadedModel
from tutelage.tokens.packing import Packing
from tutelage.training import checkpoint
from tutelage.training.events import Resumed, StepDone, ValidationDone
from tutelage.training.loop import Loop, validation_loss
from tutelage.training.settings import LoopSettings

STEPS = 16
OPTIONS = {
    "lora": {"rank": 4, "dropout": 0.2},
    "rslora": {"rank": 4, "dropout": 0.2},
    "dora": {"rank": 4, "dropout": 0.2},
    "oft": {"block_size": 4, "dropout": 0.2},
    "ia3": {},
    "prompt-tuning": {"virtual_tokens": 3},
    "prefix-tuning": {"virtual_tokens": 3},
}
PHASES = (
    "start",
    "resuming",
    "a step",
    "validating",
    "measuring",
    "writing a checkpoint",
    "pruning",
    "the end",
)
MEASURED = (4, 7, STEPS)  # a step with a checkpoint, one without, and the last
STATE = mmap.mmap(-1, 1)  # shared with the children: in which phase the attempt is


def phase(name):
    STATE[0] = PHASES.index(name)


def rows(seed, *, pairs):
    draw = random.Random(seed)
    made = []
    for i in range(8):
        ids = tuple(draw.randrange(3, 40) for _ in range(draw.randint(4, 14)))
        source = tuple(draw.randrange(3, 40) for _ in range(draw.randint(4, 10))) if pairs else None
        mask = tuple(pairs or k >= 2 for k in range(len(ids)))
        made.append(Encoded(f"rows-{seed}.jsonl:{i + 1}", f"task-{seed}", ids, mask, source=source))
    return made


def model_of(case):
    """A tiny model. Dropout is the adapter's own where it has one, and then no other; else the model's."""
    options = OPTIONS.get(case["method"], {})
    dropout = 0.0 if "dropout" in options else 0.1
    torch.manual_seed(1)
    if case["family"] == "t5":
        config = transformers.T5Config(
            vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, dropout_rate=dropout,
            pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
        )  # fmt: skip
        model = transformers.T5ForConditionalGeneration(config)
    else:
        config = transformers.LlamaConfig(
            vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            attention_dropout=dropout, pad_token_id=0,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
    if case["method"] == "full":
        return model
    words = type("Words", (), {"model_max_length": 10**30})()
    loaded = LoadedModel(model, words, config.is_encoder_decoder, "x", "x", None, adapter=False)
    return add_adapter(loaded, case["method"], options, seed=3).model


class Watched(Loop):
    """Says in which phase it is, and which rows each step really takes."""

    def _resume(self):
        phase("resuming")
        return super()._resume()

    def _rows(self, step):
        phase("a step")
        self.batch = super()._rows(step)
        return self.batch

    def _validate(self, position):
        phase("validating")
        return super()._validate(position)


def during(name, real):
    def operation(*args, **kwargs):
        before = PHASES[STATE[0]]
        phase(name)
        result = real(*args, **kwargs)
        phase(before)
        return result

    return operation


def tune(case, folder):
    """One attempt in this process, from the newest checkpoint to the end; what it came to."""
    checkpoint.save = during("writing a checkpoint", checkpoint.save)
    checkpoint.prune = during("pruning", checkpoint.prune)
    pairs = case["family"] == "t5"
    alike, other = rows(0, pairs=pairs), rows(1, pairs=pairs)
    order = EpochOrder(seed=0, sizes=[8])
    log = os.open(folder.with_suffix(".log"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def listen(event):
        if isinstance(event, Resumed):
            told = ["resumed", event.step, list(event.damaged)]
        elif isinstance(event, StepDone):
            ids = [[f"{row.task} {row.id}" for row in micro] for micro in loop.batch.micro_batches]
            told = [
                "step",
                event.step,
                event.loss.hex(),
                event.grad_norm.hex(),
                event.learning_rate.hex(),
                event.tokens,
                ids,
            ]
        elif isinstance(event, ValidationDone):
            told = ["validation", event.step, event.loss.hex(), event.best]
        else:
            return
        os.write(log, (json.dumps(told) + "\n").encode())

    def measure(step, _stop_requested):
        if step in MEASURED:
            phase("measuring")
            with torch.inference_mode():
                loss = validation_loss(
                    loop.model, other, tokens=loop.micro_batch_tokens, pad_id=0, device=torch.device("cpu")
                )
            torch.rand(step)  # random numbers may be drawn
            os.write(log, (json.dumps(["measured", step, loss.hex()]) + "\n").encode())

    loop = Watched(
        model_of(case),
        pad_id=0,
        row_at=lambda i: (alike if i < 32 else other)[order.at(i)[1]],
        validation=alike,
        settings=LoopSettings(
            steps=STEPS, batch_size=4, micro_batch_tokens=30 if case["accumulation"] else 10_000,
            learning_rate=0.02, weight_decay=0.01, warmup=0.2, validate_every=3, checkpoint_every=2,
            packing=Packing(20, 16 if pairs else 0, 8) if case["packing"] else None, seed=case["seed"],
        ),
        folder=folder,
        needs={"identity": "kill"},
        on_event=listen,
        **({"after_step": measure} if case["measured"] else {}),
    )  # fmt: skip
    tuned = loop.tune()
    phase("the end")
    optimizer = {
        f"{key}.{name}": moment
        for name, parameter in loop.trained.items()
        for key, moment in loop.optimizer.state[parameter].items()
    }
    return {
        "tuned": repr(tuned),
        "weights": digest(dict(loop.model.named_parameters())),
        "optimizer": digest(optimizer),
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def digest(tensors):
    made = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        made.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        made.update(tensor.detach().contiguous().numpy().tobytes())
    return made.hexdigest()


class Operations:
    """Counts what the process does to the disk, and kills it just before the n-th, or in the midst of a state's write."""

    def __init__(self, kill_at=None):
        self.count, self.kill_at = 0, kill_at
        os.fsync = self.wrap(os.fsync)
        for name in ("rename", "replace", "mkdir", "chmod"):
            setattr(Path, name, self.wrap(getattr(Path, name)))
        shutil.rmtree = self.wrap(shutil.rmtree)
        checkpoint.save_file = self.wrap(checkpoint.save_file, torn=True)

    def wrap(self, real, *, torn=False):
        def operation(*args, **kwargs):
            self.count += 1
            if self.count == self.kill_at:
                if torn:
                    real(*args, **kwargs)
                    os.truncate(args[1], args[1].stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return operation


def attempt(case, folder, *, after=None, at_operation=None):
    """One attempt in a process of its own.

    Returns:
        What it came to, None when it was killed; and in which phase it was when it ended.
    """
    phase("start")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        operations = Operations(at_operation)
        done = {**tune(case, folder), "operations": operations.count}
        with os.fdopen(writer, "w") as pipe:
            pipe.write(json.dumps(done))
        os._exit(0)
    os.close(writer)
    if after is not None:
        while PHASES[STATE[0]] == "start" and os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(0.0005)
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return None, PHASES[STATE[0]]
    assert os.WEXITSTATUS(status) == 0, f"the training failed in phase {PHASES[STATE[0]]}"
    return json.loads(said), PHASES[STATE[0]]


def logged(folder):
    """What the attempts told, by event; events that were told several times in other words are counted."""
    told, resumed, other = {}, [], 0
    for line in folder.with_suffix(".log").read_text().splitlines():
        event = json.loads(line)
        if event[0] == "resumed":
            resumed.append(event[1:])
            continue
        other += told.setdefault(f"{event[0]} {event[1]}", event) != event
    return {"log": told, "resumed": resumed, "told_otherwise": other}


def whole(case, folder):
    done, _ = attempt(case, folder)
    return {**done, **logged(folder)}


def killed(case, folder):
    """A training that is killed `case["kills"]` times, now at a random time and now at a random operation on the disk.

    An attempt that ends before its kill landed is no use: the training then begins anew, with earlier kills.
    """
    draw = random.Random(f"{case}")
    began = time.monotonic()
    measured, _ = attempt(case, folder.with_name(folder.name + "-measured"))
    takes, share = time.monotonic() - began, 1.0 / case["kills"]
    for _ in range(8):
        phases = Counter()
        for number in range(case["kills"]):
            if number % 2:
                when = {"after": draw.uniform(0.0, takes * share)}
            else:
                when = {"at_operation": draw.randint(2, max(2, int(measured["operations"] * share)))}
            done, where = attempt(case, folder, **when)
            if done is not None:
                break
            phases[where] += 1
        else:
            done, _ = attempt(case, folder)
            return {**done, **logged(folder), "phases": phases, "kills": phases.total()}
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink()
        share /= 2
    return {"kills": 0, "phases": {}}


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.LlamaForCausalLM, transformers.T5ForConditionalGeneration  # noqa: B018 - imported when asked for
    act = {"whole": whole, "killed": killed}[sys.argv[1]]
    for place, asked in enumerate(json.load(sys.stdin)):
        print(json.dumps(act(asked, Path(sys.argv[2]) / f"{sys.argv[1]}-{place}")), flush=True)  # noqa: T201  # the keeper reads it
