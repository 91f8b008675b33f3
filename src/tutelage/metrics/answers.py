"""Answers that are right or wrong as a whole."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.measures import Counted, Family, Shared, of_means
from tutelage.metrics.names import Asked


def _exact(shared: Shared, _asked: Asked) -> Counted:
    """1 where the prediction, space around it ignored, equals one of the references."""
    right = [row.prediction.strip() in {own.strip() for own in row.references} for row in shared.rows]
    return of_means(np.array(right, np.float64))


exact = Family(_exact)
