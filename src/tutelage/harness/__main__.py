"""lm-eval's own command line, with Tutelage's model registered: `python -m tutelage.harness run --model tutelage ...`."""

from __future__ import annotations

import sys

from tutelage.core.errors import TutelageError
from tutelage.harness.installation import require_lm_eval


def main() -> int:
    """Run lm-eval's command with this process's arguments; gives the exit code."""
    try:
        require_lm_eval()
        from lm_eval.__main__ import cli_evaluate

        from tutelage.harness import model  # noqa: F401 - registers the model

        cli_evaluate()
    except TutelageError as error:
        sys.stderr.write(error.block() + "\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
