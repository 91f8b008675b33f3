"""Predictions and references in, scores with intervals out."""

from tutelage.metrics.catalogue import check_primary as check_primary
from tutelage.metrics.catalogue import check_scores_answers as check_scores_answers
from tutelage.metrics.catalogue import expand as expand
from tutelage.metrics.catalogue import metric_names as metric_names
from tutelage.metrics.paired_difference import paired_difference as paired_difference
from tutelage.metrics.score import ItemScores as ItemScores
from tutelage.metrics.score import Row as Row
from tutelage.metrics.score import Score as Score
from tutelage.metrics.score import ScoreDifference as ScoreDifference
from tutelage.metrics.scoring import check_rows as check_rows
from tutelage.metrics.scoring import score_rows as score_rows
from tutelage.metrics.scoring import score_subset as score_subset
from tutelage.metrics.stats.multiple_testing import holm as holm
