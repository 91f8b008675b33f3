"""ROUGE, exact to `rouge_score` 0.1.2, computed for a whole corpus at once.

C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004.
"""

from tutelage.metrics.rouge.corpus import rouge as rouge
