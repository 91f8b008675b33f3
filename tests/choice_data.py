"""The rows of choice_rows.yaml as copies of the hub's data sets, and the harness's tasks over them with ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TASKS = {
    "truthfulqa_mc1": ("truthfulqa:mc1", "truthfulqa"),
    "truthfulqa_mc2": ("truthfulqa:mc2", "truthfulqa"),
    "hellaswag": ("hellaswag", "hellaswag"),
    "arc_easy": ("arc", "easy"),
    "arc_challenge": ("arc", "challenge"),
    "piqa": ("piqa", "piqa"),
    "winogrande": ("winogrande", "winogrande"),
}
"""The harness's task to our benchmark and its part."""


def write_rows(folder: Path, rows: Mapping[str, Any]) -> None:
    """Write each data set in the hub's layout: a file a split, in a folder of its configuration or in data/."""
    places = {
        "truthfulqa/truthful_qa/multiple_choice": rows["truthfulqa"],
        "Rowan/hellaswag/data": rows["hellaswag"],
        "allenai/ai2_arc/ARC-Easy": rows["arc"]["easy"],
        "allenai/ai2_arc/ARC-Challenge": rows["arc"]["challenge"],
        "baber/piqa/data": rows["piqa"],
        "allenai/winogrande/winogrande_xl": rows["winogrande"],
    }
    for name, splits in places.items():
        (folder / name).mkdir(parents=True)
        # The harness opens all splits of a task, also those that it does not ask.
        for split in ("train", "validation", *(["test"] if "ai2_arc" in name else [])):
            of_split = splits.get(split) or splits.get("validation") or splits["test"]
            text = "".join(json.dumps(row) + "\n" for row in of_split)
            (folder / name / f"{split}-00000-of-00001.jsonl").write_text(text, "utf-8")
