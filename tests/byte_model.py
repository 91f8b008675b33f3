"""A GPT-2 of two layers that reads bytes: the same weights on every machine, from numpy's generator.

In float64 nothing of it is computed in fp32, so that log-probabilities agree across processors and programs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

CONTEXT = 8192


def write_byte_model(folder: Path) -> Path:
    """Write the model and its tokenizer of 256 bytes and an end of text in transformers' layout; returns the folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {letter: number for number, letter in enumerate(alphabet, 1)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    _model(len(vocabulary)).save_pretrained(folder)
    return folder


def _model(size: int) -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=size,
        n_positions=CONTEXT,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    generator = np.random.default_rng(20)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            if weight.dim() > 1:  # biases and norms stay as they are: 0 and 1
                values = 0.2 * generator.standard_normal(tuple(weight.shape))
                weight.copy_(torch.tensor(values, dtype=torch.float32))
    return model
