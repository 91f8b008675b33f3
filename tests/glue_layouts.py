"""The rows of parity/glue_rows.yaml, written in the layouts in which GLUE and SuperGLUE are published."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import yaml

ROWS: dict[str, dict[str, list[dict[str, Any]]]] = yaml.safe_load(
    (Path(__file__).parent / "parity" / "glue_rows.yaml").read_text("utf-8")
)
ENTAILMENT = ("entailment", "not_entailment")
NLI = ("entailment", "neutral", "contradiction")
CB = ("entailment", "contradiction", "neutral")
_MNLI = [
    "index",
    "promptID",
    "pairID",
    "genre",
    "sentence1_binary_parse",
    "sentence2_binary_parse",
    "sentence1_parse",
    "sentence2_parse",
    "sentence1",
    "sentence2",
]
_STSB = ["index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2"]
_MRPC = ["#1 ID", "#2 ID", "#1 String", "#2 String"]
_PHENOMENA = {
    "Lexical Semantics": "lexical_semantics",
    "Predicate-Argument Structure": "predicate_argument_structure",
    "Logic": "logic",
    "Knowledge": "knowledge",
}


def write_glue(folder: Path, *, test: bool = False) -> Path:
    """GLUE's unpacked zip file with its development rows, or with its test rows, which have no labels; returns the folder."""
    rows = ROWS["glue"]
    pairs = ("sentence1", "sentence2")
    name = "test" if test else "dev"
    label = [] if test else ["label"]
    number = ["index"] if test else []
    cola = [["gj04", row["label"], "" if row["label"] else "*", row["sentence"]] for row in rows["cola"]]
    if test:
        cola = [["index", "sentence"], *([n, row["sentence"]] for n, row in enumerate(rows["cola"]))]
    _tsv(folder / "CoLA" / f"{name}.tsv", cola)
    columns = [*number, "sentence", *label]
    _table(folder / "SST-2" / f"{name}.tsv", columns, rows["sst2"])
    strings = {"#1 String": "sentence1", "#2 String": "sentence2", "Quality": "label"}
    mrpc = [*_MRPC] if test else ["Quality", *_MRPC]
    _table(folder / "MRPC" / f"{name}.tsv", [*number, *mrpc], rows["mrpc"], strings, mark="\ufeff")
    qqp = (
        ["id", "question1", "question2"]
        if test
        else ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    )
    _table(folder / "QQP" / f"{name}.tsv", qqp, rows["qqp"], {"is_duplicate": "label"})
    _table(folder / "STS-B" / f"{name}.tsv", _STSB + ["score"] * (not test), rows["stsb"], {"score": "label"})
    texts = {"sentence1": "premise", "sentence2": "hypothesis"}
    for part, suffix in (("mnli", "matched"), ("mnli_mismatched", "mismatched")):
        named = _named(rows[part], NLI)
        gold = [] if test else ["label1", "gold_label"]
        names = {**texts, "gold_label": "label"}
        _table(folder / "MNLI" / f"{name}_{suffix}.tsv", [*_MNLI, *gold], named, names)
    _table(
        folder / "QNLI" / f"{name}.tsv",
        ["index", "question", "sentence", *label],
        _named(rows["qnli"], ENTAILMENT),
    )
    _table(folder / "RTE" / f"{name}.tsv", ["index", *pairs, *label], _named(rows["rte"], ENTAILMENT))
    _table(folder / "WNLI" / f"{name}.tsv", ["index", *pairs, *label], rows["wnli"])
    if test:
        _table(folder / "AX" / "AX.tsv", ["index", *pairs], rows["ax"], texts)
    else:
        columns = [*_PHENOMENA, "Domain", "Premise", "Hypothesis", "Label"]
        names = {**_PHENOMENA, "Premise": "premise", "Hypothesis": "hypothesis", "Label": "label"}
        _table(folder / "AX" / "diagnostic-full.tsv", columns, _named(rows["ax"], NLI), names)
    return folder


def write_superglue(folder: Path, *, test: bool = False) -> Path:
    """SuperGLUE's unpacked zip file with its validation rows, or with its test rows, which have no labels; returns the folder."""
    rows = ROWS["superglue"]
    verdicts = (False, True)
    tasks: dict[str, Iterable[dict[str, Any]]] = {
        "BoolQ": _named(rows["boolq"], verdicts),
        "CB": _named(rows["cb"], CB),
        "COPA": rows["copa"],
        "MultiRC": _passages(rows["multirc"]),
        "ReCoRD": map(_nested_query, rows["record"]),
        "RTE": _named(rows["rte"], ENTAILMENT),
        "WiC": _named(rows["wic"], verdicts),
        "WSC": map(_with_target, _named(rows["wsc"], verdicts)),
    }
    for name, of_task in tasks.items():
        numbered = [{"idx": number, **row} for number, row in enumerate(of_task)]
        _jsonl(
            folder / name / ("test.jsonl" if test else "val.jsonl"),
            [_unlabelled(row) for row in numbered] if test else numbered,
        )
    for name, part in (("AX-b", "axb"), ("AX-g", "axg")):
        diagnostics = [{"idx": number, **row} for number, row in enumerate(_named(rows[part], ENTAILMENT))]
        _jsonl(folder / name / f"{name}.jsonl", diagnostics)
    return folder


def write_hub(data: Path, *, test: bool = False) -> Path:
    """Copies of both benchmarks' repositories on the hub in a data folder, as Parquet; returns the folder."""
    for name, benchmark in (("nyu-mll/glue", "glue"), ("aps/super_glue", "superglue")):
        for task, rows in ROWS[benchmark].items():
            config = {"mnli_mismatched": "mnli", "wsc": "wsc.fixed"}.get(task, task)
            if benchmark == "glue" and task == "ax" and not test:
                continue  # its test split has no labels
            split = "test" if test or task in ("axb", "axg") else "validation"
            split += {"mnli": "_matched", "mnli_mismatched": "_mismatched"}.get(task, "")
            table = [_hub_row(task, number, row, test=test) for number, row in enumerate(rows)]
            path = data / name / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pa.parquet.write_table(pa.Table.from_pylist(table), path)
    return data


def _hub_row(task: str, number: int, row: Mapping[str, Any], *, test: bool) -> dict[str, Any]:
    foreign = (*_PHENOMENA.values(), "lexical-semantics", "pair_id")
    hub = {"idx": number, **{name: value for name, value in row.items() if name not in foreign}}
    if test and task not in ("axb", "axg"):
        hub |= {"answers": []} if task == "record" else {"label": -1}
    return hub


def _named(rows: Iterable[Mapping[str, Any]], labels: Sequence[Any]) -> list[dict[str, Any]]:
    return [{**row, "label": labels[row["label"]]} for row in rows]


def _passages(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """MultiRC's options as passages with questions with options."""
    passages: dict[int, dict[str, Any]] = {}
    for row in rows:
        place = row["idx"]
        passage = passages.setdefault(
            place["paragraph"],
            {
                "idx": place["paragraph"],
                "version": 1.1,
                "passage": {"text": row["paragraph"], "questions": []},
            },
        )
        questions = passage["passage"]["questions"]
        if not questions or questions[-1]["idx"] != place["question"]:
            questions.append({"question": row["question"], "answers": [], "idx": place["question"]})
        questions[-1]["answers"].append(
            {"text": row["answer"], "idx": place["answer"], "label": row["label"]}
        )
    return list(passages.values())


def _nested_query(row: Mapping[str, Any]) -> dict[str, Any]:
    """A query of ReCoRD as a passage with spans and queries."""
    text = row["passage"]
    spans = [{"start": text.index(name), "end": text.index(name) + len(name) - 1} for name in row["entities"]]
    answers = [{"start": text.index(answer), "end": 0, "text": answer} for answer in row["answers"]]
    query = {"query": row["query"], "answers": answers, "idx": row["idx"]["query"]}
    return {
        "source": "ours",
        "passage": {"text": text, "entities": spans},
        "qas": [query],
        "idx": row["idx"]["passage"],
    }


def _with_target(row: Mapping[str, Any]) -> dict[str, Any]:
    target = {name: value for name, value in row.items() if name.startswith("span")}
    return {"text": row["text"], "target": target, "label": row["label"]}


def _unlabelled(value: Any) -> Any:
    """A row without its labels and right answers, at any depth."""
    if isinstance(value, list):
        return [_unlabelled(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    is_query = "query" in value
    return {
        name: _unlabelled(entry)
        for name, entry in value.items()
        if name != "label" and not (is_query and name == "answers")
    }


def _table(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    names: Mapping[str, str] | None = None,
    mark: str = "",
) -> None:
    """A table with a header; columns that the rows do not have hold their number."""
    lines = [
        [row.get((names or {}).get(column, column), number) for column in columns]
        for number, row in enumerate(rows)
    ]
    _tsv(path, [list(columns), *lines], mark)


def _tsv(path: Path, lines: Iterable[Sequence[Any]], mark: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(mark + "".join("\t".join(map(str, line)) + "\n" for line in lines), "utf-8")


def _jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
