"""`tutelage harness` around lm-eval: finding tasks, explaining errors, and the rows of the table."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tutelage.cli.harness import _rows
from tutelage.core.errors import InputError, MachineError
from tutelage.evaluation.options import meaning
from tutelage.harness.run import HarnessOptions, _evaluate, _load_tasks


class Manager:
    """As much of lm-eval's TaskManager as is called."""

    def __init__(self):
        self.all_tasks = ["rte", "cola", "glue", "inner", "broken", "large"]

    def load(self, names):
        (name,) = names
        if name == "broken":
            raise KeyError("no such split")
        if name == "large":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        if name != "glue":
            return {"tasks": {name: SimpleNamespace(name=name)}, "groups": {}}
        groups = {name: SimpleNamespace(name=name) for name in ("glue", "inner")}
        tasks = {name: SimpleNamespace(name=name) for name in ("rte", "cola")}
        return {"tasks": tasks, "groups": groups, "group_map": {"glue": ["inner", "cola"], "inner": ["rte"]}}


def options(*tasks, **settings):
    return HarnessOptions(model="m", tasks=tasks, **settings)


def test_a_group_is_run_with_all_that_is_in_it_and_once():
    tasks = _load_tasks(Manager(), options("glue", "rte", "rte"))
    assert [task.name for task in tasks] == ["glue", "rte"]


def test_a_task_file_is_named_by_its_path(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("task: own\n", "utf-8")
    assert len(_load_tasks(Manager(), options(str(path)))) == 1


def test_all_tasks_that_are_wrong_are_named_at_once():
    with pytest.raises(InputError) as raised:
        _load_tasks(Manager(), options("rte", "colla", "broken"))
    unknown, broken = raised.value.errors
    assert (unknown.found, unknown.fix) == ("colla", "did you mean cola?")
    assert (broken.where, broken.found) == ("broken", "KeyError: 'no such split'")
    assert "OWNER/NAME/CONFIG" in broken.fix
    with pytest.raises(InputError, match="no task is named"):
        _load_tasks(Manager(), options())


def test_too_little_memory_is_no_mistake_of_a_task():
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        _load_tasks(Manager(), options("rte", "large"))


def test_results_that_lm_eval_did_not_write_are_noticed_beside_earlier_ones(tmp_path, monkeypatch):
    (tmp_path / "results_2026.json").write_text("{}", "utf-8")
    tracker = SimpleNamespace(save_results_aggregated=lambda **_: None)
    lm_eval = {
        "lm_eval": {"simple_evaluate": lambda **_: {"samples": {}, "configs": {}, "results": {}}},
        "lm_eval.loggers": {"EvaluationTracker": lambda **_: tracker},
        "lm_eval.utils": {"make_table": lambda *_: ""},
    }
    for name, members in lm_eval.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(MachineError, match="could not write its results"):
        _evaluate(None, [], None, options("rte", out=tmp_path))


def test_rows_of_the_table():
    document = {
        "results": {
            "rte": {"alias": "rte", "acc,none": 0.5, "acc_stderr,none": 0.1, "sample_len": 4},
            "sums": {"exact_match,strict": 1.0, "exact_match_stderr,strict": "N/A", "alias": "sums"},
        },
        "groups": {"glue": {"acc,none": float("nan"), "alias": "glue"}},
        "n-samples": {"rte": {"original": 9, "effective": 4}},
    }
    assert list(_rows(document)) == [
        ("glue", "none", "acc", None, None, 0),
        ("rte", "none", "acc", 0.5, 0.1, 4),
        ("sums", "strict", "exact_match", 1.0, None, 0),
    ]


def test_every_option_has_its_meaning():
    for field in HarnessOptions.__dataclass_fields__:
        assert meaning(field, HarnessOptions).endswith(".")
