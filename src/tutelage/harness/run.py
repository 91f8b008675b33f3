"""Runs tasks of an installed lm-evaluation-harness with one model, and writes results as lm-eval does."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from tutelage.core import files
from tutelage.core.errors import InputError, MachineError, TutelageError, raise_all
from tutelage.core.suggestions import did_you_mean
from tutelage.evaluation.progress import Listener, SilentListener
from tutelage.harness.installation import require_lm_eval
from tutelage.results.run_folder import RESULTS_FILE

TABLE_FILE = "table.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessOptions:
    """What `tutelage harness` runs, and how. Each field has its meaning, which is also its help on the command line."""

    model: Annotated[str, "A hub id, a folder, a .gguf file, a run folder, or the bundled default's name."]
    tasks: Annotated[
        tuple[str, ...], "Names of lm-eval's tasks, groups or tags, or paths of task files in its format."
    ]
    limit: Annotated[int | None, "Only the first N documents of each task."] = None
    shots: Annotated[
        int | None, "Worked examples before each question, where the task does not forbid it."
    ] = None
    chat: Annotated[bool, "Ask in the model's chat template, examples as earlier turns."] = False
    system: Annotated[str | None, "A system prompt."] = None
    chat_template: Annotated[
        str | None, "A bundled chat template's name or a file; by default the model's own."
    ] = None
    include: Annotated[
        Path | None, "A folder of further task files; Python that they name with !function is run."
    ] = None
    data_dir: Annotated[
        Path | None,
        "Local copies of data sets: DIR/OWNER/NAME/CONFIG with a file for each split, DIR/OWNER/NAME as on the hub, or the files "
        "that a task's data_files name.",
    ] = None
    out: Annotated[Path | None, "The folder for results; runs/harness-MODEL-TIME by default."] = None


@dataclass(frozen=True, slots=True)
class HarnessResult:
    """The folder that was written, and lm-eval's results document."""

    folder: Path
    document: Mapping[str, Any]


def run_tasks(options: HarnessOptions, *, listener: Listener | None = None) -> HarnessResult:
    """Run lm-eval's tasks with a model in Tutelage's engine.

    Args:
        options: the model, the tasks, and how they are asked.
        listener: receives progress.

    Raises:
        InputError: lm-eval is not installed, a task is unknown or cannot be asked, its data is not here, or the model is wrong;
            InputErrors for several.
        MachineError: the results could not be written.
    """
    require_lm_eval()
    listener = listener or SilentListener()
    listener.stage("check", "lm-eval's tasks")
    with _quiet():
        from lm_eval.tasks import TaskManager

        manager = TaskManager(include_path=None if options.include is None else str(options.include))
        tasks = _load_tasks(manager, options)
        listener.stage("load")
        from tutelage.harness.model import TutelageLM

        model = TutelageLM(options.model, chat_template=options.chat_template, on_progress=listener.advance)
        listener.stage("answer")
        return _evaluate(model, tasks, manager, options)


def _load_tasks(manager: Any, options: HarnessOptions) -> list[Any]:
    """The tasks and groups with their data; all that are wrong are reported together."""
    from tutelage.harness.local_data import local_data  # slow to import, as the readers of data are

    errors: list[InputError] = []
    tasks: list[Any] = []
    for name in dict.fromkeys(options.tasks):
        path = Path(name)
        if name not in manager.all_tasks and not path.is_file():
            near = did_you_mean(name, manager.all_tasks)
            errors.append(
                InputError(
                    "lm-eval has no such task",
                    where="--tasks",
                    found=name,
                    expected="a name from `lm-eval ls tasks`, or the path of a task file",
                    fix=near or "check the name; --include names a folder of further task files",
                )
            )
            continue
        try:
            with local_data(options.data_dir), _task_errors(name, options.data_dir):
                loaded = manager.load([name])
                inner = {child for children in loaded.get("group_map", {}).values() for child in children}
                groups = [group for group in loaded["groups"].values() if group.name not in inner]
                tasks += groups or loaded["tasks"].values()
        except InputError as error:
            errors.append(error)
    if not options.tasks:
        errors.append(
            InputError("no task is named", where="--tasks", fix="see `lm-eval ls tasks` for their names")
        )
    raise_all("the tasks", errors)
    return tasks


def _evaluate(model: Any, tasks: Sequence[Any], manager: Any, options: HarnessOptions) -> HarnessResult:
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.utils import make_table

    folder = options.out or _default_folder(options.model)
    _make_folder(folder)
    earlier = set(folder.glob("results_*.json"))
    # The writer adds the time to this name, and writes the samples of each task beside it.
    tracker = EvaluationTracker(output_path=str(folder / RESULTS_FILE))
    with _task_errors(", ".join(options.tasks), options.data_dir):
        results = simple_evaluate(
            model=model,
            model_args={"pretrained": options.model},
            tasks=list(tasks),
            num_fewshot=options.shots,
            limit=options.limit,
            system_instruction=options.system,
            apply_chat_template=options.chat,
            evaluation_tracker=tracker,
            task_manager=manager,
        )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    if not set(folder.glob("results_*.json")) - earlier:  # lm-eval logs what goes wrong here, and goes on
        raise MachineError("lm-eval could not write its results", where=str(folder), fix="name another --out")
    columns = ["results", *(["groups"] if results.get("groups") else [])]
    files.write_text(folder / TABLE_FILE, "\n".join(make_table(results, column) for column in columns))
    return HarnessResult(folder, results)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.disk_error(folder, error) from error


def _default_folder(model: str) -> Path:
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(model).name).strip("-.") or "model"
    return Path("runs") / f"harness-{slug}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


@contextmanager
def _task_errors(name: str, data_dir: Path | None) -> Iterator[None]:
    """Explain what lm-eval and `datasets` raise; both have many classes of errors, and most name no cause for the user."""
    try:
        yield
    except TutelageError:
        raise
    except (
        Exception
    ) as error:  # task files run code of their own, and readers of data raise errors of any class
        from tutelage.models.library_calls import is_out_of_memory

        if is_out_of_memory(error):
            raise
        shown = f"{type(error).__name__}: {error}"
        raise InputError(
            "lm-eval could not load or run the task",
            where=name,
            found=shown,
            fix="correct the task file; or, where its data set is missing, put a copy below "
            f"{data_dir or 'the folder of --data'} as OWNER/NAME/CONFIG, or connect to the hub",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Show only lm-eval's errors, and no bars of `datasets`; its warnings name defaults of its own tasks."""
    import datasets

    logger = logging.getLogger("lm_eval")
    level, bars = logger.level, datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()
