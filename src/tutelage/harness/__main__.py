"""lm-eval's own command line, with Tutelage's model registered: `python -m tutelage.harness run --model tutelage ...`."""

from __future__ import annotations

from tutelage.harness import model  # noqa: F401 - registers the model


def main() -> None:
    """Run lm-eval's command with this process's arguments."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
