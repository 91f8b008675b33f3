"""Evaluation with Tutelage and with lm-evaluation-harness 0.4.13's HF backend: seconds, peak memory, and the same numbers.

    python perf/evaluate_vs_lm_eval.py [--only JOB[,JOB]] [--items N] [--peer PYTHON | --alone] [--model NAME] [--data DIR]

needs the extra `perf-lm-eval`, here or in the environment of `--peer`, but for `--alone`: Tutelage without the peer. Both sides get the same prompts and choices of SmolLM2 in fp32,
each in a process of its own, and are timed from the requests to the answers; loading is not counted. lm-eval runs with the best of
batch sizes 1, 4 and 16, found on 4 items of each part, or 16 of a job's one part. Jobs:

    mmlu        MMLU, five worked examples, the first 20 items (--items) of ten subjects
    zero-shot   the same without examples
    bbh         BIG-bench Hard, three examples with chain of thought, the first 10 items of five tasks, at most 128 new tokens
    t5          MMLU's questions, five examples, to an encoder-decoder model of flan-t5-small's shape and random weights
    sst2, rte, cola (GLUE), cb, copa, boolq (SuperGLUE)
                the first 200 rows of each (--rows) without examples, or as many as there are

Log-probabilities must agree to 1e-4, or to what fp32 allows where they are large (`agreement`), else the script fails; of texts it counts
those that differ. It prints how far both are from the floor: a token that is read once costs 2 operations a weight, at the rate at which
this machine multiplies matrices.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUBJECTS = (
    "abstract_algebra", "anatomy", "astronomy", "business_ethics", "clinical_knowledge", "college_computer_science", "global_facts",
    "marketing", "sociology", "virology",
)  # fmt: skip
TASKS = ("boolean_expressions", "date_understanding", "navigate", "object_counting", "sports_understanding")
PARTS = {
    "sst2": "glue",
    "rte": "glue",
    "cola": "glue",
    "cb": "superglue",
    "copa": "superglue",
    "boolq": "superglue",
}
"""Jobs that ask one part of a benchmark, in the harness's way."""
JOBS = ("mmlu", "zero-shot", "bbh", "t5", *PARTS)
GOALS = {"mmlu": 4.0, "zero-shot": 1.5, "bbh": 4.0, "t5": 3.0, "sst2": 1.5, "rte": 1.5, "cola": 1.5}
"""How many times as fast as the harness a job should be; the others are reported."""
BATCHES = (1, 4, 16)
TRIED, TRIED_OF_ONE = (
    4,
    16,
)  # items of each part on which a batch size is chosen; 16 where there is one part, for a full batch
NEW_TOKENS = 128
STOP = ("\n\n", "Q:", "</s>")
SAME = 1e-4
PRODUCTS = 512
"""Terms of a logit: the width of the T5 model, and less than that of SmolLM2."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as both sides get it."""

    id: str
    prompt: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a side found: seconds, peak bytes, and by request what it answered."""

    seconds: float
    peak: int
    answers: dict[str, Any]


def requests(job: str, items: int, data: Path) -> list[Asked]:
    """The requests of a job, made by Tutelage's benchmarks."""
    from tutelage.benchmarks import Limit, load

    if job in PARTS:
        limit = Limit(items, first=True)
        found = load(f"{PARTS[job]}:lm-eval", data=data, limit=limit, parts=[job])
    elif job == "bbh":
        found = load("bbh:cot", data=data, limit=Limit(items, first=True), parts=TASKS)
    else:
        shots = 0 if job == "zero-shot" else 5
        found = load("mmlu:lm-eval", data=data, limit=Limit(items, first=True), parts=SUBJECTS, shots=shots)
    return [Asked(r.id, r.prompt, r.choices) for r in found.requests()]


def ours(asked: Sequence[Asked], folder: Path) -> Found:
    """Tutelage's engine."""
    from tutelage.core.types import Request
    from tutelage.engine import Engine
    from tutelage.models import load, resolve

    loaded = load(resolve(str(folder)))
    engine = Engine(
        loaded.model, loaded.tokenizer, encoder_decoder=loaded.encoder_decoder, context=loaded.context
    )
    wanted = [
        Request(one.id, "choose", one.prompt, choices=one.choices, form="text")
        if one.choices
        else Request(one.id, "generate", one.prompt, max_new_tokens=NEW_TOKENS, stop=STOP, form="text")
        for one in asked
    ]
    began = time.perf_counter()
    given = engine.answer(wanted)
    seconds = time.perf_counter() - began
    return Found(seconds, peak(), {one.id: list(one.logprobs) or one.text for one in given})


def theirs(asked: Sequence[Asked], folder: Path, batch: int) -> Found:
    """lm-evaluation-harness's HF backend."""
    import lm_eval
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    if lm_eval.__version__ != "0.4.13":
        sys.exit(f"lm-eval 0.4.13 is what is compared with, and {lm_eval.__version__} is installed")
    model = HFLM(pretrained=str(folder), dtype="float32", batch_size=batch, device="cpu")
    arguments: list[tuple[str, Any]] = [(one.prompt, choice) for one in asked for choice in one.choices]
    scored = bool(arguments)
    if not scored:
        told = {"until": list(STOP), "max_gen_toks": NEW_TOKENS, "do_sample": False}
        arguments = [(one.prompt, told) for one in asked]
    kind = "loglikelihood" if scored else "generate_until"
    instances = [
        Instance(request_type=kind, doc={}, arguments=pair, idx=n) for n, pair in enumerate(arguments)
    ]
    began = time.perf_counter()
    given = iter(getattr(model, kind)(instances))
    seconds = time.perf_counter() - began
    answers = {
        one.id: [float(next(given)[0]) for _ in one.choices] if scored else str(next(given)) for one in asked
    }
    return Found(seconds, peak(), answers)


def peak() -> int:
    """The most memory that this process had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def floor(job: str, asked: Sequence[Asked], folder: Path, answers: dict[str, Any]) -> float:
    """The seconds that unique tokens take at the machine's rate of matrix products, measured here."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    kind = AutoModelForSeq2SeqLM if job == "t5" else AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(AutoConfig.from_pretrained(folder))
    layers = model.get_encoder() if job == "t5" else model.get_decoder()
    weights = sum(p.numel() for name, p in layers.named_parameters() if p.ndim == 2 and "embed" not in name)
    texts = [
        [tokenizer(one.prompt + choice)["input_ids"][:-1] for choice in one.choices]
        if one.choices
        else [tokenizer(one.prompt + answers[one.id])["input_ids"]]
        for one in asked
    ]
    if job == "t5":  # an encoder sees what comes after: nothing is shared but by the choices of one question
        unique = sum(len(tokenizer(one.prompt)["input_ids"]) for one in asked)
    else:
        unique = len({tuple(ids[:n]) for own in texts for ids in own for n in range(1, len(ids) + 1)})
    left, right = torch.randn(512, 576), torch.randn(576, 1536)
    best = min(_seconds(lambda: left @ right) for _ in range(200))
    rate = 2 * left.numel() * right.shape[1] / best
    print(f"  floor: {unique:,} unique tokens x 2 x {weights:,} weights at {rate / 1e9:.0f} GFLOP/s")
    return float(unique * 2 * weights / rate)


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def random_t5(place: Path, tokenizer_of: Path) -> Path:
    """A model of flan-t5-small's shape with random weights, and a tokenizer that fits into its vocabulary."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    texts = [one.prompt for one in requests("zero-shot", 50, tokenizer_of)]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8000,
        special_tokens=["<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>").save_pretrained(place)  # noqa: S106  # no password
    config = T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    T5ForConditionalGeneration(config).save_pretrained(place)
    return place


def child(side: str, batch: int, asked: Path, folder: Path, out: Path) -> None:
    """One side's measurement, in this process."""
    wanted = [
        Asked(one["id"], one["prompt"], tuple(one["choices"])) for one in json.loads(asked.read_text("utf-8"))
    ]
    found = ours(wanted, folder) if side == "ours" else theirs(wanted, folder, batch)
    out.write_text(
        json.dumps({"seconds": found.seconds, "peak": found.peak, "answers": found.answers}), "utf-8"
    )


def measure(python: str, side: str, batch: int, asked: Sequence[Asked], folder: Path) -> Found:
    """One side in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        given, out = Path(place, "asked.json"), Path(place, "found.json")
        given.write_text(
            json.dumps([{"id": one.id, "prompt": one.prompt, "choices": one.choices} for one in asked]),
            "utf-8",
        )
        words = [python, __file__, "--child", side, str(batch), str(given), str(folder), str(out)]
        environment = {
            **os.environ,
            "TUTELAGE_NO_CACHE": "1",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, check=False
        )  # this very script
        if done.returncode:
            sys.exit(f"{side}, batch {batch}:\n{done.stderr[-3000:]}")
        return Found(**json.loads(out.read_text("utf-8")))


def agreement(log_probability: float) -> float:
    """How far two log-probabilities (nats) of this size may differ: `SAME`, or more where rounding in fp32 alone is more.

    A log-probability is a logit less the logarithm of all logits' summed exponentials, and a logit is a sum of n = `PRODUCTS` products.
    Rounding moves such a sum by about u sqrt(n) times its size (N. Higham, T. Mary, "A new approach to probabilistic rounding error
    analysis", 2019; u = 2^-24), and the difference of two sides that round independently by sqrt(2) times as much: by 1.9e-6 of the
    value. That exceeds `SAME` from 53 nats on. The random T5's values are -80 to -170 nats: on 20 of its requests Tutelage's are off from
    those in float64 by up to 5.7e-5 (9 u of the value), as those of plain transformers in fp32, and lm-eval's by up to 7.1e-5 (12 u).
    """
    return max(SAME, math.sqrt(2 * PRODUCTS) * 2**-24 * abs(log_probability))


def differences(job: str, left: dict[str, Any], right: dict[str, Any]) -> Iterator[str]:
    """Lines that say how far the answers of both sides are apart; the script fails on what cannot be."""
    if job == "bbh":
        apart = [id_ for id_ in left if left[id_].strip() != right[id_].strip()]
        yield f"  texts that differ: {len(apart)} of {len(left)}"
        return
    pairs = [pair for id_ in left for pair in zip(left[id_], right[id_], strict=True)]
    yield f"  largest difference of a log-probability: {max(abs(a - b) for a, b in pairs):.1e}"
    for a, b in pairs:
        if not abs(a - b) <= agreement(b):
            sys.exit(f"the sides differ by {abs(a - b):.1e} at {b:.1f} nats, more than {agreement(b):.1e}")


def run(job: str, items: int, python: str, folder: Path, data: Path) -> None:
    """One job: the best batch of theirs, then both sides, and the ratio."""
    if job == "t5":
        folder = random_t5(Path(tempfile.mkdtemp()), data)
    count = TRIED_OF_ONE if job in PARTS else TRIED
    few = requests(job, count, data)
    tried = {batch: measure(python, "theirs", batch, few, folder).seconds for batch in BATCHES}
    best = min(tried, key=tried.__getitem__)
    said = ", ".join(f"{batch}: {seconds:.1f} s" for batch, seconds in tried.items())
    print(f"{job}: lm-eval on {count} items of each part, by batch size {said}; taken: {best}", flush=True)
    asked = requests(job, items, data)
    mine = measure(sys.executable, "ours", 0, asked, folder)
    other = measure(python, "theirs", best, asked, folder)
    again = measure(sys.executable, "ours", 0, asked, folder)
    seconds = min(mine.seconds, again.seconds)
    print(
        f"  {len(asked)} requests: Tutelage {mine.seconds:.1f} and {again.seconds:.1f} s, lm-eval {other.seconds:.1f} s"
    )
    goal = 6.0 if job == "mmlu" and items > 20 else GOALS.get(job, "none")
    print(f"  ratio {other.seconds / seconds:.2f} (goal {goal})")
    print(f"  peak memory: Tutelage {mine.peak / 1e9:.2f} GB, lm-eval {other.peak / 1e9:.2f} GB")
    for line in differences(job, mine.answers, other.answers):
        print(line)
    least = floor(job, asked, folder, mine.answers)
    print(
        f"  the floor takes {least:.1f} s: Tutelage {seconds / least:.2f} times, lm-eval {other.seconds / least:.2f} times",
        flush=True,
    )


def alone(job: str, items: int, folder: Path, data: Path) -> None:
    """One job by Tutelage only, in this process."""
    if job == "t5":
        folder = random_t5(Path(tempfile.mkdtemp()), data)
    todo = requests(job, items, data)
    result = ours(todo, folder)
    print(f"{job}: {len(todo)} requests: Tutelage {result.seconds:.1f} s, peak {result.peak / 1e9:.2f} GB")
    floor(job, todo, folder, result.answers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the jobs that are asked for."""
    if sys.argv[1:2] == ["--child"] and arguments is None:
        side, batch, requests_file, weights, out = sys.argv[2:]
        child(side, int(batch), Path(requests_file), Path(weights), Path(out))
        return
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--only", default=",".join(JOBS))
    words.add_argument("--items", type=int, default=20, help="items of each subject (bbh: half of it)")
    words.add_argument("--rows", type=int, default=200, help="rows of each part of GLUE and SuperGLUE")
    sides = words.add_mutually_exclusive_group()
    sides.add_argument("--peer", default=sys.executable, help="the python that has lm-eval 0.4.13")
    sides.add_argument("--alone", action="store_true", help="Tutelage only")
    words.add_argument("--model", default="smollm2-135m-instruct")
    words.add_argument("--data", type=Path, default=os.environ.get("TUTELAGE_DATA"))
    given = words.parse_args(arguments)
    if given.data is None:
        sys.exit("name the folder with mmlu, bbh, glue and superglue by --data or TUTELAGE_DATA")
    from measurement_note import measured_on
    from tutelage.models import resolve

    print(measured_on())
    folder = resolve(given.model).weights
    for job in given.only.split(","):
        if job not in JOBS:
            sys.exit(f"there is no job {job}: choose from {', '.join(JOBS)}")
        items = given.rows if job in PARTS else given.items // 2 if job == "bbh" else given.items
        if given.alone:
            alone(job, items, folder, Path(given.data))
        else:
            run(job, items, given.peer, folder, Path(given.data))


if __name__ == "__main__":
    main()
