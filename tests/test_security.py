"""What SECURITY.md claims: nothing in the source can run what it reads, and hostile files leave no trace."""

from __future__ import annotations

import ast
import gzip
import io
import json
import pickle
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tutelage import config as recipes
from tutelage.core.errors import InputError
from tutelage.data import DataSource
from tutelage.data import load as load_rows
from tutelage.models import add_adapter, export, load, resolve

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LOADERS = {"pickle", "cPickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.load_all",
}
SYSTEM = {"os.system", "os.popen"}


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func), {word.arg: word.value for word in node.keywords}


def forbidden(text):
    """What in a source could run what it reads."""
    tree = ast.parse(text)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.partition(".")[0] for alias in node.names} | {getattr(node, "module", None)}
            found += sorted(str(name) for name in names & LOADERS)
    for node, called, words in _calls(tree):
        # PyYAML's safe loader in C makes plain values only, as safe_load does.
        safe = called == "yaml.load" and "CSafeLoader" in ast.unparse(node)
        if (called in CALLS | SYSTEM and not safe) or called.endswith((".read_pickle", ".load_pickle")):
            found.append(called)
        if "allow_pickle" in words:
            found.append("allow_pickle")
        if "trust_remote_code" in words and ast.unparse(words["trust_remote_code"]) != "False":
            found.append("trust_remote_code")
        if "shell" in words and ast.unparse(words["shell"]) != "False":
            found.append("shell")
        if called.endswith("weights_only") or ("weights_only" in words):
            found.append("weights_only")
    return found


def test_no_source_runs_what_it_reads():
    assert {p.name: hits for p in SOURCES if (hits := forbidden(p.read_text("utf-8")))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import yaml\nyaml.load('x', yaml.Loader)",
        "eval('1')",
        "exec('1')",
        "M.from_pretrained('x', trust_remote_code=True)",
        "subprocess.run('x', shell=True)",
        "os.system('x')",
    ],
)
def test_the_scan_sees_what_it_looks_for(text):
    assert forbidden(text)


NO_CODE = {"PeftModel", "PeftConfig", "GenerationConfig"}
"""They take no `trust_remote_code`, nor does `load_adapter`: what would make them import a module is refused before."""


def trusting(text):
    """Calls into transformers and peft that may ask a person whether to run code, run it, or fetch files."""
    found = []
    for node, called, words in _calls(ast.parse(text)):
        if called.endswith((".from_pretrained", ".from_config", ".load_adapter")):
            stated = {name: ast.unparse(value) for name, value in words.items() if name}
            local = stated.get("local_files_only") == "True" or called.endswith(".from_config")
            # Where it is not stated, transformers asks at the terminal.
            no_code = called.partition(".")[0] in NO_CODE or called.endswith(".load_adapter")
            untrusted = stated.get("trust_remote_code") == "False" or no_code
            if not (local and untrusted):
                found.append(ast.unparse(node))
    return found


def test_no_call_into_transformers_or_peft_asks_runs_code_or_fetches():
    assert {p.name: hits for p in SOURCES if (hits := trusting(p.read_text("utf-8")))} == {}
    assert sum("from_pretrained(" in p.read_text("utf-8") for p in SOURCES) >= 2


@pytest.mark.parametrize(
    "call",
    [
        "AutoModel.from_pretrained(folder)",
        "AutoModel.from_pretrained(folder, local_files_only=True)",
        "AutoModel.from_pretrained(folder, trust_remote_code=False)",
        "AutoModel.from_pretrained(folder, local_files_only=True, trust_remote_code=None)",
        "AutoModel.from_pretrained(folder, local_files_only=offline, trust_remote_code=False)",
        "AutoModel.from_pretrained(folder, **words)",
        "AutoModel.from_config(config)",
        "PeftModel.from_pretrained(model, folder)",
        "model.load_adapter(folder)",
    ],
)
def test_the_scan_sees_calls_that_ask(call):
    assert trusting(call)


@pytest.fixture
def mark(tmp_path):
    """A file that comes to be when hostile code is run."""
    return tmp_path / "mark"


@pytest.fixture
def trap(mark):
    class Trap:
        def __reduce__(self):
            return Path.touch, (mark,)

    content = pickle.dumps(Trap())
    pickle.loads(content)  # noqa: S301  # the trap works
    assert mark.exists()
    mark.unlink()
    return content


@pytest.fixture
def model(tiny_model_folder, tmp_path):
    """The tiny model in a folder that may be spoilt, with code in it that leaves the mark when it is imported."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


@pytest.fixture
def adapter(tiny_model_folder, tmp_path):
    tuned = add_adapter(load(resolve(str(tiny_model_folder))), "lora", {"rank": 2}, seed=0)
    export(tuned, tmp_path / "adapter", merge=False, base=resolve(str(tiny_model_folder)))
    return tmp_path / "adapter"


def edit(path, **changes):
    told = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**told, **changes}), "utf-8")


def code(folder, mark):
    for name in ("evil.py", "modeling_evil.py"):
        (folder / name).write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass X: pass\n")


def _pickled(name):
    def spoil(folder, trap, mark):
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(trap)

    return spoil


def _named_safetensors(folder, trap, mark):
    (folder / "model.safetensors").write_bytes(trap)


def _setting(file, **changes):
    def spoil(folder, trap, mark):
        code(folder, mark)
        (folder / "evil.bin").write_bytes(trap)
        edit(folder / file, **changes)

    return spoil


def _index(target):
    def spoil(folder, trap, mark):
        (folder.parent / "outside.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        index = {"weight_map": {"model.norm.weight": target.replace("ROOT", str(folder.parent))}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return spoil


def _template(text):
    def spoil(folder, trap, mark):
        (folder / "chat_template.jinja").write_text(text.replace("MARK", str(mark)))

    return spoil


def _deep(folder, trap, mark):
    (folder / "config.json").write_text('{"a":' + "[" * 200_000 + "]" * 200_000 + "}")


MODELS = {
    "weights pickled as .bin": _pickled("pytorch_model.bin"),
    "weights pickled as .pt": _pickled("model.pt"),
    "weights pickled as .pkl": _pickled("model.pkl"),
    "a pickle that is called safetensors": _named_safetensors,
    "an index that points above the folder": _index("../outside.safetensors"),
    "an index that points to an absolute path": _index("ROOT/outside.safetensors"),
    "an architecture that is code of the folder": _setting(
        "config.json",
        model_type="evil",
        auto_map={"AutoConfig": "modeling_evil.X", "AutoModelForCausalLM": "modeling_evil.X"},
    ),
    "attention from the hub": _setting("config.json", attn_implementation="evil/kernel"),
    "attention that is compiled": _setting("config.json", _attn_implementation="flex_attention"),
    "attention from the hub, inside": _setting(
        "config.json", text_config={"_attn_implementation": {"x": "evil/kernel"}}
    ),
    "experts from the hub": _setting("config.json", experts_implementation="evil/kernel"),
    "weights named by the config": _setting("config.json", transformers_weights="evil.bin"),
    "a vocabulary outside": _setting("tokenizer_config.json", vocab_file="/etc/passwd"),
    "merges above": _setting("tokenizer_config.json", merges_file="../secret.txt"),
    "a fast tokenizer outside": _setting(
        "tokenizer_config.json", fast_tokenizer_files=["../../tokenizer.4.0.json"]
    ),
    "settings nested without end": _deep,
    "a template that looks for classes": _template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "a template that reaches for imports": _template(
        "{{ cycler.__init__.__globals__.os.system('touch MARK') }}"
    ),
    "a template that calls through a filter": _template(
        "{{ messages | map(attribute='__class__') | list | first | attr('mro') }}{{ self._TemplateReference__context.x() }}"
    ),
    "a template that includes a file": _template("{% include '/etc/passwd' %}"),
    "a template that changes what it is given": _template("{{ messages.append(1) }}{{ messages.clear() }}"),
}


SETTINGS = [
    "attention from the hub",
    "attention from the hub, inside",
    "experts from the hub",
    "weights named by the config",
    "a vocabulary outside",
    "merges above",
    "a fast tokenizer outside",
]


@pytest.mark.parametrize("name", MODELS)
def test_a_hostile_model_is_refused_and_leaves_no_trace(model, trap, mark, name):
    MODELS[name](model, trap, mark)
    with pytest.raises(InputError) as caught:
        load(resolve(str(model)))
    assert not mark.exists()
    assert caught.value.problem
    assert caught.value.where or caught.value.found
    if name in SETTINGS:
        assert "is not followed" in caught.value.problem


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_beside_a_known_architecture_is_never_imported(model, mark, file):
    code(model, mark)
    told = {"AutoConfig": "evil.X", "AutoModelForCausalLM": "evil.X"}
    edit(model / file, auto_map={"AutoTokenizer": ["evil.X", "evil.X"]} if "token" in file else told)
    (model / "custom_generate").mkdir()
    code(model / "custom_generate", mark)
    (model / "custom_generate" / "generate.py").write_text((model / "evil.py").read_text())
    assert type(load(resolve(str(model))).model).__name__ == "LlamaForCausalLM"
    assert not mark.exists()


def test_a_tokenizer_that_is_code_only_is_refused(model, mark):
    code(model, mark)
    edit(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.X", None]}, tokenizer_class="X")
    (model / "tokenizer.json").rename(model / "vocab.txt")
    with pytest.raises(InputError):
        load(resolve(str(model)))
    assert not mark.exists()


ADAPTERS = {
    "a module that peft would import": {"auto_mapping": {"base_model_class": "X", "parent_library": "evil"}},
    "a module whose name only begins as that of transformers": {
        "auto_mapping": {"base_model_class": "X", "parent_library": "transformers_evil"}
    },
    "another module that peft would import": {"megatron_config": {"a": 1}, "megatron_core": "evil"},
    "a kind that is not in the table": {"peft_type": "EVIL"},
    "a base that is no model": {"base_model_name_or_path": "/etc"},
    "a base that is a pickle": {"base_model_name_or_path": "PLACE/evil.bin"},
    "a base that is the adapter itself": {"base_model_name_or_path": "PLACE"},
    "a base that is nothing": {"base_model_name_or_path": "../../../nowhere/at/all"},
    "a base that is no text": {"base_model_name_or_path": ["x"]},
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_hostile_adapter_is_refused_and_leaves_no_trace(adapter, trap, mark, name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.syspath_prepend(str(adapter))
    code(adapter, mark)
    (adapter / "evil.bin").write_bytes(trap)
    changes = json.loads(json.dumps(ADAPTERS[name]).replace("PLACE", str(adapter)))
    edit(adapter / "adapter_config.json", **changes)
    with pytest.raises(InputError):
        load(resolve(str(adapter)))
    assert not mark.exists()


def test_an_adapters_pickled_weights_are_refused(adapter, trap, mark):
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(trap)
    with pytest.raises(InputError, match="pickled"):
        load(resolve(str(adapter)))
    assert not mark.exists()


BOMB = b'{"prompt": "' + b" " * 120_000_000 + b'"}\n'
DATA = {
    "rows.npy": lambda trap: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
        + b"\n"
        + trap
    ),
    "rows.pkl": lambda trap: trap,
    "rows.jsonl": lambda trap: trap,
    "rows.parquet": lambda trap: trap,
    "rows.jsonl.gz": lambda _: gzip.compress(BOMB),
    "rows.jsonl.zst": lambda _: zstandard.compress(BOMB),
}


@pytest.mark.parametrize("name", DATA)
def test_hostile_data_is_refused_and_leaves_no_trace(tmp_path, trap, mark, name):
    (tmp_path / name).write_bytes(DATA[name](trap))
    with pytest.raises(InputError) as caught:
        load_rows(DataSource(path=name), root=tmp_path)
    assert name in str(caught.value)
    assert not mark.exists()


def test_pickled_extension_types_of_a_table_are_not_built(tmp_path, trap, mark):
    """Older pyarrow unpickled the type that a column's metadata carries (CVE-2023-47248)."""
    told = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": trap}
    kind = pa.schema([pa.field("prompt", pa.string(), metadata=told), pa.field("completion", pa.string())])
    table = pa.Table.from_arrays([pa.array(["a", "b"]), pa.array(["c", "d"])], schema=kind)
    stream = io.BytesIO()
    pq.write_table(table, stream)
    (tmp_path / "rows.parquet").write_bytes(stream.getvalue())
    rows = load_rows(DataSource(path="rows.parquet"), root=tmp_path).examples
    assert [row.fields["completion"] for row in rows] == ["c", "d"]
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.system ['touch MARK']\n",
        "name: !!python/name:os.system\n",
        "name: !!python/object/new:pathlib.Path ['MARK']\n",
        "a: &a [x, x]\nb: &b [*a, *a]\n",
    ],
)
def test_yaml_that_names_objects_or_grows_is_refused(tmp_path, mark, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace("MARK", str(mark)) + "tasks: [{data: {path: x.jsonl}}]\n")
    with pytest.raises(InputError, match="not used here"):
        recipes.load(path)
    assert not mark.exists()


def test_the_document_names_tests_that_are_there():
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) >= 15
    for file, function in named:
        assert (ROOT / file).is_file(), file
        assert not function or f"def {function}(" in (ROOT / file).read_text("utf-8"), function
    claims = [
        line
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith(("| limit", "| claim"))
    ]
    assert len(claims) >= 15
    assert all("`tests/" in line for line in claims), "every claim names its test"
    limits = (ROOT / "src" / "tutelage" / "core" / "limits.py").read_text("utf-8")
    for name in re.findall(r"^([A-Z_]+) =", limits, re.MULTILINE):
        assert name in text, name
