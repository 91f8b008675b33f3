from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.core import caches
from tutelage.core.errors import InputError


def test_the_folder_is_the_one_that_is_named_first(monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("TUTELAGE_CACHE", "~/mine")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert caches.root() == Path("/h/mine")
    monkeypatch.delenv("TUTELAGE_CACHE")
    assert caches.root() == Path("/x/tutelage")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert caches.root() == Path("/h/.cache/tutelage")


@pytest.mark.parametrize(("said", "on"), [("", True), ("0", True), ("1", False), ("yes", False)])
def test_work_is_kept_unless_it_is_switched_off(monkeypatch, said, on):
    monkeypatch.setenv("TUTELAGE_NO_CACHE", said)
    assert caches.enabled() is on


@pytest.mark.parametrize(
    ("said", "size"), [("", 7_000_000), ("0", 0), ("2.5", 2_500_000), (" 1e1 ", 10_000_000)]
)
def test_the_size_is_in_megabytes(monkeypatch, said, size):
    monkeypatch.setenv("SIZE", said)
    assert caches.size_limit("SIZE", 7) == size
    monkeypatch.delenv("SIZE")
    assert caches.size_limit("SIZE", 7) == 7_000_000


@pytest.mark.parametrize("said", ["500MB", "-1", "nan", "inf", "1e999", "many"])
def test_a_size_that_is_no_number_is_told(monkeypatch, said):
    monkeypatch.setenv("SIZE", said)
    with pytest.raises(InputError, match=r"(?s)SIZE: .*found: .*expected: +megabytes"):
        caches.size_limit("SIZE", 7)
