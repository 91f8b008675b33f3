"""What the house promises of itself: sizes, names, light imports, pins, a README that tells the truth."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import tutelage

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
COMPILED = sorted((ROOT / "src").rglob("*.[ch]"))
PUBLIC = [
    "EvaluationOptions",
    "InputError",
    "MachineError",
    "PredictionOptions",
    "Predictions",
    "Recipe",
    "Responder",
    "Row",
    "TutelageError",
    "__version__",
    "compare",
    "evaluate",
    "load",
    "predict",
    "run",
    "score",
]


def test_no_source_file_passes_400_lines():
    long = {
        path.name: n for path in SOURCES + COMPILED if (n := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_the_public_names_are_these():
    assert sorted(tutelage.__all__) == PUBLIC
    assert sorted(dir(tutelage)) == PUBLIC
    for name in PUBLIC:
        assert getattr(tutelage, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tutelage.trian  # noqa: B018 - reading it is the test


@pytest.mark.parametrize(
    "code",
    [
        "import tutelage",
        "import tutelage; tutelage.score('rouge1', [tutelage.Row('a b', ('a c',))])",
        "import tutelage; tutelage.compare",
        "import tutelage.report",
    ],
)
def test_scoring_comparing_and_reporting_import_no_torch(code):
    heavy = "torch", "transformers", "peft"
    probe = f"{code}\nimport sys; print(sorted(set(sys.modules) & set({heavy!r})))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_stands_in_pyproject_too():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert told["project"]["version"] == tutelage.__version__


def test_every_dependency_is_pinned_and_nothing_else_than_packages():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*told["dependencies"], *told["optional-dependencies"]["dev"]]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in pins)
    pinned = {_canonical(line.partition("==")[0]): line.partition("==")[2] for line in pins}
    assert {_canonical(re.split(r"[<>=]", line)[0]) for line in asked} <= set(pinned)
    assert pinned["torch"] == "2.13.0"


def test_nothing_loads_a_pickle():
    """torch.load, pickle, marshal, shelve, joblib and numpy's allow_pickle stand nowhere in the source."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                found += [
                    (path.name, name) for name in names & {"pickle", "marshal", "shelve", "joblib", "dill"}
                ]
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                found.append((path.name, "torch.load"))
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                found.append((path.name, "allow_pickle"))
    assert not found


def test_yaml_is_read_in_one_place_alone():
    """Everything from outside goes through the bounded readers of core/yamltext.py."""
    reading = [
        path.name
        for path in SOURCES
        if re.search(r"^\s*(import|from) yaml\b", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert reading == ["yamltext.py"]


def test_every_draw_comes_from_a_seed():
    """No generator whose state a stopped training would have to keep: torch is seeded by `seeds.derive` alone."""
    drawing = {
        "rand",
        "randn",
        "randint",
        "randperm",
        "rand_like",
        "randn_like",
        "normal",
        "bernoulli",
        "multinomial",
    }
    # Inside a fork of the generator that `seeds.derive` has seeded; numbers whose product is only timed.
    allowed = {"models/adapters.py: torch.randint", "cli/doctor.py: torch.randn"}
    # The exemplars that lm-evaluation-harness draws, from its seed.
    allowed |= {"benchmarks/exemplar_draws.py: random"}
    found = set()
    for path in SOURCES:
        place = path.relative_to(ROOT / "src" / "tutelage").as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                found |= {f"{place}: {name}" for name in names & {"random", "numpy.random"}}
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            owner, _, name = called.rpartition(".")
            if called == "torch.manual_seed" and not ast.unparse(node.args[0]).startswith("seeds.derive("):
                found.add(f"{place}: {called}")
            if owner in ("np.random", "numpy.random") and place != "core/seeds.py":
                found.add(f"{place}: {called}")
            given = any(keyword.arg == "generator" for keyword in node.keywords)
            if owner == "torch" and name in drawing and not given:
                found.add(f"{place}: {called}")
    assert found == allowed


# Why a test may be skipped: data or a device that no package brings, another system, a right that this user lacks.
SKIPS = ("TUTELAGE_DATA", "GPU", "Linux", "/proc", "has no right to", "are refused, see tests/")


def test_no_test_is_skipped_for_want_of_a_tool_but_through_the_fixture_missing():
    """That fixture fails where CI is set. What the dev extra installs is imported as it is: no importorskip."""
    others = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            words = "".join(
                one.value
                for one in ast.walk(node)
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )
            skips = name in ("skip", "skipif", "xfail", "skipTest", "SkipTest") and not any(
                why in words for why in SKIPS
            )
            if name == "importorskip" or (skips and place != "tests/conftest.py"):
                others.append(f"{place}:{node.lineno}")
    assert others == []


def _bound_names(tree: ast.AST) -> list[str]:
    """Names that a module binds: variables, arguments, functions, classes, aliases."""
    names = []
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                names.append(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                names.append(name)
    return names


def test_fewer_than_one_name_in_a_hundred_is_idiom():
    """Names say what they hold; tests/idiom.txt lists words that do not."""
    lines = (ROOT / "tests" / "idiom.txt").read_text("utf-8").splitlines()
    idiom = {line for line in lines if line and not line.startswith("#")}
    assert len(idiom) >= 40
    names = [name for path in SOURCES for name in _bound_names(ast.parse(path.read_text("utf-8")))]
    counts = Counter(bare for name in names if (bare := name.strip("_")) in idiom)
    assert counts.total() < 0.01 * len(names), counts.most_common(20)


def test_names_are_counted_wherever_they_are_bound():
    code = "import numpy as told\ndef asked(one, *given):\n    for found in one:\n        own: int = 1\nclass Kept: ..."
    assert sorted(_bound_names(ast.parse(code))) == ["Kept", "asked", "found", "given", "one", "own", "told"]


def test_no_package_has_the_name_of_a_public_function():
    """`import tutelage.run` would put a package in the place of the function `tutelage.run`."""
    inside = {path.stem for path in (ROOT / "src" / "tutelage").iterdir()}
    assert not inside & set(PUBLIC)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
