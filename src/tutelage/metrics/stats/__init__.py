"""Intervals, paired tests, families of tests, power."""

from tutelage.metrics.stats.multiple_testing import benjamini_hochberg as benjamini_hochberg
from tutelage.metrics.stats.multiple_testing import holm as holm
