from __future__ import annotations

import itertools
import subprocess
import sys

from tutelage.core.seeds import derive, generator


def test_a_seed_is_the_same_in_every_process_and_release():
    # sha256 of "0", 0x1f, "split", 0x1f, "7": the first 8 bytes without the lowest bit.
    assert derive(0, "split", 7) == 0x481E8602BF360552
    program = "from tutelage.core.seeds import derive; print(derive(0, 'split', 7))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == derive(0, "split", 7)


def test_seeds_fit_into_63_bits_and_none_comes_twice():
    purposes = [
        (seed, name, n) for seed in (0, 1, -1, 2**80) for name in ("order", "dropout") for n in range(500)
    ]
    found = [derive(seed, name, n) for seed, name, n in purposes]
    assert len(set(found)) == len(purposes)
    assert all(0 <= seed < 2**63 for seed in found)
    assert max(found) > 2**62


def test_where_one_part_of_a_purpose_ends_matters():
    assert derive(0, "ab", "c") != derive(0, "a", "bc") != derive(0, "abc")
    assert derive(1, 23) != derive(12, 3) != derive(123)
    assert derive(0) != derive(0, "")


def test_a_generators_draws_depend_on_seed_and_purpose_alone():
    one = generator(3, "bootstrap").integers(0, 2**60, 8).tolist()
    generator(3, "other").integers(0, 2**60, 8)
    assert generator(3, "bootstrap").integers(0, 2**60, 8).tolist() == one
    assert generator(4, "bootstrap").integers(0, 2**60, 8).tolist() != one
    assert generator(3, "bootstrap", 0).integers(0, 2**60, 8).tolist() != one


def test_neighbouring_positions_draw_unrelated_numbers():
    firsts = [generator(0, "x", n).random() for n in range(2000)]
    mean = sum(firsts) / 2000
    products = sum((a - 0.5) * (b - 0.5) for a, b in itertools.pairwise(firsts)) / 1999
    # Five standard errors of uniform numbers: 1/sqrt(12 n), and 1/(12 sqrt(n)) for the products.
    assert abs(mean - 0.5) < 5 * (1 / 12 / 2000) ** 0.5
    assert abs(products) < 5 / 12 / 2000**0.5
