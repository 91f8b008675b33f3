"""The validation layer: values with their places, and one wording for one mistake in recipes, specs and templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Discriminator, Field, Tag

from tutelage.benchmarks.library import read_spec
from tutelage.config import load
from tutelage.core.errors import InputError
from tutelage.core.validation import Block, NonBlank, Places, mistake, read_document, validate
from tutelage.templates import find


def _no_spaces(text):
    if " " in text:
        raise mistake("spaces", found=text, expected="none", fix="remove them")
    return text


class Inner(Block):
    size: int = Field(1, ge=1, le=9, description="How large it is.")
    kind: Literal["small", "large"] = "small"


class Outer(Block):
    name: NonBlank
    inner: Inner = Inner()
    by_name: Mapping[Annotated[str, AfterValidator(_no_spaces)], Inner] = {}
    several: tuple[Inner, ...] = ()
    either: str | tuple[str, ...] = ""
    tagged: Annotated[
        Annotated[str, Tag("a name")] | Annotated[Inner, Tag("a block")],
        Discriminator(lambda value: "a block" if isinstance(value, dict) else "a name"),
    ] = ""
    pair: tuple[int, int] = (0, 0)
    source: str = Field("", alias="from")


def mistakes(text):
    value, places = read_document(text, file="f.yaml", subject="a file", fields=["name"], fix="write one")
    block, errors, total = validate(Outer, value, places, examples={"inner": "inner: {{size: {}}}"})
    assert (block is None) == bool(errors)
    assert total == len(errors)
    return [(error.where, error.problem, error.found, error.fix) for error in errors]


@pytest.mark.parametrize(
    ("text", "where", "problem", "found", "fix"),
    [
        ("nam: a\nname: b", "1: nam", "there is no field nam", "nam", "did you mean name?"),
        ("name: a\nzzz: b", "2: zzz", "there is no field zzz", "zzz", "remove it"),
        ("inner: {}", "1: name", "the field name is missing", "the fields inner", "write  name:  and its value"),
        ("name: ' '", "1: name", "nothing is there", '" "', "write a text"),
        ("name: 1", "1: name", "not text", "1", 'put it in quotes: "1"'),
        ("name: a\ninner: {size: '5'}", "2: inner.size", "not a whole number", '"5"', "write it as a number, without quotes or units"),
        ("name: a\ninner:\n  size: 0", "3: inner.size", "out of range", "0", "the field says: How large it is."),
        ("name: a\ninner: {kind: smal}", "2: inner.kind", "not one of the choices", '"smal"', "did you mean small?"),
        ("name: a\ninner: {kind: 5}", "2: inner.kind", "not one of the choices", "5", "take one of these"),
        ("name: a\ninner: 5", "2: inner", "not fields with values", "5", "write  inner: {size: 5}"),
        ("name: a\nby_name: {b: {siz: 5}}", "2: by_name.b.siz", "there is no field siz", "siz", "did you mean size?"),
        ("name: a\nby_name: {b c: {}}", "2: by_name.b c", "spaces", "b c", "remove them"),
        ("name: a\nseveral:\n- {}\n- {size: x}", "4: several.1.size", "not a whole number", '"x"', "write it as a number, without quotes or units"),
        ("name: a\neither: 5", "2: either", "not text or a list", "5", 'put it in quotes: "5"'),
        ("name: a\neither: [1]", "2: either.0", "not text", "1", 'put it in quotes: "1"'),
        ("name: a\ntagged: {size: x}", "2: tagged.size", "not a whole number", '"x"', "write it as a number, without quotes or units"),
        ("name: a\npair: [1]", "2: pair.1", "too few", "a list: [1]", "add the others"),
        ("name: a\nfrom: 1", "2: from", "not text", "1", 'put it in quotes: "1"'),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place_what_was_found_and_the_fix(text, where, problem, found, fix):
    assert mistakes(text) == [(f"f.yaml:{where}", problem, found, fix)]


def test_checked_values_are_the_models():
    value, places = read_document(
        "name: a\nseveral: [{size: 2}]", file="f", subject="a file", fields=[], fix=""
    )
    block, errors, total = validate(Outer, value, places)
    assert (errors, total) == ([], 0)
    assert block == Outer(name="a", several=(Inner(size=2),))


def test_a_place_is_the_nearest_line_or_the_option_that_set_it():
    places = Places("f.yaml", {(): 1, ("a",): 2, ("a", "b"): 3}, {("a", "c"): "a.c=5"})
    assert places(()) == "f.yaml:1"
    assert places(("a", "b", 0)) == "f.yaml:3: a.b.0"
    assert places(("a", "x")) == "f.yaml:2: a.x"
    assert places(("a", "c", "d")) == "--set a.c=5: a.c.d"
    assert Places("values")(("a",)) == "values: a"


def test_a_document_without_fields_is_refused():
    for text, found in (("", "nothing"), ("- a", "a list")):
        with pytest.raises(InputError, match="the file is not a recipe") as caught:
            read_document(text, file="f", subject="a recipe", fields=["model"], fix="start anew")
        assert (caught.value.found, caught.value.fix) == (found, "start anew")


RECIPE = "model: m\ntasks: [{data: {path: rows.jsonl}}]\n"
SPEC = "version: 1\nname: shop\ntitle: A shop\nitems: items.jsonl\nparts: {a: {title: A, kind: choose}}\n"
TEMPLATES = (
    "kind: hours\ntitle: Hours\nfields: {open: {about: when}}\nanswer: open\n"
    'wordings: {ask: {prompt: "{{ open }}?"}}\n'
)
READERS = {
    "recipe": (load, RECIPE, "model"),
    "spec": (read_spec, SPEC, "title"),
    "templates": (lambda path: find(str(path)), TEMPLATES, "title"),
}


@pytest.mark.parametrize(
    ("old", "new", "problem", "fix"),
    [
        (r"\Z", "zzz: 1\n", "there is no field zzz", "remove it"),
        ("FIELD: ", "FIELDx: ", "there is no field FIELDx", "did you mean FIELD?"),
        ("FIELD: ", "FIELD: 5 #", "not text", 'put it in quotes: "5"'),
        ("(?s).+", "- a\n", "the file is not a ", None),
        (r"\Z", "FIELD: again\n", "the key stands twice", "keep one of them"),
        (r"\Z", "# \udcff\n", " is not UTF-8", "save the file as UTF-8"),
    ],
)
def test_one_mistake_has_one_wording_in_recipes_specs_and_templates(tmp_path, old, new, problem, fix):
    for read, text, field in READERS.values():
        path = tmp_path / "file.yaml"
        changed = re.sub(old.replace("FIELD", field), new.replace("FIELD", field), text, count=1)
        path.write_bytes(changed.encode(errors="surrogateescape"))
        with pytest.raises(InputError) as caught:
            read(path)
        errors = getattr(caught.value, "errors", (caught.value,))
        matching = [error for error in errors if problem.replace("FIELD", field) in error.problem]
        assert matching, caught.value.block()
        assert matching[0].where.startswith(str(path))
        assert fix is None or matching[0].fix == fix.replace("FIELD", field)
