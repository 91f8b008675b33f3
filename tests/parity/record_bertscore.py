"""Records what the package bert-score 0.3.13 computes, for test_bertscore.py. Needs bert-score:

python tests/parity/record_bertscore.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tiny_encoder import write_bert, write_roberta

PAIRS = (
    ("The cat sat on the mat.", ["The cat sat on the mat."]),
    ("The cat slept on the rug.", ["The cat sat on the mat."]),
    ("The food was not good", ["The food was very good"]),
    ("The museum opens at nine in the morning!", ["In the morning the museum opens at nine."]),
    ("dog", ["The quickly brown foxes sat"]),
    ("We will come again", ["We will not come again", "Will we come again", "dog"]),
    ("zebra 20 quickly", ["20 zebra"]),
    ("  good food  ", ["good food"]),
    ("", ["The cat sat"]),
    ("The cat sat", ["a", ""]),
    ("the cat " * 20, ["the dog " * 9]),
)


def main() -> None:
    from bert_score import score
    from transformers import PreTrainedTokenizerBase

    # bert-score 0.3.13 encodes empty texts by a method that tokenizers had before transformers 5.
    PreTrainedTokenizerBase.build_inputs_with_special_tokens = lambda tokenizer, _ids: tokenizer.encode("")

    predictions, references = [pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS]
    values: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, write in (("bert", write_bert), ("roberta", write_roberta)):
            folder = write(Path(scratch) / name)
            for layer in (1, 2):
                for idf in (False, True):
                    # One pair a batch: where texts are padded, bert-score lets a token be nearest to the padding, at 0.
                    measures = score(
                        predictions,
                        references,
                        model_type=str(folder),
                        num_layers=layer,
                        idf=idf,
                        batch_size=1,
                    )
                    rows = zip(*(measure.tolist() for measure in measures), strict=True)
                    values[f"{name}|{layer}|{idf}"] = [[round(number, 7) for number in row] for row in rows]
    path = Path(__file__).with_name("bertscore.json")
    path.write_text(json.dumps({"pairs": PAIRS, "values": values}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
