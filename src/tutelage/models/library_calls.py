"""What transformers, tokenizers and peft read of a person's files: those files alone, and every failure an input error.

The libraries look into the folder that they are given for many files, by name, by pattern, and by what settings say.
`only` shows them a folder with nothing but the files that Tutelage checks and fingerprints.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tutelage.core.errors import InputError, MachineError, TutelageError

SAVE_AGAIN = "fetch the model again, or save it again with a current transformers"
OUT_OF_MEMORY = ("allocate memory", "out of memory")


@contextmanager
def only(files: Mapping[str, Path]) -> Iterator[Path]:
    """A folder that holds links to some files and nothing else, for as long as the block runs.

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
def reading(problem: str, path: Path, *, fix: str, view: Path | None = None) -> Iterator[None]:
    """Turn whatever a library raises over a person's files into an InputError that names them.

    For calls into libraries alone: an error of Tutelage's own code inside the block would be taken for the file's.

    Args:
        problem: what could not be read, in one sentence.
        path: the file or folder, for the error's `where`.
        fix: what the person can do.
        view: the folder that `only` made of it, which the error calls by `path` instead.

    Raises:
        InputError: the library raised an error, or panicked (tokenizers, in Rust: no subclass of Exception).
        MachineError: not enough memory.
    """
    try:
        yield
    except TutelageError:
        raise
    except BaseException as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise no_memory(path) from error
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        text = f"{type(error).__name__}: {error}"
        if view is not None:
            text = text.replace(str(view), str(path))
        raise InputError(
            problem, where=str(path), found=next(iter(text.splitlines()))[:300], fix=fix
        ) from error


def no_memory(path: Path) -> MachineError:
    """The error for a model that does not fit into this machine."""
    files = [path] if path.is_file() else path.glob("*.safetensors")
    size = sum(file.stat().st_size for file in files)
    return MachineError(
        "there is not enough memory for the model",
        where=str(path),
        found=f"{size:,} bytes of weights",
        fix="close other programs, or use a smaller model",
    )
