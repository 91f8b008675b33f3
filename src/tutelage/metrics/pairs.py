"""Whether rows that differ in one respect only get the same answer."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import field_error


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """A pair is an item, in the place of its first row; a row whose partner is not here is left out."""
    rows_of_pair: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(batch.rows):
        pair = row.fields.get("pair_id")
        if not isinstance(pair, str | int) or isinstance(pair, bool):
            problem = f"{spec.text} needs the pair of each row"
            raise field_error(problem, row, f"row {index + 1}", "pair_id", "the pair's number or name")
        rows_of_pair.setdefault((row.task, str(pair)), []).append(index)
    pairs = [rows for rows in rows_of_pair.values() if len(rows) > 1]
    same = [len({batch.rows[index].prediction.strip() for index in rows}) == 1 for rows in pairs]
    return of_means(np.array(same, np.float64), np.array([rows[0] for rows in pairs], np.int64))


gender_parity = MetricImplementation(_count)
