"""An encoder-decoder model whose words and weights are written down here, so that it is the same everywhere."""

from __future__ import annotations

from pathlib import Path

WORDS = [
    "the", "small", "plan", "costs", "twelve", "euros", "a", "month", "yes", "no", "what", "is", "price", "Paris", "capital", "of",
    "France", "we", "are", "open", "from", "nine", "to", "five", "on", "working", "days",
]  # fmt: skip


def write_tiny_t5(folder: Path) -> Path:
    """A T5 of two layers with a vocabulary of words; its tokenizer ends texts with </s>."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    names = ["<pad>", "</s>", "<unk>", *WORDS]
    words = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))  # noqa: S106 - no password
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=64, **special).save_pretrained(folder)
    config = T5Config(
        vocab_size=len(names), d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, n_positions=64, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            steps = torch.arange(weight.numel(), dtype=torch.float64)
            values = torch.sin(steps * (0.9 + number / 10) + number) * (1.0 if weight.ndim == 1 else 1.2)
            weight.copy_(values.view(weight.shape))
    model.save_pretrained(folder)
    return folder
