"""What stands below the options in a command's help: examples, where it writes, exit codes."""

from __future__ import annotations

from typing import Any

from tutelage.core import yamltext

_LINE = "\n\n"
"""Between two lines of the help, which joins lines that are nearer."""


def epilog(command: str | None) -> str:
    """The lines below a command's options; of the program itself the exit codes alone.

    Args:
        command: the command's name, None for the program. One without an entry in `help.yaml` has its exit codes.
    """
    table = yamltext.table("tutelage.cli", "help.yaml")
    entry: dict[str, Any] = {} if command is None else table["commands"].get(command, {})
    lines = [f"{example}  # {does}" for example, does in entry.get("examples", {}).items()]
    if lines:
        lines.insert(0, "Examples:")
    if "writes" in entry:
        lines.append(f"Writes: {entry['writes']}")
    return _LINE.join([*lines, f"Exit codes: {table['exit_codes']}"])
