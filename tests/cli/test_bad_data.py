"""Bad data through the program: exit code 2, the place and the fix on standard error, nothing written."""

from __future__ import annotations

import gzip
import hashlib

import pytest

from tutelage.cli.main import main

GOOD = '{"prompt": "a", "completion": "b"}\n'
SAMPLE = {
    "byte": ("r.jsonl", GOOD.encode() + b'{"prompt": "\xff"}\n', "r.jsonl:2: the line is not UTF-8", "iconv"),
    "cut off": ("r.jsonl", GOOD + '{"prompt": "a', "r.jsonl:2: the last line is cut off", "fetch it again"),
    "quote": ("r.csv", 'prompt,completion\n1,"2\n', "r.csv:2: a quote is opened", "doubled"),
    "gzip": ("r.jsonl.gz", gzip.compress(GOOD.encode())[:-4], "the gzip file is damaged", "gzip -t"),
    "document": ("r.json", '[{"prompt": "a",\n"completion": nul}]', "r.json:2: not valid JSON", "json.dump"),
    "Parquet": ("r.parquet", b"PAR1" + b"\0" * 40, "r.parquet, row 1: the Parquet file is damaged", "again"),
    "missing field": ("r.jsonl", GOOD + '{"prompt": "a"}\n' + GOOD, "r.jsonl:2: the completion uses", "on_bad_row: drop"),
    "null field": ("r.jsonl", GOOD + '{"prompt": null, "completion": "b"}\n', "r.jsonl:2: the prompt needs text", "fill it"),
    "number": ("r.jsonl", GOOD * 2 + '{"prompt": 1, "completion": "b"}\n', "r.jsonl:3: the field prompt is a number", "quotes"),
    "blank": ("r.jsonl", GOOD + '{"prompt": "a", "completion": " "}\n', "r.jsonl:2: the completion is empty", "delete the row"),
    "tools": (
        "r.jsonl",
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [1]}]}\n',
        "r.jsonl:1: the conversation holds tool calls",
        "on_bad_row: drop",
    ),
}  # fmt: skip


def state(folder):
    return {
        p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else ""
        for p in folder.rglob("*")
    }


@pytest.mark.parametrize("name", SAMPLE)
def test_it_stops_with_2_and_writes_nothing(tmp_path, capsys, tiny_model_folder, name):
    file, content, problem, fix = SAMPLE[name]
    (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    template = 'prompt: "{{ prompt }}"\n    completion: "{{ completion }}"\n'
    (tmp_path / "recipe.yaml").write_text(
        f"model: {tiny_model_folder}\ntasks:\n  - data: {{path: {file}}}\n    {'' if name == 'tools' else template}"
    )
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("stays")
    before = state(tmp_path)
    assert main(["run", str(tmp_path / "recipe.yaml"), "--out", str(out / "run")]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert problem in told
    assert fix in told
    assert "Traceback" not in told
    assert state(tmp_path) == before


def test_a_mistake_comes_as_json_too(tmp_path, capsys, tiny_model_folder):
    (tmp_path / "r.jsonl").write_text(GOOD + "{")
    (tmp_path / "recipe.yaml").write_text(
        f"model: {tiny_model_folder}\ntasks: [{{data: {{path: r.jsonl}}}}]\n"
    )
    assert main(["run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run"), "--json"]) == 2
    assert '"where"' in capsys.readouterr().out
