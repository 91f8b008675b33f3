"""Tasks of an installed lm-evaluation-harness (lm-eval) through Tutelage's engine.

`model.TutelageLM` is the model class that lm-eval calls, `run.run_tasks` what `tutelage harness` does, and `python -m tutelage.harness`
lm-eval's own command line with the model class registered. lm-eval is an optional extra, imported by these three alone.
"""
