"""`python -m tutelage`: the same as the installed program."""

from tutelage.cli.main import entry

entry()
