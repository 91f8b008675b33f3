from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib import metadata

from tutelage.core import provenance


def test_it_says_with_what_and_where_and_when():
    found = provenance.provenance(started=provenance.timestamp(), command=["tutelage", "run", "x.yaml"])
    assert found["command"] == ["tutelage", "run", "x.yaml"]
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["torch"] == metadata.version("torch")
    assert found["ended"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["started"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_package_that_is_not_installed_is_left_out():
    installed = provenance.versions(("numpy", "no-such-package-here"))
    assert installed == {"numpy": metadata.version("numpy")}


def test_nothing_heavy_is_imported_for_it():
    program = (
        "import sys; from tutelage.core import provenance as p; p.provenance(started=p.timestamp()); "
        "print([m for m in ('torch', 'transformers', 'numpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_another_projects_checkout_is_not_ours(tmp_path):
    assert provenance.git_commit(tmp_path) is None
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert provenance.git_commit(tmp_path) is None


def test_the_processor_is_named_with_the_features_that_decide_its_speed(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: A Processor 9\nflags\t\t: fpu sse avx2 avx512f amx_bf16 avx512_bf16\n\n"
        * 2,
        encoding="utf-8",
    )
    cpu = provenance.processor(cpuinfo)
    assert cpu.name == "A Processor 9"
    assert cpu.features == ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    assert provenance.processor(tmp_path / "absent").features == ()
