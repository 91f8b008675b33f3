"""Intervals, paired tests, families of tests, power."""

from tutelage.metrics.stats.families import benjamini_hochberg as benjamini_hochberg
from tutelage.metrics.stats.families import holm as holm
