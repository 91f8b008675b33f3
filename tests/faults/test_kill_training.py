"""kill -9 in the midst of a tuning, again and again: the finished weights are those of an uninterrupted one.

One child process imports the libraries once; it forks for every attempt, so that each kill ends a real process.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CHILD = '''
import hashlib, json, os, random, signal, sys, time
from pathlib import Path
import torch
import transformers
from peft import LoraConfig, get_peft_model
from tutelage.core.nouns import Encoded
from tutelage.models.quiet import quiet
from tutelage.training.loop import Loop
from tutelage.training.settings import TuneSettings

torch.set_num_threads(1)
METHOD, ROOT, SEED = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
STEPS = 18


def rows(seed):
    draw = random.Random(seed)
    made = []
    for i in range(8):
        ids = tuple(draw.randrange(3, 40) for _ in range(draw.randint(4, 14)))
        made.append(Encoded(str(i), "t", ids, tuple(k >= 2 for k in range(len(ids)))))
    return made


def tune(folder):
    """One attempt in this process, from the newest checkpoint to the end; gives the weights' sha256."""
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        attention_dropout=0.1, pad_token_id=0,
    )
    model = transformers.LlamaForCausalLM(config)
    if METHOD == "lora":
        with quiet():
            model = get_peft_model(model, LoraConfig(r=4, lora_dropout=0.2, target_modules=["q_proj", "v_proj"]))
    alike, other = rows(0), rows(1)
    loop = Loop(
        model,
        pad_id=0,
        row_at=lambda i: (alike if i < 40 else other)[(3 * i) % 8],
        validation=alike,
        settings=TuneSettings(
            steps=STEPS, batch_size=4, micro_batch_tokens=30, learning_rate=0.02, warmup=0.2, validate_every=3,
            checkpoint_every=2, seed=SEED,
        ),
        folder=folder,
        identity="kill",
        listen=lambda event: None,
    )
    tuned = loop.tune()
    digest = hashlib.sha256(repr(tuned).encode())
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode() + parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def fork(folder, *, kill_after=None, kill_at_sync=None):
    """One attempt in a process of its own; None when it was killed, else the weights' sha256."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        if kill_at_sync is not None:
            die_at_sync(kill_at_sync)
        os.write(writer, tune(folder).encode())
        os._exit(0)
    os.close(writer)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return None
    assert os.WEXITSTATUS(status) == 0, status
    return said


def die_at_sync(n):
    """Kill this process just before its n-th fsync or rename."""
    left = [n]

    def deadly(real):
        def operation(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        return operation

    os.fsync = deadly(os.fsync)
    Path.rename = deadly(Path.rename)
    Path.replace = deadly(Path.replace)


draw = random.Random(SEED)
started = time.monotonic()
whole = fork(ROOT / "whole")
takes = time.monotonic() - started
kills, finished = 0, []
while kills < int(sys.argv[4]):
    folder = ROOT / f"killed-{len(finished)}"
    for _ in range(4):
        if fork(folder, kill_after=draw.uniform(0.0, takes)) is None:
            kills += 1
    finished.append(fork(folder))
syncs = []
for n in range(int(sys.argv[5])):
    folder = ROOT / f"sync-{n}"
    at = draw.randrange(1, 120) if n else 1
    killed = fork(folder, kill_at_sync=at) is None
    again = fork(folder, kill_at_sync=at) is None
    kills += killed + again
    syncs.append(fork(folder))
print(json.dumps({"whole": whole, "kills": kills, "finished": finished, "syncs": syncs}))
'''


@pytest.mark.parametrize("method", ["lora", "full"])
def test_killed_at_random_times_the_finished_weights_are_the_same(tmp_path, method):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, method, str(tmp_path), "11", "10", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said["whole"]) == 64
    assert said["kills"] >= 12
    assert set(said["finished"]) == {said["whole"]}
    assert set(said["syncs"]) == {said["whole"]}
    assert len(said["syncs"]) == 5
