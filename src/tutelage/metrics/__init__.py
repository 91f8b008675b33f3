"""Strings or numbers in, scores with intervals out."""

from tutelage.metrics.comparing import paired as paired
from tutelage.metrics.names import check as check
from tutelage.metrics.names import check_for_answers as check_for_answers
from tutelage.metrics.names import expand as expand
from tutelage.metrics.names import higher_is_better as higher_is_better
from tutelage.metrics.names import names as names
from tutelage.metrics.score import Difference as Difference
from tutelage.metrics.score import Row as Row
from tutelage.metrics.score import Score as Score
from tutelage.metrics.score import Scored as Scored
from tutelage.metrics.scoring import check_rows as check_rows
from tutelage.metrics.scoring import over as over
from tutelage.metrics.scoring import score_rows as score_rows
from tutelage.metrics.stats.families import holm as holm
