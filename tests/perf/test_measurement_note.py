from __future__ import annotations

import re

from measurement_note import measured_on
from tutelage.core.provenance import processor


def test_a_table_of_measurements_carries_date_commit_and_processor():
    assert re.match(r"Measured \d{4}-\d\d-\d\d at (?:[0-9a-f]{7}(?:-changed)?|version \S+), ", measured_on())
    assert f", {processor().name}, " in measured_on()
