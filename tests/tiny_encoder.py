"""Encoders of two layers whose weights follow from a formula, so that recorded values need no file of weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

TEXT = (
    "the a cat dog sat slept on mat rug was is not very good bad food we will come again mus ##eum open ##s at nine "
    "in morning , . ! 2 ##0 ##ly quick brown fox ##es"
)
LENGTH = 24


def write_bert(folder: Path) -> Path:
    """A BERT of two layers with a WordPiece vocabulary of about 50 pieces."""
    from transformers import BertConfig, BertModel

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {piece: number for number, piece in enumerate([*special, *TEXT.split()])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokens = dict(zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True))
    _write_tokenizer(folder, tokenizer, "BertTokenizer", tokens)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=LENGTH, **sizes)
    _save(BertModel(config), folder)
    return folder


def write_roberta(folder: Path) -> Path:
    """A RoBERTa of two layers over bytes."""
    from transformers import RobertaConfig, RobertaModel

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=special[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokens = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}  # fmt: skip
    _write_tokenizer(folder, tokenizer, "RobertaTokenizer", tokens)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = RobertaConfig(
        vocab_size=len(vocabulary), max_position_embeddings=LENGTH + 2, type_vocab_size=1, pad_token_id=1, **sizes
    )  # fmt: skip
    _save(RobertaModel(config), folder)
    return folder


def _write_tokenizer(folder: Path, tokenizer: Tokenizer, name: str, tokens: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.add_special_tokens(list(dict.fromkeys(tokens.values())))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": name, "model_max_length": LENGTH, "clean_up_tokenization_spaces": False}
    settings |= {f"{role}_token": token for role, token in tokens.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _save(model: torch.nn.Module, folder: Path) -> None:
    """Give every weight a value of a formula: large enough that vectors differ from word to word."""
    with torch.no_grad():
        for number, (name, weight) in enumerate(sorted(model.named_parameters())):
            places = torch.arange(weight.numel(), dtype=torch.float64)
            waves = torch.sin(places * (1.7 + 0.31 * number) + number) * 0.5
            waves += 1.0 if "LayerNorm.weight" in name else 0.0
            weight.copy_(waves.reshape(weight.shape))
    model.save_pretrained(folder)
