"""Calls of transformers, tokenizers and peft on a user's files: which files they see, what they print, how they fail.

The libraries look into the folder that they are given for many files, by name, by pattern, and by what settings say.
`file_view` shows them a folder with nothing but the files that Tutelage checks and fingerprints.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tutelage.core.errors import InputError, MachineError, TutelageError

SAVE_AGAIN = "fetch the model again, or save it again with a current transformers"
_OUT_OF_MEMORY_SIGNS = ("allocate memory", "out of memory")


@contextmanager
def file_view(files: Mapping[str, Path]) -> Iterator[Path]:
    """Make a temporary folder with links to some files and nothing else.

    Args:
        files: by the name that each gets there; those that do not exist are left out.
    """
    with tempfile.TemporaryDirectory(prefix="tutelage-") as scratch:
        view = Path(scratch)
        for name, path in files.items():
            if path.is_file():
                (view / name).symlink_to(path.absolute())
        yield view


@contextmanager
def library_errors(problem: str, path: Path, *, fix: str, view: Path | None = None) -> Iterator[None]:
    """Turn whatever a library raises about a user's files into an InputError that names them.

    The block may only call libraries: an error of Tutelage's own code inside it would be blamed on the files.

    Args:
        problem: what could not be read, in one sentence.
        path: the file or folder, for the error's `where`.
        fix: the advice to the user.
        view: the folder from `file_view`, in place of which messages name `path`.

    Raises:
        InputError: the library raised an error, or panicked (tokenizers, in Rust: no subclass of Exception).
        MachineError: not enough memory.
    """
    try:
        yield
    except TutelageError:
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise _out_of_memory_error(path) from error
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        text = f"{type(error).__name__}: {error}"
        if view is not None:
            text = text.replace(str(view), str(path))
        raise InputError(
            problem, where=str(path), found=next(iter(text.splitlines()))[:300], fix=fix
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch has no class of its own for it on every device."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY_SIGNS)


def _out_of_memory_error(path: Path) -> MachineError:
    """The error for a model that does not fit into this machine."""
    files = [path] if path.is_file() else path.glob("*.safetensors")
    size = sum(file.stat().st_size for file in files)
    return MachineError(
        "there is not enough memory for the model",
        where=str(path),
        found=f"{size:,} bytes of weights",
        fix="close other programs, or use a smaller model",
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' log lines, warnings and progress bars while the block runs."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
