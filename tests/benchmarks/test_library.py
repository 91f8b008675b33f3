from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tutelage
from tutelage.benchmarks import Limit, describe, load, names
from tutelage.core.errors import InputError


def test_the_bundled_benchmarks_are_found_by_name():
    assert {"bbh", "general-probe", "gsm8k", "ifeval", "mmlu"} <= set(names())
    assert names() == sorted(names())
    assert load("general-probe").name == "general-probe"
    assert [describe(name).name for name in names()] == names()


def test_ones_own_is_a_folder_or_a_spec_absolute_or_relative_to_the_root(write, spec, monkeypatch, tmp_path):
    place = write(spec)
    ways = [
        load(str(place)),
        load(str(place / "spec.yaml")),
        load("./bench", root=tmp_path),
        load("bench/spec.yaml", root=tmp_path),
    ]
    monkeypatch.chdir(place)
    (place / "other.yml").write_text((place / "spec.yaml").read_text())
    ways += [load("spec.yaml"), load("other.yml"), load("./")]
    monkeypatch.setenv("HOME", str(tmp_path))
    ways += [load("~/bench")]
    assert {one.name for one in ways} == {"shop"}
    assert len({one.fingerprint for one in ways}) == 1
    assert ways[0].parts == ("colours", "numbers")


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("general-prob", "did you mean general-probe?"),
        ("General-Probe", "did you mean general-probe?"),
        ("nothing-known", "take one of these"),
        ("", "take one of these"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_the_nearest(name, fix):
    with pytest.raises(InputError, match="there is no such benchmark") as caught:
        load(name)
    assert (caught.value.found, caught.value.fix) == (name, fix)
    assert f"{', '.join(names())}, or the path of your own" in caught.value.expected


@pytest.mark.parametrize(
    "name", ["./gone", "gone/spec.yaml", "gone.yaml", "spec.yaml/x", "~no-such-person/x.yaml"]
)
def test_a_path_where_nothing_is_says_so(write, spec, name):
    with pytest.raises(InputError, match="the benchmark's spec is not there") as caught:
        load(name, root=write(spec))
    assert caught.value.where.endswith(name.removeprefix("./"))


def test_a_bundled_benchmarks_name_is_taken(write, spec, tmp_path):
    spec["name"] = "general-probe"
    place = write(spec)
    with pytest.raises(InputError, match="belongs to a bundled benchmark") as caught:
        load(str(place))
    assert caught.value.where == f"{place / 'spec.yaml'}: name"
    bundled = Path(load.__code__.co_filename).parent / "library" / "general-probe"
    assert load(str(bundled)).fingerprint == load("general-probe").fingerprint
    shutil.copytree(bundled, tmp_path / "copy")
    with pytest.raises(InputError, match="belongs to a bundled benchmark"):
        load(str(tmp_path / "copy"))


def test_items_are_beside_the_spec_or_else_in_the_data_folder(write, spec, rows, tmp_path):
    spec["items"] = "shop/all.jsonl"
    place = write(spec, None)
    data = tmp_path / "data"
    for given, places in [(None, "shop/all.jsonl"), (data, f"nor {data / 'shop/all.jsonl'}")]:
        with pytest.raises(InputError, match="the items' file is not there") as caught:
            load(str(place), data=given)
        assert caught.value.where == f"{place / 'spec.yaml'}: items"
        assert places in caught.value.found
        assert "--data" in caught.value.fix
    write(spec, rows, folder="data/shop")
    (data / "shop" / "items.jsonl").rename(data / "shop" / "all.jsonl")
    assert len(load(str(place), data=data).items) == 5
    write(spec, [rows[0], rows[1]], folder="bench/shop")
    (place / "shop" / "items.jsonl").rename(place / "shop" / "all.jsonl")
    assert len(load(str(place), data=data).items) == 2


def test_development_items_are_another_benchmark_of_the_same_spec(write, spec, rows):
    spec["development"] = "development.jsonl"
    development = [{**row, "id": "dev-" + row["id"], "input": "Dev: " + row["input"]} for row in rows[:2]]
    place = write(spec, rows, development=development)
    scored, tried = load(str(place)), load(f"{place}:development")
    assert (scored.name, tried.name) == ("shop", "shop:development")
    assert [item.id for item in tried.items] == ["dev-c1", "dev-n1"]
    assert scored.fingerprint != tried.fingerprint
    assert load(f"{place / 'spec.yaml'}:development").fingerprint == tried.fingerprint
    assert load("general-probe:development").name == "general-probe:development"


def test_several_files_are_read_in_order_and_a_subset_has_some_of_them(write, spec, rows):
    spec["added_items"] = ["more.jsonl"]
    spec["subsets"] = {"first": {"title": "The oldest", "items": ["items.jsonl"]}}
    place = write(spec, rows[:3])
    (place / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[3:]))
    whole, first = load(str(place)), load(f"{place}:first")
    assert (whole.name, first.name) == ("shop", "shop:first")
    assert [item.id for item in whole.items] == ["c1", "n1", "c2", "n2", "n3"]
    assert first.items == whole.items[:3]
    assert (first.sizes, whole.sizes) == ({"colours": 2, "numbers": 1}, {"colours": 2, "numbers": 3})
    assert load(f"{place}:first", parts=["colours"], limit=1).sizes == {"colours": 2}
    with pytest.raises(InputError, match="one subset is asked at a time"):
        load(f"{place}:first:first")
    with pytest.raises(InputError, match="shop has no such way") as caught:
        load(f"{place}:frist")
    assert caught.value.fix == "did you mean shop:first?"


def test_whether_items_stand_in_one_file_or_two_makes_no_other_benchmark(write, spec, rows):
    one = load(str(write(spec, rows)))
    place = write({**spec, "added_items": ["more.jsonl"]}, rows[:2], folder="split")
    (place / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[2:]))
    assert load(str(place)).fingerprint == one.fingerprint


def test_an_id_in_two_files_is_told_with_both_lines(write, spec, rows):
    spec["added_items"] = ["more.jsonl"]
    place = write(spec, rows)
    (place / "more.jsonl").write_text("\n" + json.dumps({**rows[0], "input": "Other?"}))
    with pytest.raises(InputError, match="the id stands twice") as caught:
        load(str(place))
    assert caught.value.where == f"{place / 'more.jsonl'}:2"
    assert caught.value.found == f'"c1", as on line 1 of {place / "items.jsonl"}'


def test_the_file_that_is_not_there_is_named_of_several(write, spec):
    spec["added_items"] = ["gone.jsonl"]
    place = write(spec)
    with pytest.raises(InputError, match="the items' file is not there") as caught:
        load(str(place))
    assert caught.value.where.endswith("spec.yaml: added_items")
    assert "gone.jsonl" in caught.value.found


def test_a_folder_whose_name_ends_like_the_mark_is_still_found(write, spec, rows):
    spec["development"] = "development.jsonl"
    place = write(spec, rows, folder="a:development", development=rows[:2])
    assert load(f"{place}/spec.yaml:development").name == "shop:development"
    assert load(f"{place}/spec.yaml").name == "shop"


def test_development_items_must_be_named_and_there(write, spec):
    place = write(spec)
    with pytest.raises(InputError, match="shop has no development items") as caught:
        load(f"{place}:development")
    assert caught.value.where == str(place / "spec.yaml")
    spec["development"] = "development.jsonl"
    write(spec)
    with pytest.raises(InputError, match="the items' file is not there") as caught:
        load(f"{place}:development")
    assert caught.value.where == f"{place / 'spec.yaml'}: development"
    assert load(str(place)).name == "shop"  # they are missed only when they are asked for


def test_a_word_behind_a_name_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="general-probe has no such way") as caught:
        load("general-probe:developmnt")
    assert (caught.value.found, caught.value.fix) == ("developmnt", "did you mean general-probe:development?")
    with pytest.raises(InputError, match="has no exemplars to choose from"):
        load("general-probe", shots=2)


@pytest.mark.parametrize(
    ("limit", "ids"), [(1, ["c1", "n1"]), (2, ["c1", "n1", "c2", "n2"]), (99, ["c1", "n1", "c2", "n2", "n3"])]
)
def test_a_limit_takes_the_first_items_of_each_part(write, spec, limit, ids):
    found = load(str(write(spec)), limit=Limit(limit, first=True))
    assert [item.id for item in found.items] == ids
    assert found.parts == ("colours", "numbers")


def test_a_limit_is_a_sample_that_a_larger_one_contains_and_that_no_order_changes(write, spec, rows):
    many = [
        {"id": f"m{n}", "part": "numbers", "input": f"{n} plus {n}?", "references": [str(2 * n)]}
        for n in range(40)
    ]
    place = write(spec, [*rows, *many])
    turned = write(spec, [*rows, *many][::-1], folder="turned")
    smaller: set[str] = set()
    for limit in (1, 2, 5, 20, 43):
        found = {item.id for item in load(str(place), limit=limit).items}
        assert found == {item.id for item in load(str(turned), limit=limit).items}
        assert smaller <= found
        assert len(found) == min(limit, 2) + limit
        smaller = found
        assert load(str(place), limit=limit).sizes == {"colours": 2, "numbers": 43}
    first = {item.id for item in load(str(place), limit=Limit(20, first=True)).items}
    assert first != {item.id for item in load(str(place), limit=20).items}


def test_parts_can_be_chosen_and_limited(write, spec):
    place = str(write(spec))
    assert [item.id for item in load(place, parts=["numbers"]).items] == ["n1", "n2", "n3"]
    assert [item.id for item in load(place, parts=["numbers"], limit=Limit(2, first=True)).items] == [
        "n1",
        "n2",
    ]
    assert load(place, parts=["numbers"]).parts == ("numbers",)
    both = load(place, parts=["numbers", "colours"])
    assert both.parts == ("colours", "numbers")  # the spec's order, whatever was asked first
    assert both.fingerprint == load(place).fingerprint
    assert (
        load(place, limit=1).fingerprint
        != load(place).fingerprint
        != load(place, parts=["numbers"]).fingerprint
    )


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(write, spec, limit):
    with pytest.raises(InputError, match="at least one item a part is needed") as caught:
        load(str(write(spec)), limit=limit)
    assert caught.value.found == str(limit)


def test_the_first_ones_need_a_number(write, spec):
    with pytest.raises(InputError, match="`first` needs a limit"):
        load(str(write(spec)), limit=Limit(first=True))


def test_a_part_that_is_not_there_is_refused_with_the_nearest(write, spec):
    for part, fix in [("colors", "did you mean colours?"), ("zzz", "take one of these")]:
        with pytest.raises(InputError, match="shop has no such part") as caught:
            load(str(write(spec)), parts=["numbers", part])
        assert (caught.value.found, caught.value.expected, caught.value.fix) == (
            part,
            "colours, numbers",
            fix,
        )


def test_an_evaluation_before_items_were_added_is_compared_over_the_shared_ones(
    write, spec, rows, tiny_model_folder, tmp_path
):
    place = write(spec, rows[:3])
    tutelage.evaluate(str(tiny_model_folder), str(place), out=tmp_path / "before")
    write({**spec, "version": 2, "added_items": ["more.jsonl"]}, rows[:3])
    (place / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[3:]))
    tutelage.evaluate(str(tiny_model_folder), str(place), out=tmp_path / "after")
    (compared,) = tutelage.compare(tmp_path / "before", tmp_path / "after")
    (unpaired,) = compared.left_out
    assert (unpaired.name, unpaired.both, unpaired.only_base, unpaired.only_tuned) == ("shop", 3, 0, 2)
