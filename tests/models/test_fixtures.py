"""The models that other tests stand on."""

from __future__ import annotations


def test_the_tiny_chat_model_generates_and_keeps_its_special_tokens_whole(tiny_model_folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello 12"}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert (ids[0], ids.count(2), tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 1, 2, 0)
    assert tokenizer.decode(ids) == text
    out = model.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False)
    assert out.shape[1] > len(ids)


def test_the_tiny_encoder_decoder_model_generates(tiny_t5_folder):
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_t5_folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5_folder)
    ids = tokenizer("Hello 12")["input_ids"]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 0)
    assert model.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False).shape[1] > 1
