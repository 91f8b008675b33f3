"""What people get wrong most often, through the program: each error names the place and advises what works."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tutelage.cli.main import main
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_ERROR_BYTES

ROWS = [
    {"question": f"What is {n} plus {n * 7 % 13}?", "answer": f"It is {n + n * 7 % 13}"} for n in range(30)
]
GOOD = "".join(json.dumps(row) + "\n" for row in ROWS)
OWN = "prompt: '{{ question }}', completion: '{{ answer }}'"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in, with a good data file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "0")
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / ".cache"))
    monkeypatch.delenv("TUTELAGE_DATA", raising=False)
    Path("good.jsonl").write_text(GOOD)
    return tmp_path


def refused(capsys, *arguments: str) -> str:
    """What a command prints that ends with 2: one line, spaces as one."""
    assert main(list(arguments)) == 2
    text = capsys.readouterr().err
    assert "does not know" not in text
    assert "Traceback" not in text
    assert len(text) <= MAX_ERROR_BYTES + 1000
    return " ".join(text.split())


def recipe(task: str, more: str = "") -> None:
    Path("r.yaml").write_text(f"model: ./nosuch\ntasks: [{task}]\n{more}")


PATHS = {
    "missing": ("nope.jsonl", "nope.jsonl: the data file is not there", "{here}/nope.jsonl; in that folder: empty.jsonl, gone.jsonl, good.jsonl"),
    "near": ("godo.jsonl", "the data file is not there", "did you mean good.jsonl?"),
    "case": ("GOOD.jsonl", "the data file is not there", "did you mean good.jsonl?"),
    "ending": ("good.json", "the data file is not there", "did you mean good.jsonl?"),
    "folder": ("no/good.jsonl", "the data file is not there", "no such folder: {here}/no"),
    "below a file": ("good.jsonl/x", "the data file is not there", "good.jsonl is a file, not a folder"),
    "home": ("~/good.jsonl", "the data file is not there", "~ is not replaced here"),
    "address": ("https://huggingface.co/datasets/own/set/x.csv", "is a URL", "hub: own/set"),
    "pattern": ("g*x.jsonl", "no file matches the pattern", "did you mean good.jsonl?"),
    "pattern of a folder": ("no/*.jsonl", "no file matches the pattern", "no such folder: {here}/no"),
    "stars": ("**/" * 400 + "x*", "the pattern is too long", "at most 1,000 characters"),
    "name": ("x" * 300, "too long a name", "300 bytes"),
    "NUL": ("a\\0b", "a name that no file can have", "a NUL character"),
    "loop": ("loop.jsonl", "leads back to itself", "remove the link"),
    "gone": ("gone.jsonl", "a link to something that is not there", "nowhere"),
    "empty": ("empty.jsonl", "the data file is empty", "0 bytes"),
    "no data": ("hollow", "the folder has no data file", "files that end in"),
    "pipe": ("pipe.jsonl", "is not a plain file", "a named pipe"),
    "link to a pipe": ("link.jsonl", "is not a plain file", "a named pipe"),
    "packed pipe": ("pipe.jsonl.gz", "is not a plain file", "a named pipe"),
    "pipe of columns": ("pipe.parquet", "is not a plain file", "a named pipe"),
    "folder with a pipe": ("mixed", "mixed/b.jsonl: the data file is not a plain file", "a named pipe"),
    "folder with a dead link": ("dead", "dead/b.jsonl: the data file is a link to", "nowhere"),
    "pattern on a pipe": ("mixed/*.jsonl", "mixed/b.jsonl: the data file is not a plain file", "a named pipe"),
    "socket": ("sock.jsonl", "is not a plain file", "a socket"),
    "device": ("/dev/zero", "is not a plain file", "a device"),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("cache", ["0", "1"])
def test_a_path_that_leads_to_no_data_is_explained(work, capsys, monkeypatch, name, cache):
    monkeypatch.setenv("TUTELAGE_NO_CACHE", cache)
    Path("loop.jsonl").symlink_to("loop.jsonl")
    Path("gone.jsonl").symlink_to("nowhere")
    Path("empty.jsonl").touch()
    for folder in ("hollow", "mixed", "dead"):
        Path(folder).mkdir()
        Path(folder, "a.jsonl" if folder != "hollow" else "a.txt").write_text(GOOD)
    Path("dead/b.jsonl").symlink_to("nowhere")
    for pipe in ("pipe.jsonl", "pipe.jsonl.gz", "pipe.parquet", "mixed/b.jsonl"):
        os.mkfifo(pipe)
    Path("link.jsonl").symlink_to("pipe.jsonl")
    path, problem, rest = PATHS[name]
    recipe(f'{{data: {{path: "{path}"}}}}')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock.jsonl")
        text = refused(capsys, "inspect", "r.yaml")
    assert problem in text
    assert rest.format(here=work) in text


def test_a_path_is_relative_to_the_recipe_and_the_error_says_how_to_write_it(work, capsys):
    Path("sub").mkdir()
    Path("sub/r.yaml").write_text("model: ./x\ntasks: [{data: {path: good.jsonl}}]\n")
    text = refused(capsys, "run", "sub/r.yaml")
    assert f"a path is relative to {work}/sub: write ../good.jsonl" in text


def test_the_data_folder_is_named_where_local_files_are_missing(work, capsys):
    recipe("{data: {local: a.jsonl}}")
    assert "none is named" in refused(capsys, "run", "r.yaml")
    assert "/nope: the data folder is not there" in refused(capsys, "run", "r.yaml", "--data", "/nope")
    assert f"relative to the data folder {work}" in refused(capsys, "run", "r.yaml", "--data", ".")
    recipe("{data: {hub: own/set, local: gone}}")
    Path("gone").symlink_to("nowhere")  # the hub's rows may be others: they are not fetched in its place
    assert "a link to something that is not there" in refused(capsys, "run", "r.yaml", "--data", ".")


COMMANDS = {
    "recipe": ("run", "{}"),
    "train": ("train", "{}"),
    "inspect": ("inspect", "{}"),
    "init": ("init", "{}"),
    "score": ("score", "rougeL", "{}"),
    "against": ("score", "rougeL", "p.jsonl", "--against", "{}"),
    "references": ("score", "bleu", "--predictions", "p.jsonl", "--references", "{}"),
    "render": ("templates", "render", "question-answer", "{}"),
    "templates": ("templates", "show", "./{}"),
    "benchmark": ("benchmarks", "show", "./{}"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_names_a_file_that_is_missing_or_is_none(work, capsys, name):
    Path("p.jsonl").write_text('{"prediction": "a", "references": ["b"]}\n' * 3)
    ending = ".yaml" if name in ("recipe", "train", "inspect", "templates", "benchmark") else ".jsonl"
    os.mkfifo(f"pipe{ending}")
    for file, problem in ((f"gone{ending}", "is not there"), (f"pipe{ending}", "is not a plain file")):
        text = refused(capsys, *(word.format(file) for word in COMMANDS[name]))
        assert problem in text
        assert file in text


def test_a_task_names_files_of_templates_and_labels_that_are_missing_or_none(work, capsys):
    os.mkfifo("pipe.yaml")
    for file, problem in (("gone.yaml", "is not there"), ("pipe.yaml", "is not a plain file")):
        recipe(f"{{data: {{path: good.jsonl}}, template: ./{file}/ask}}")
        assert f"{file}: the file of templates {problem}" in refused(capsys, "run", "r.yaml")
        recipe(f"{{data: {{path: good.jsonl, labels: {{file: {file}}}}}}}")
        assert f"{file}: the file of label names {problem}" in refused(capsys, "run", "r.yaml")


@pytest.mark.parametrize(
    ("file", "problem"),
    [("gone.jinja", "is not there"), ("pipe.jinja", "is not a plain file"), ("latin.jinja", "is not UTF-8"), (".", "is a folder")],
)  # fmt: skip
def test_a_chat_template_that_cannot_be_read_is_named(work, file, problem):
    from tutelage.tokens import chat_templates

    os.mkfifo("pipe.jinja")
    Path("latin.jinja").write_bytes("\xe9".encode("latin-1"))
    with pytest.raises(InputError, match=f"the chat template {problem}") as caught:
        chat_templates.template_text(file, root=work)
    assert caught.value.where.startswith(str(work))


def test_all_missing_files_of_all_tasks_come_together(work, capsys):
    tasks = ", ".join(f"{{data: {{path: zz{n}.jsonl}}, name: n{n}}}" for n in range(300))
    recipe(f"{{data: {{path: good.jsonl}}}}, {tasks}")
    text = refused(capsys, "run", "r.yaml")
    assert "300 mistakes zz0.jsonl: the data file is not there" in text
    assert "also at: zz1.jsonl, zz2.jsonl, zz3.jsonl, zz4.jsonl, zz5.jsonl and 294 more" in text


def test_tasks_that_were_not_read_after_many_mistakes_are_counted(work, capsys):
    tasks = (
        f"{{data: {{path: good.jsonl}}, name: n{n}, prompt: '{{{{ q{n} }}}}', completion: '{{{{ answer }}}}'}}"
        for n in range(23)
    )
    recipe(", ".join(tasks))
    assert "(3 more tasks were not read): 20 mistakes" in refused(capsys, "run", "r.yaml")


def test_a_table_of_very_many_or_very_long_columns_ends_in_bounds(work, capsys):
    Path("wide.jsonl").write_text(json.dumps({f"k{n}": "a" for n in range(20_000)}) + "\n")
    assert "k0 asks, k1 answers" in refused(capsys, "init", "wide.jsonl")
    assert main(["init", "wide.jsonl", "--prompt", "k0", "--completion", "k1"]) == 0
    assert "and 19,980 more" in capsys.readouterr().out
    Path("long.jsonl").write_text(json.dumps({"k" * 600_000: "a", "b": "c"}) + "\n")
    assert "names are too long for a recipe" in refused(
        capsys, "init", "long.jsonl", "--prompt", "b", "--completion", "k" * 600_000
    )


def changed(places: range, **fields: object) -> str:
    """The good rows, some of them with other fields; a field that is `...` is taken out."""
    rows = [{**row, **fields} if n in places else row for n, row in enumerate(ROWS)]
    return "".join(json.dumps({k: v for k, v in row.items() if v is not ...}) + "\n" for row in rows)


CONTENTS = {
    "one row without its answer": ("d.jsonl", changed(range(4, 5), answer=...), "", "d.jsonl:5: the completion uses answer", "on_bad_row: drop"),
    "one row without its question": ("d.jsonl", changed(range(4, 5), question=...), "", "d.jsonl:5: the prompt uses question", "on_bad_row: drop"),
    "ten rows without": ("d.jsonl", changed(range(10), answer=...), "", "10 mistakes d.jsonl:1: the completion uses answer", "d.jsonl:6 and 4 more"),
    "no row with": ("d.jsonl", changed(range(30), extra="x"), ", prompt: '{{ q }}', completion: '{{ answer }}'", "tasks.0.prompt: the prompt uses q, which no row has", "name one of the fields"),
    "typo in the template": ("d.jsonl", GOOD, ", prompt: '{{ qestion }}', completion: '{{ answer }}'", "which no row has", "did you mean {{ question }}?"),
    "null": ("d.jsonl", changed(range(3, 6), answer=None), "", "d.jsonl:4: the completion needs text", "also at: d.jsonl:5, d.jsonl:6"),
    "nothing": ("d.jsonl", changed(range(9), answer=""), "", "9 mistakes d.jsonl:1: the completion is empty", "and 3 more"),
    "a number": ("d.jsonl", changed(range(9), answer=4), "", "9 mistakes d.jsonl:1: the field answer is a number here", "and 3 more"),
    "a list": ("d.jsonl", changed(range(9), answer=[4]), "", "the field answer is a list here", "make all rows alike"),
    "bad JSON": ("d.jsonl", GOOD.replace('"answer": "It is 8"', '"answer": It is 8'), "", "d.jsonl:2: not valid JSON", "(column"),
    "bad JSON often": ("d.jsonl", GOOD.replace('"answer": "', '"answer": '), "", "30 mistakes d.jsonl:1: not valid JSON", "and 24 more"),
    "semicolons": ("d.tsv", "question;answer\n" + "a;b\n" * 9, "", "d.tsv:1: the columns seem to be split by semicolons", ".csv"),
    "a cell too few": ("d.csv", "question,answer\na,b\nlonely\n", "", "d.csv:3: the row has another number of fields", "double quotes"),
    "blank lines": ("d.jsonl", "\n\n", "", "d.jsonl: the data file is empty", "no rows"),
    "a text": ("d.txt", GOOD, "", "the kind of file is not known", "give the file the ending"),
    "columns first": ("d.json", json.dumps({"question": ["a", "b", "c"], "answer": ["x", "y", "z"]}), "", "d.json:1: the file is a table by columns", "orient='records'"),
    "columns by index": ("d.json", json.dumps({"question": {"0": "a", "1": "b"}, "answer": {"0": "x", "1": "y"}}), "", "the file is a table by columns", "orient='records'"),
    "turns and a text": ("d.jsonl", changed(range(30), question=[{"role": "user", "content": "a"}]), f", {OWN}", "the prompt needs text", "both as lists of turns"),
    "objects in a list": ("d.jsonl", changed(range(30), question=[{"it's": "a"}]), f", {OWN}", "the prompt needs text", r"map(attribute='it\'s')"),
    "from with content": ("d.jsonl", json.dumps({"conversations": [{"from": "human", "content": "a"}, {"from": "gpt", "content": "b"}]}) + "\n", "", "conversations[0].value is not there", "the fields from, content"),
    "turns by columns": ("d.jsonl", json.dumps({"messages": {"role": ["user", "assistant"], "content": ["a", "b"]}}) + "\n", "", "do not say which is the prompt", "column by column"),
    "null and no guard": ("d.jsonl", changed(range(3, 6), answer=None), "", "the completion needs text", "fix: fill it, or leave such rows out (on_bad_row: drop"),
    "columns of a file that names them": ("d.jsonl", GOOD, "", "has no such column", "names of its columns"),
    "UTF-32": ("d.jsonl", GOOD.encode("utf-32-le"), "", "d.jsonl:1", "UTF"),
    "UTF-32 with a mark": ("d.jsonl", GOOD.encode("utf-32"), "", "the file is UTF-32", "iconv -f UTF-32"),
    "a workbook": ("d.xlsx", "PK", "", "the kind of file is not known", "save its table as CSV"),
    "an archive": ("d.zip", "PK", "", "the kind of file is not known", "unpack it"),
    "UTF-16": ("d.jsonl", GOOD.encode("utf-16"), "", "the file is UTF-16", "iconv"),
    "Latin-1": ("d.jsonl", GOOD.replace("is", "\xe9").encode("latin-1"), "", "30 mistakes d.jsonl:1: the line is not UTF-8", "iconv"),
    "too few rows": ("d.jsonl", GOOD.splitlines()[0], "", "too few", "bring more rows"),
    "a field for references": ("d.jsonl", GOOD, ", references: golds", "the field golds holds no references", "and 24 more"),
    "a kind without its fields": ("d.jsonl", GOOD, ", template: sentiment", "do not say what sentiment needs", "fields: {text: question, label: answer}"),
    "too many for a split": ("d.jsonl", GOOD, ", split: {test: 400}", "more rows than there are", "at most 30 rows"),
    "a name for metrics": ("d.jsonl", GOOD, ", metrics: [rougL]", "there is no such metric", "did you mean rougeL?"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_wrong_in_a_data_file_is_named_once_with_its_places(work, capsys, name):
    file, content, more, problem, rest = CONTENTS[name]
    Path(file).write_bytes(content if isinstance(content, bytes) else content.encode())
    columns = ", columns: [a, b]" if name.startswith("columns of") else ""
    recipe(f"{{data: {{path: {file}{columns}}}{more}}}")
    text = refused(capsys, "run", "r.yaml")
    assert problem in text
    assert rest in text


def test_rows_without_a_field_are_dropped_where_the_recipe_says_so(work, capsys):
    Path("d.jsonl").write_text(changed(range(4, 6), answer=...))
    recipe("{data: {path: d.jsonl, on_bad_row: drop}}")
    assert "there is no model" in refused(capsys, "run", "r.yaml")  # the data is good


DATA = "tasks: [{data: {path: good.jsonl}}]\n"
RECIPES = {
    "misspelt": ("modle: x\n" + DATA, "there is no field modle", "did you mean model?"),
    "task": ("model: x\ntask: []\n", "the field tasks is missing", "did you mean tasks?"),
    "nothing": ("", "the file is not a recipe", "tutelage init"),
    "tasks as text": ("model: x\ntasks: [good.jsonl]\n", "tasks.0: not fields", "tasks: [{data: {path: good.jsonl}}]"),
    "data as text": ("model: x\ntasks: [{data: good.jsonl}]\n", "tasks.0.data: not fields", "data: {path: good.jsonl}"),
    "watch as text": (f"model: x\n{DATA}watch: [mmlu]\n", "watch.0: not fields", "watch: [{benchmark: mmlu}]"),
    "retain": (f"model: x\n{DATA}retain: 5\n", "retain: not names with values", "retain: {BENCHMARK: 5}"),
    "tasks empty": ("model: x\ntasks: []\n", "tasks: nothing is there", "write at least one"),
    "rate": (f"model: x\n{DATA}tune: {{learning_rate: -1}}\n", "tune.learning_rate: out of range", "more than 0"),
    "epochs": (f"model: x\n{DATA}tune: {{epochs: two}}\n", "tune.epochs: not a number", "without quotes"),
    "method": (f"model: x\n{DATA}tune: {{method: lorra}}\n", "not one of the choices", "did you mean lora?"),
    "names": ("model: x\ntasks: [{data: {path: good.jsonl}}, {data: {path: good.jsonl}}]\n", "two of one name", "rename"),
    "Jinja": (f"model: x\ntasks: [{{data: {{path: good.jsonl}}, {OWN[:-4]}'}}]\n", "not valid Jinja", "correct that line"),
    "indent": ("model: x\n  tasks: []\n", "r.yaml:2: not valid YAML", "indentation"),
    "tab": ("tasks:\n\t- x\n", "r.yaml:2: not valid YAML", "no tabs"),
    "alias": ("a: &a [x]\nb: *a\n", "this part of YAML is not used here", "write the value out"),
    "5,000 keys": (f"model: x\n{DATA}" + "".join(f"k{n}: 1\n" for n in range(5_000)), "5,000 mistakes", "and 3,000 more"),
    "300 tasks": ("model: x\ntasks:\n" + "".join(f"- {{data: {{path: a}}, name: n{n}, epohcs: 1}}\n" for n in range(300)), "300 mistakes", "and 294 more"),
    "labels as a list": ("model: x\ntasks: [{data: {path: good.jsonl, labels: [a, b]}}]\n", "labels: not fields", "write labels: {names: [a, b]}"),
    "shots as a number": ("model: x\ntasks: [{data: {path: good.jsonl}, shots: 3}]\n", "shots: not fields", "write shots: {count: 3}"),
    "a long key": (f"model: x\n{DATA}? {'k' * 400_000}\n: 1\n", "there is no field kkk", "remove it"),
    "a long value": (f"model: x\ntasks: [{{data: {{path: {'v' * 400_000}}}}}]\n", "too long a name", "400,000 bytes"),
    "half a character": (f'model: "\\ud800"\n{DATA}', "r.yaml:1: half a character", "remove the half"),
    "half in a key": (f'model: x\n"\\udfff": x\n{DATA}', "r.yaml:2: half a character", "remove the half"),
    "deep": ("model: " + "[" * 10_000, "deep nesting", "flatten it"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_wrong_in_a_recipe_is_named_with_its_line_and_in_bounds(work, capsys, name):
    text, problem, rest = RECIPES[name]
    Path("r.yaml").write_text(text)
    told = refused(capsys, "run", "r.yaml")
    assert problem in told
    assert rest in told
    assert main(["run", "r.yaml", "--json"]) == 2
    document = capsys.readouterr().out
    assert len(document) <= 2 * MAX_ERROR_BYTES  # indented
    assert json.loads(document)["error"]["problem"]


def test_other_words_of_the_command_line(work, capsys):
    recipe("{data: {path: good.jsonl}}")
    assert "there is no model of this name" in refused(capsys, "run", "r.yaml")
    assert "the change cannot be made" in refused(capsys, "run", "r.yaml", "--set", "model=\udc80")
    assert "did you mean epochs?" in refused(capsys, "run", "r.yaml", "--set", "tune.epohcs=3")
    assert "this is a data file, not a recipe" in refused(capsys, "run", "good.jsonl")
    assert "tutelage score rougeL good.jsonl" in refused(capsys, "score", "good.jsonl")
    assert "the output folder is a file" in refused(capsys, "run", "r.yaml", "--out", "good.jsonl")
    assert "good.jsonl is a file" in refused(capsys, "run", "r.yaml", "--out", "good.jsonl/run")
    assert "did you mean `tutelage run`?" in refused(capsys, "rnu", "r.yaml")


def test_an_output_folder_that_cannot_be_made_is_refused_before_the_work(work, capsys, monkeypatch):
    recipe("{data: {path: good.jsonl}}")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0 and real(path, mode))
    text = refused(capsys, "run", "r.yaml", "--out", "new/run")
    assert f"{work} may not be written to" in text


def test_a_file_that_vanishes_between_two_looks_is_an_error_that_names_it(work, capsys, monkeypatch):
    from tutelage.prepare import rows_cache

    real = rows_cache._file_hash

    def vanish(path: Path, shown: str) -> str:
        path.unlink()
        return real(path, shown)

    monkeypatch.setattr(rows_cache, "_file_hash", vanish)
    recipe("{data: {path: good.jsonl}}")
    assert "good.jsonl: the data file is not there" in refused(capsys, "run", "r.yaml")
