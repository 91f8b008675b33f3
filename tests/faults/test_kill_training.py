"""kill -9 in the midst of a tuning, again and again: what is finished is what an uninterrupted one finishes.

Weights, optimizer state, every step's loss, norm, rate and rows in their order, and the last checkpoints' files: the same
bit for bit. Uninterrupted trainings run in one server, killed ones in another with other hashes of texts (killing.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("killing.py")
METHODS = ("full", "lora", "rslora", "dora", "ia3", "oft", "prompt-tuning", "prefix-tuning")
SAME = ("tuned", "weights", "optimizer", "files", "log")


def case(method, *, packing=False, accumulation=True, family="llama", kills=2, seed=11, measured=False):
    return {
        "method": method,
        "packing": packing,
        "accumulation": accumulation,
        "family": family,
        "kills": kills,
        "seed": seed,
        "measured": measured,
    }


def serve(subject, cases, folder, *, hashes):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SERVER, subject, folder],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": hashes, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def name(one):
    """A case in a few words."""
    off = ("", " packed")[one["packing"]] + ("", " accumulated")[one["accumulation"]]
    return f"{one['family']} {one['method']}{off}"


def assert_unharmed(one, whole, killed):
    """Every kill landed, the training was taken up after it, and nothing differs."""
    assert killed["kills"] == one["kills"], name(one)
    assert killed["told_otherwise"] == 0, f"{name(one)}: a step that was done again gave other numbers"
    assert all(not damaged for _, damaged in killed["resumed"]), name(one)
    for key in SAME:
        assert killed[key] == whole[key], f"{name(one)}: {key}"
    assert sum(event.startswith("step ") for event in killed["log"]) == 16
    assert whole["resumed"] == []


def test_killed_at_random_moments_it_ends_in_the_same_bits(tmp_path):
    """Full and LoRA, packed or not, in one micro-batch or several, dropout on: every pair of these once, killed twice."""
    cases = [
        case(method, packing=packing, accumulation=packing == (method == "full"))
        for method, packing in product(("full", "lora"), (False, True))
    ]
    # The same trainings with another seed of dropout, and nothing else: they must come out otherwise.
    others = [case("full", accumulation=False, seed=12), case("lora", seed=12)]
    *wholes, full, lora = serve("whole", [*cases, *others], tmp_path, hashes="1")
    killed = serve("killed", cases, tmp_path, hashes="2")
    for one, before, after in zip(cases, wholes, killed, strict=True):
        assert_unharmed(one, before, after)
    assert sum(one["kills"] for one in killed) == 8
    assert sum(one["phases"].get("writing a checkpoint", 0) for one in killed) >= 1
    assert len({one["weights"] for one in wholes}) == len(cases)
    by_name = dict(zip(map(name, cases), wholes, strict=True))
    for other, same in ((full, "llama full"), (lora, "llama lora accumulated")):
        assert rows(other) == rows(by_name[same])
        assert other["weights"] != by_name[same]["weights"], "dropout was off"
    for one, before in zip(cases, wholes, strict=True):
        assert (len(micros(before)) > 16) == one["accumulation"], name(one)


def test_measured_in_its_midst_it_is_the_training_without_and_killed_it_is_the_same(tmp_path):
    """Measured after steps with and without a checkpoint, and killed: the same measurements, and the weights of neither measuring."""
    cases = [case(method, measured=True, kills=3) for method in ("full", "lora", "prefix-tuning")]
    (tmp_path / "plain").mkdir()
    plain = serve("whole", [{**one, "measured": False} for one in cases], tmp_path / "plain", hashes="1")
    wholes = serve("whole", cases, tmp_path, hashes="1")
    killed = serve("killed", cases, tmp_path, hashes="2")
    for one, without, before, after in zip(cases, plain, wholes, killed, strict=True):
        assert_unharmed(one, before, after)
        measured = {key: event for key, event in before["log"].items() if key.startswith("measured ")}
        assert list(measured) == ["measured 4", "measured 7", "measured 16"]
        assert {key: event for key, event in before["log"].items() if key not in measured} == without["log"]
        for key in set(SAME) - {"log"}:
            assert before[key] == without[key], f"{name(one)}: {key}"


def micros(whole):
    """Every micro-batch of a training, as its rows."""
    return [micro for event in whole["log"].values() if event[0] == "step" for micro in event[-1]]


def rows(whole):
    return [row for micro in micros(whole) for row in micro]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_kills_of_every_method(tmp_path, capsys):
    cases = [
        case(method, packing=packing, accumulation=accumulation, kills=4)
        for method, packing, accumulation in product(METHODS, (False, True), (False, True))
        if not (packing and method in ("prompt-tuning", "prefix-tuning"))
    ]
    cases += [
        case(method, packing=packing, family="t5", kills=4)
        for method, packing in product(("full", "lora"), (False, True))
    ]
    wholes = serve("whole", cases, tmp_path, hashes="1")
    killed = serve("killed", cases, tmp_path, hashes="2")
    table = [f"{'case':<36}{'kills':>5}  {'identical':<11}during"]
    for one, before, after in zip(cases, wholes, killed, strict=True):
        same = [key for key in SAME if after.get(key) == before[key]]
        where = ", ".join(f"{count} {phase}" for phase, count in sorted(after["phases"].items()))
        identical = "yes" if len(same) == len(SAME) else f"not {set(SAME) - set(same)}"
        table.append(f"{name(one):<36}{after['kills']:>5}  {identical:<11}{where}")
    kills = sum(one["kills"] for one in killed)
    with capsys.disabled():
        print("", *table, f"{kills} kills in {len(cases)} trainings", sep="\n")  # noqa: T201  # the table is for people
    for one, before, after in zip(cases, wholes, killed, strict=True):
        assert_unharmed(one, before, after)
    assert kills >= 100
