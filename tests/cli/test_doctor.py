"""`tutelage doctor` says whether the compiled core is in use, and if it is not, what to do."""

from __future__ import annotations

from tutelage.cli import doctor
from tutelage.metrics.rouge import core


def test_the_compiled_core(monkeypatch):
    monkeypatch.setattr(doctor, "matrix_rate", lambda _: 1.0)
    monkeypatch.setattr(core, "BUILT", True)
    assert doctor.machine_facts()["compiled core of ROUGE"] == "in use"
    monkeypatch.setattr(core, "BUILT", False)
    assert "install a C compiler" in doctor.machine_facts()["compiled core of ROUGE"]
