"""Every script in perf/ runs: a tiny model, a few rows, the peer left out where it is not installed."""

from __future__ import annotations

import csv
import gzip
import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from math import nan
from pathlib import Path
from types import ModuleType

import pytest

from tutelage.benchmarks import describe

PERF = Path(__file__).parents[2] / "perf"
SCRIPTS = sorted(path.stem for path in PERF.glob("*.py") if "__main__" in path.read_text("utf-8"))
DATASETS = importlib.util.find_spec("datasets") is not None
TALK = "#Person1#: When does the train to Ghent leave?\n#Person2#: At nine, number {n}."
SUMMARY = "Person2 says that train number {n} leaves at nine."


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a script of perf/ by name, as `python perf/NAME.py` would but for `__main__`."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"perf_{name}", PERF / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the layouts that the scripts read, with made-up rows."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "dialogsum").mkdir()
    names = json.loads((PERF / "train_vs_trl_rows.json").read_text("utf-8"))["rows"]
    split = json.loads((PERF / "dialogsum_split.json").read_text("utf-8"))
    names = [*names, *[name for part in ("train", "test") for name in split[part][:8] if name not in names]]
    rows = [
        {"fname": name, "dialogue": TALK.format(n=n), "summary": SUMMARY.format(n=n)}
        for n, name in enumerate(names)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "dialogsum" / "dialogsum.dev.jsonl").write_text(lines, encoding="utf-8")
    (folder / "instruction").mkdir()
    pairs = [{"prompt": row["dialogue"], "completion": row["summary"]} for row in rows]
    text = "".join(json.dumps(pair) + "\n" for pair in pairs)
    (folder / "instruction" / "talks.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def mmlu(script: Callable[[str], ModuleType], tmp_path: Path) -> Path:
    """MMLU's layout with two made-up questions for each subject that is measured."""
    for part, count in (("dev", 5), ("test", 2)):
        (tmp_path / "mmlu" / part).mkdir(parents=True)
        for subject in script("evaluate_vs_lm_eval").SUBJECTS:
            path = tmp_path / "mmlu" / part / f"{subject}_{part}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(
                    [f"{part} {subject} {n}?", "one", "two", "three", "four", "B"] for n in range(count)
                )
    return tmp_path


@pytest.fixture(scope="module")
def finished(data: Path, tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words for perf/dialogsum.py, and the folder under which its run then lies."""
    out = tmp_path_factory.mktemp("out")
    sets = [f"model={tiny_model_folder}", "watch=[]", "retain={}", "tune.rank=2", "tune.epochs=1", "tasks.0.max_new_tokens=4"]  # fmt: skip
    return ["--data", str(data), "--out", str(out), "--seeds", "0", "--set", *sets]


def test_every_script_has_its_test_here():
    text = Path(__file__).read_text("utf-8")
    assert [name for name in SCRIPTS if f'script("{name}")' not in text] == []


def test_coverage(script, capsys):
    words = [
        "--parts",
        "1",
        "--change-parts",
        "1",
        "--alarms",
        "20",
        "--sizes",
        "10",
        "--metrics",
        "accuracy,label_,choice_,target_nats",
    ]
    script("coverage").main(words)
    said = capsys.readouterr().out
    assert said.startswith("Measured 20")
    for name in ("accuracy", "label_f1", "label_mcc", "choice_brier", "choice_ece", "target_nats"):
        assert said.count(f"| `{name}` |") == 2  # scores, and their differences


def test_data(script, capsys):
    words = ["--megabytes", "0.02", "--rounds", "1", "--kinds", "JSONL of messages"]
    script("data").main([*words, *([] if DATASETS else ["--alone"])])
    assert "| JSONL of messages | 0 |" in capsys.readouterr().out


def test_data_rendering(script, capsys, monkeypatch):
    module = script("data_rendering")
    monkeypatch.setattr(module, "measured", module.one)  # in this process: imports take longer than the work
    words = ["--rows", "40", "--rounds", "1", "--kinds", "labels", "--no-memory"]
    module.main(words + ([] if DATASETS else ["--alone"]))
    assert "| labels |" in capsys.readouterr().out


def test_dialogsum_and_report_page(script, capsys, finished, chromium):
    script("dialogsum").main(finished)
    assert "lora: mean of the seeds: rouge1" in capsys.readouterr().out
    run = Path(finished[3]) / "dialogsum-lora-0"
    # In a process of its own: the fixture's browser keeps this one's event loop.
    words = [sys.executable, script("report_page").__file__, str(run), "--browsers", "1"]
    page = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    assert "| filled to its bounds |" in page.stdout


def test_evaluate_vs_lm_eval(script, capsys, mmlu, tiny_model_folder):
    (mmlu / "glue" / "RTE").mkdir(parents=True)
    rows = "".join(f"{n}\tIt rains.\tIt is wet.\tentailment\n" for n in range(3))
    (mmlu / "glue" / "RTE" / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n" + rows, "utf-8")
    words = [
        "--alone",
        "--only",
        "zero-shot,rte",
        "--items",
        "1",
        "--rows",
        "2",
        "--model",
        str(tiny_model_folder),
    ]
    script("evaluate_vs_lm_eval").main([*words, "--data", str(mmlu)])
    printed = capsys.readouterr().out
    assert "zero-shot: 10 requests" in printed
    assert "rte: 2 requests" in printed
    assert "unique tokens" in printed


UNLIKE = (
    "Cancel it",
    "Where is my parcel?",
    "No bill came",
    "Blue shoes broke",
    "Stop letters",
    "Pay by card?",
)


def test_grid(script, capsys, monkeypatch, tmp_path, tiny_model_folder):
    module, curve = script("grid"), importlib.import_module("grids.flan_curve")
    for name, value in {
        "COUNTS": (1,),
        "WATCH": [],
        "TUNE": {"method": "lora", "rank": 2, "steps": 1},
    }.items():
        monkeypatch.setattr(curve, name, value)
    for name in ("SPLIT", "HELD_OUT_SPLIT"):
        monkeypatch.setattr(curve, name, {"train": 2, "validation": 1, "test": 2})
    made_up_flan(tmp_path / "data", curve)
    words = ["flan_curve", "--data", str(tmp_path / "data"), "--results", str(tmp_path / "results")]
    words += ["--runs", str(tmp_path / "runs"), "--model", str(tiny_model_folder)]
    module.main(words)
    printed = capsys.readouterr().out
    assert (
        "| held out, accuracy | base | 1 taught, without chain of thought | 1 and 5 of chain of thought |"
        in printed
    )
    for row in ("paraphrase", "paraphrase (rank classification), best on validation"):
        assert f"| {row} |" in printed
    module.main(words)  # finished cells are not run again
    assert "begun" not in capsys.readouterr().out
    assert curve.table(committed("flan_curve"))


def test_grid_of_the_demo(script, capsys, monkeypatch, tmp_path, tiny_model_folder):
    module, demo = script("grid"), importlib.import_module("grids.demo")
    small = ["tune.steps=1", "watch=[{benchmark: general-probe, limit: 24}]"]
    protected = [*small, "protect={scales: [0.5, 1.0]}", "retain={general-probe: 60}"]
    monkeypatch.setattr(demo, "SEEDS", (0,))
    monkeypatch.setattr(demo, "SETS", {"plain": [*small, "protect=none"], "protected": protected})
    words = ["demo", "--results", str(tmp_path / "results"), "--runs", str(tmp_path / "runs")]
    module.main([*words, "--model", str(tiny_model_folder)])
    printed = capsys.readouterr().out
    assert "| | base | plain 0 | plain, mean of 1 | protected 0 | protected, mean of 1 |" in printed
    assert "| its part knowledge |" in printed
    assert "- protected 0, " in printed
    assert "of the change" in printed.partition("- protected 0, ")[2]
    assert str(tmp_path) not in (tmp_path / "results" / "demo" / "plain-0.json").read_text("utf-8").replace(
        str(tiny_model_folder), ""
    )


def test_grid_of_the_support_chat(script, capsys, monkeypatch, tmp_path, tiny_model_folder):
    module, chat = script("grid"), importlib.import_module("grids.support_chat")
    support = tmp_path / "data" / "customer_support"
    (support / "abcd").mkdir(parents=True)
    asked = [f"{words},intent {n % 2},Done {n % 2}.\n" for n, words in enumerate(UNLIKE)]
    with gzip.open(support / "bitext_sample.csv.gz", "wt", encoding="utf-8") as file:
        file.write("instruction,intent,response\n" + "".join(asked))
    dialogues = [
        {"original": [["customer", words], ["agent", "Your name?"], ["customer", "Ann"], ["agent", "Done."]]}
        for words in UNLIKE
    ]
    (support / "abcd" / "abcd_sample.json").write_text(json.dumps(dialogues), encoding="utf-8")
    small = ["tune.steps=1", "watch=[{benchmark: general-probe, limit: 24}]", "retain={general-probe: 60}"]
    small += ["protect=none", "tasks.0.split={train: 3, validation: 1, test: 2}"]
    monkeypatch.setattr(chat, "SETS", {"protected": small})
    words = ["support_chat", "--data", str(tmp_path / "data"), "--results", str(tmp_path / "results")]
    module.main([*words, "--runs", str(tmp_path / "runs"), "--model", str(tiny_model_folder)])
    printed = capsys.readouterr().out
    for row in ("| bitext | exact_match | 2 |", "| abcd | chrf | 4 |", "| limits | rightly_refuses | 24 |"):
        assert row in printed
    assert "| its part knowledge | accuracy |" in printed


def made_up_flan(folder: Path, curve: ModuleType) -> None:
    """The files that the grid reads, with made-up rows."""
    rows = {
        curve.TAUGHT[0]: [{"prompt": f"Is {n} red?", "completion": f"No {n}."} for n in range(8)],
        "superglue/RTE/val.jsonl": _inferences("not_entailment", "entailment"),
        "superglue/CB/val.jsonl": _inferences("contradiction", "entailment", "neutral"),
    }
    for path, file_rows in rows.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("".join(json.dumps(row) + "\n" for row in file_rows), encoding="utf-8")
    (folder / "glue" / "MRPC").mkdir(parents=True)
    pairs = "".join(f"{n % 2}\t{n}\t{n}\tIt rains {n}.\tIt is wet {n}.\n" for n in range(8))
    (folder / "glue" / "MRPC" / "msr_paraphrase_test.txt").write_text(
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n" + pairs, encoding="utf-8"
    )
    (folder / "instruction" / "flan_cot").mkdir()
    for name in curve.COT_TASKS:
        with gzip.open(
            folder / "instruction" / "flan_cot" / f"{name}_train.tsv.gz", "wt", encoding="utf-8"
        ) as file:
            file.writelines(f"What is {name} {n}?\t{n}\tIt is so for the {n}th time.\n" for n in range(8))


def _inferences(*labels: str) -> list[dict[str, str]]:
    return [
        {"premise": f"It rains {n}.", "hypothesis": f"It is wet {n}.", "label": labels[n % len(labels)]}
        for n in range(9)
    ]


def committed(grid: str) -> dict[str, object]:
    """The results of a grid's cells that are in perf/results."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in (PERF / "results" / grid).glob("*.json")
    }


@pytest.mark.parametrize(
    ("value", "apart", "agree"),
    [
        (-1.0, 9e-5, True),
        (-1.0, 2e-4, False),
        (-150.0, 2e-4, True),
        (-150.0, 4e-4, False),
        (-1.0, nan, False),
    ],
)
def test_log_probabilities_agree_to_rounding(script, value, apart, agree):
    module = script("evaluate_vs_lm_eval")
    sides = {"a": [value, -3.0]}, {"a": [value + apart, -3.0]}
    if agree:
        assert len(list(module.differences("t5", *sides))) == 1
        return
    with pytest.raises(SystemExit, match="the sides differ"):
        list(module.differences("t5", *sides))


def test_metrics_vs_reference(script, capsys, monkeypatch, data):
    module = script("metrics_vs_reference")
    monkeypatch.setattr(module, "long_pairs", lambda folder: module.pairs_of(folder, 20, 2))
    module.main(["--data", str(data), "--runs", "1", "--only", "rouge", "--peers", "rouge_score"])
    rows = capsys.readouterr().out.splitlines()[4:]
    assert len(rows) == 6
    assert all(float(row.split("|")[7]) < 1e-9 for row in rows)


def test_mixture(script, capsys, monkeypatch):
    module = script("mixture")
    for name, value in {"TASKS": 12, "TOTAL": 12_000, "FILE_ROWS": 10_000, "TOTALS": (2_000, 12_000)}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(
        module, "child", lambda subject, folder, *words: module.CHILDREN[subject](folder, *map(str, words))
    )
    module.main(["--rows", "2000", "--rounds", "1", "--alone"])
    assert "rendered, whole" in capsys.readouterr().out


def test_run_size(script, capsys):
    script("run_size").main(["--layers", "1", "--tokens", "300", "--rank", "2"])
    adapter, merged = (
        line.split("|") for line in capsys.readouterr().out.splitlines() if line.endswith(" s |")
    )
    assert float(adapter[2]) < float(merged[2])


def test_packing(script, capsys, data):
    script("packing").main(["--data", str(data)])
    assert "packs of 1024 tokens" in capsys.readouterr().out


def test_probe_difficulty(script, capsys, tiny_model_folder):
    script("probe_difficulty").main(str(tiny_model_folder), "general-probe:development")
    assert "positions chosen" in capsys.readouterr().out


def test_suite_core(script, capsys, tiny_model_folder):
    assert not {*describe("core").suite} & {*describe(str(PERF / "suite_candidates.yaml")).suite}
    script("suite_core").main([str(tiny_model_folder), "core", "--limit", "1"])
    rows = capsys.readouterr().out.splitlines()[3:]
    assert rows[0].startswith("| knowledge | `accuracy` | 1 |")
    assert rows[-1].startswith("| the suite | `task_score` |")
    assert int(rows[-1].split("|")[8].replace(",", "")) > len(rows)


def test_templates(script, capsys):
    script("templates").main(["--rows", "50"])
    assert "the library" in capsys.readouterr().out


def test_train_vs_trl(script, capsys, monkeypatch, data, tiny_model_folder):
    module = script("train_vs_trl")
    monkeypatch.setattr(
        module, "run_child", lambda setting, *rest: module.child_tutelage(setting, *rest[:-1])
    )
    words = [
        "--alone",
        "--steps",
        "2",
        "--threads",
        "1",
        "--model",
        str(tiny_model_folder),
        "--data",
        str(data),
    ]
    assert module.main(words) == 0
    assert "| Tutelage, defaults | 1 |" in capsys.readouterr().out
