"""Documents tell the truth: files they name exist, links lead somewhere, README is short."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import tutelage
from tutelage import benchmarks
from tutelage.config import from_mapping
from tutelage.core import yamltext

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_architecture_shows_every_package_and_nothing_that_does_not_exist():
    tree = re.search(r"```text\n(.*?)```", ARCHITECTURE, re.DOTALL)
    assert tree
    root, *lines = tree[1].splitlines()
    shown = {line.split()[0] for line in lines}
    assert all((ROOT / root / name).exists() for name in shown)
    assert shown >= {path.parent.name for path in (ROOT / root).glob("*/__init__.py")}


def test_the_order_of_packages_in_the_architecture_is_that_of_the_import_contract():
    contract = re.search(r"layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text("utf-8"), re.DOTALL)
    tree = re.search(r"```text\n(.*?)```", ARCHITECTURE, re.DOTALL)
    assert contract
    assert tree
    layers = re.findall(r'"tutelage\.(\w+)"', contract[1])
    shown = [line.split()[0].removesuffix(".py") for line in tree[1].splitlines()[1:]]
    assert shown == layers[::-1]


def test_files_that_the_architecture_names_exist():
    for name in re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", ARCHITECTURE):
        assert (ROOT / "src" / "tutelage" / name).is_file() or (ROOT / name).is_file(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tests_and_scripts_that_a_document_names_exist(document):
    for name in re.findall(r"\b((?:tests|perf|recipes)/[\w/.-]*\w)", document.read_text("utf-8")):
        assert "NAME" in name or (ROOT / name).exists(), name


def test_readme_has_at_most_120_lines_and_the_commands_on_its_first_screen():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 120
    first = "\n".join(lines[:25])
    assert all(text in first for text in ("docs/images/report.png", "make demo", "make test"))


def test_every_page_is_in_the_sites_table_of_contents():
    listed = set(re.findall(r"^[\w/-]+$", (ROOT / "docs" / "index.md").read_text("utf-8"), re.MULTILINE))
    pages = {
        path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")
    }
    assert listed == pages - {"index"}


def test_the_recipe_in_readme_is_valid():
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block
    recipe = from_mapping(yamltext.read(block[1], file="README.md").value)
    assert recipe.tune.method == "lora"
    assert dict(recipe.retain) == {"general-probe": 5.0}


def test_the_program_in_readme_calls_what_there_is():
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block
    calls = [node for node in ast.walk(ast.parse(block[1])) if isinstance(node, ast.Call)]
    called = [call for call in calls if ast.unparse(call.func).startswith("tutelage.")]
    assert len(called) >= 3
    for call in called:
        function = getattr(tutelage, ast.unparse(call.func).removeprefix("tutelage."))
        inspect.signature(function).bind(*call.args, **{keyword.arg: None for keyword in call.keywords})


def test_the_page_of_benchmarks_lists_every_bundled_one_with_its_ways():
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| \[`([\w-]+)`\]\(#[\w-]+\) \|([^|]*)\|", page, re.MULTILINE))
    ways = {name: list(getattr(benchmarks.describe(name), "ways", {})) for name in benchmarks.names()}
    assert {name: re.findall("`([^`]+)`", listed) for name, listed in rows.items()} == ways


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked.read_text("utf-8")), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_waits_for_a_figure(document):
    assert not re.findall(r"@[A-Z]+@", document.read_text("utf-8"))


def _anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
