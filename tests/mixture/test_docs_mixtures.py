"""docs/mixtures.md tells the truth: its program runs and gives what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.feather

TEXT = (Path(__file__).parents[2] / "docs" / "mixtures.md").read_text("utf-8")
(PROGRAM,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_its_program_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"text": [f"Visit {n}." for n in range(4000)], "answer": ["yes", "no"] * 2000, "stars": [3] * 4000}
    pyarrow.feather.write_feather(pa.table(rows), "reviews.arrow", compression="uncompressed")
    names: dict[str, object] = {}
    exec(PROGRAM, names)  # noqa: S102 - the documentation's own
    mixed, batch = names["mixed"], names["batch"]
    assert batch == mixed.span(6400, 6464)
    asked = set(zip(batch.prompts, batch.completions, strict=True))
    assert len(asked) == 64
    assert {prompt.split("Visit")[0] for prompt, _ in asked} == {"How was it?\n\n", "Stars, 1 to 5: "}
    assert {one.task for one in batch} == {"mood", "stars"}
