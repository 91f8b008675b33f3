from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.mixture import presets
from tutelage.mixture.presets import STYLES, preset
from tutelage.mixture.rates import TaskSize, task_shares

TASKS = {
    name: [TaskSize(f"{name}-small", 1000), TaskSize(f"{name}-large", 10**6)]
    for name in preset("flan2022").submixtures
}


def test_the_flan_collections_numbers():
    # google-research/FLAN: flan/v2/run_example.py and flan/v2/mixtures.py
    found = preset("flan2022").submixtures
    assert {name: (one.weight, one.cap) for name, one in found.items()} == {
        "flan2021": (0.40, 30_000),
        "t0": (0.32, 20_000),
        "niv2": (0.20, 5000),
        "cot": (0.05, 100_000),
        "dialog": (0.03, 200_000),
    }
    assert found["flan2021"].styles == dict.fromkeys(STYLES, 0.25)
    assert found["cot"].styles == {"zero-shot-options": 0.5, "few-shot-options": 0.5}
    assert found["cot"].inverted == found["dialog"].inverted == pytest.approx(0.3 / 1.3)
    assert found["niv2"].inverted == 0
    assert all(one.rate_maximum is None for one in found.values())


def test_flan_2021s_numbers():
    (one,) = preset("flan2021").submixtures.values()
    assert (one.cap, one.rate_maximum) == (30_000, 3000)
    assert one.inverted == pytest.approx(0.3)  # three of ten templates


@pytest.mark.parametrize("name", presets.load_presets())
def test_weights_add_up_to_one_and_a_source_is_named(name):
    one = preset(name)
    assert sum(part.weight for part in one.submixtures.values()) == pytest.approx(1)
    assert all(sum(part.styles.values()) == pytest.approx(1) for part in one.submixtures.values())
    assert "arXiv:" in one.source
    assert "google-research/FLAN" in one.source


def test_shares_of_the_whole_collection():
    tree, said = preset("flan2022").mix(TASKS)
    assert said == ()
    found = {one.name: one for one in task_shares(tree)}
    assert found["flan2021-large"].share == pytest.approx(0.40 * 30 / 31)
    assert found["niv2-small"].share == pytest.approx(0.20 * 1 / 6)
    assert found["dialog-large"].rows == 200_000


def test_what_is_not_there_is_said_and_its_weight_goes_to_the_others():
    tree, said = preset("flan2022").mix({name: TASKS[name] for name in ("flan2021", "t0", "niv2", "cot")})
    assert said[1:] == ()
    assert said[0] == (
        "dialog is not in this recipe: its 3 % of the Flan Collection (Flan 2022) went to the others in proportion, "
        "now flan2021 41.2 %, t0 33 %, niv2 20.6 %, cot 5.2 %"
    )
    assert sum(one.share for one in task_shares(tree) if one.path[1] == "flan2021") == pytest.approx(
        0.4 / 0.97
    )
    _, said = preset("flan2022").mix({"cot": TASKS["cot"], "t0": []})
    assert said[0].startswith("flan2021, t0, niv2 and dialog are not in this recipe: their 95 % of")


def test_names_that_are_not_there():
    with pytest.raises(InputError) as told:
        preset("flan-2021")
    assert told.value.fix == "did you mean flan2021?"
    with pytest.raises(InputError, match="no such submixture") as told:
        preset("flan2022").mix({"niv": []}, where="mix")
    assert (told.value.where, told.value.fix) == ("mix.niv", "did you mean niv2?")
    with pytest.raises(InputError, match="no task belongs"):
        preset("flan2022").mix({"cot": []})
