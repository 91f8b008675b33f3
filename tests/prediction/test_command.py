"""`tutelage predict` as a person types it: files, pipes, --json and its errors."""

from __future__ import annotations

import json

from prediction.conftest import write_rows


def test_lines_of_standard_input_are_answered_on_standard_output(finished, warm, tmp_path):
    words = ["predict", finished, "--task", "colours", "--recipe", finished.parent / "recipe.yaml"]
    done = warm.run(words, cwd=tmp_path, input="What is the colour of plan 0?\n\nIs it \u202e red?\r\n")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert [record["id"] for record in records] == [1, 3]
    write_rows(tmp_path / "new.jsonl", [{"question": "What is the colour of plan 0?", "topic": "x"}])
    named = warm.run([*words, "new.jsonl", "--keep", "all", "--json"], cwd=tmp_path)
    document = json.loads(named.stdout)
    assert document["predictions"][0]["prediction"] == records[0]["prediction"]
    assert document["predictions"][0]["topic"] == "x"
    assert (document["rows"], document["answers"], document["out"]) == (1, 1, None)
    refused = warm.run([*words[:2], "new.jsonl", "--recipe", words[-1]], cwd=tmp_path)
    assert refused.returncode == 2
    assert "name one: --task colours" in refused.stderr
    several = warm.run([*words[:2], "new.jsonl", "more.jsonl"], cwd=tmp_path)
    assert "answer them one after the other" in several.stderr
