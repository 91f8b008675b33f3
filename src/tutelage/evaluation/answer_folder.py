"""The folder of a model's answers: named after them, marked with their identity, written by one process at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tutelage.core import files
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.locks import locked
from tutelage.evaluation.answer_cache_key import open_answer_cache
from tutelage.prepare import template_clock
from tutelage.results import digests
from tutelage.results.answer_cache import AnswerCache
from tutelage.results.run_folder import STORE_FILE
from tutelage.results.store import Store

_IDENTITY_FILE = "identity"


@dataclass(frozen=True, slots=True)
class AnswerFolder:
    """The folder of one model's answers to one set of questions.

    Attributes:
        path: the folder; it need not exist.
        identity: the hash of model and questions that it is marked with.
    """

    path: Path
    identity: str

    @classmethod
    def named(cls, path: Path | None, command: str, model: str, identity: str) -> AnswerFolder:
        """The folder at `path`, by default runs/COMMAND-MODEL-HASH."""
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(model).name).strip("-.") or "model"
        return cls(path or Path("runs") / f"{command}-{slug}-{identity[:8]}", identity)

    @property
    def store(self) -> Path:
        """The file with the answers."""
        return self.path / STORE_FILE

    @property
    def has_identity(self) -> bool:
        """Whether the folder is marked with this identity."""
        try:
            return (self.path / _IDENTITY_FILE).read_text("utf-8", "replace").strip() == self.identity
        except OSError:
            return False

    def check(self) -> None:
        """Refuse a folder that holds another evaluation, or anything else.

        Raises:
            InputError: the folder is a file, or has other content.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(
                "the folder for responses is a file",
                where=str(self.path),
                expected="a folder, or a name that is free",
                fix="name another one with --out",
            )
        is_marked = (self.path / _IDENTITY_FILE).is_file()
        if is_marked and not self.has_identity:
            raise InputError(
                "the folder holds another evaluation",
                where=str(self.path),
                expected="the same model, chat template and benchmark items",
                fix="name another folder with --out, or leave --out away",
            )
        content = sorted(path.name for path in self.path.glob("[!.]*"))
        if content and not is_marked:
            raise InputError(
                "the folder holds something that is no evaluation",
                where=str(self.path),
                found=", ".join(content[:5]),
                fix="name another folder with --out",
            )

    def check_answers(self) -> None:
        """Refuse answers that were edited after the scores beside them were computed.

        Raises:
            InputError: answers were edited.
        """
        if self.store.is_file():
            with Store.open(self.store, read_only=True) as store:
                digests.require_answers(store)

    @contextmanager
    def open(self, clock: Clock, *, say: Callable[[str], None]) -> Iterator[tuple[Store, AnswerCache | None]]:
        """Lock the folder, mark it, and open its answers and the cache of answers for a block.

        Args:
            clock: what the chat template reads; its instant is stored in the folder.
            say: takes a line about the cache.

        Raises:
            InputError: as `check`: another process may have started while weights were loaded.
            MachineError: another process works in the folder.
        """
        with locked(self.path / ".lock", subject=f"the folder {self.path}"):
            self.check()
            files.write_text(self.path / _IDENTITY_FILE, self.identity + "\n")
            template_clock.keep_instant(self.path, clock)
            with Store.open(self.store) as store, open_answer_cache(say) as cache:
                yield store, cache
