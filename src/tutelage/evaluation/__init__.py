"""Ask a model the test rows of tasks and the items of benchmarks, and score its answers."""
