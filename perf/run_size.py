"""What does a LoRA run that keeps only its adapter save on the disk and in time, against one with merged weights?

    python perf/run_size.py [--layers 30] [--rank 16] [--tokens 49152]

A model of random weights in the shape of the bundled default (SmolLM2-135M: 30 layers of width 576, 49,152 tokens) gets a LoRA adapter
on all linear layers. Both are written as `tutelage run` and `export --merge` write them, synced and read back where a merge is checked;
then the hashes are made that a run records, and the model is loaded once. Seconds are of the wall clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from measurement_note import measured_on
from tutelage.core import manifest
from tutelage.models import add_adapter, export, load, resolve


def write_base(folder: Path, *, layers: int, tokens: int) -> None:
    """Write a model of random weights with a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokens,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    alphabet = ["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({character: i for i, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>").save_pretrained(  # noqa: S106
        folder
    )


def main(words: Sequence[str] | None = None) -> None:
    """Print a table: what is written, how large it is, how long writing, hashing and loading take."""
    import torch

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=49_152)
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_base(folder / "base", layers=arguments.layers, tokens=arguments.tokens)
        base = resolve(str(folder / "base"))
        tuned = add_adapter(load(base), "lora", {"rank": arguments.rank}, seed=0)
        with torch.no_grad():
            for name, parameter in tuned.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.02)
        print("| written | MB | writing | hashing | loading |\n|---|---:|---:|---:|---:|")
        for name, merge in (("adapter", False), ("merged copy with its adapter", True)):
            times = [time.perf_counter()]
            export(tuned, folder / "out", merge=merge, base=base)
            times.append(time.perf_counter())
            files = manifest.of_folder(folder / "out")
            times.append(time.perf_counter())
            load(resolve(str(folder / "out")))
            times.append(time.perf_counter())
            size = sum(file["size"] for file in files.values()) / 1e6
            seconds = [f"{end - start:.1f} s" for start, end in pairwise(times)]
            print(f"| {name} | {size:.0f} | {' | '.join(seconds)} |")
    print(f"\n{measured_on()}")


if __name__ == "__main__":
    main()
