"""Contradictions between parts of a recipe that are right by themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from tutelage.config import continuation, reach_block
from tutelage.config.data_block import Data
from tutelage.config.protect_block import BUNDLED, SAMPLED
from tutelage.config.tune_block import Tune
from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import did_you_mean, unknown_name
from tutelage.core.yamltext import FieldPath
from tutelage.models import methods

Where = Callable[[FieldPath], str]

_MOST_ERRORS = 2_000
"""Errors about `retain` that are made; the rest is left out."""
_MOST_NAMES = 50
"""Names that an error lists."""
_OFF = (None, False, "none", "off")
"""Values with which a field of `tune` asks for nothing."""
_COMBINED = ("activation_checkpointing", "packing", "l2_to_base")
"""Fields of `tune` with which some methods cannot be combined."""


def find_contradictions(
    recipe: Mapping[str, Any], where: Where, benchmarks: Collection[str] | None = None
) -> list[InputError]:
    """Find mistakes between parts of a recipe; parts that are wrong by themselves are passed over.

    Args:
        recipe: the recipe as plain values.
        where: a field's place in words.
        benchmarks: the names that `watch` may use beside paths; None when they are not to be checked.
    """
    watched = _names(recipe.get("watch"), "benchmark")
    return [
        *_duplicates(_task_names(recipe.get("tasks")), ("tasks", "name"), "task", where),
        *_duplicates(watched, ("watch", "benchmark"), "benchmark", where),
        *_unknown_benchmarks(watched, benchmarks, where),
        *_unwatched(recipe.get("retain"), watched, where, continues=recipe.get("continues") is not None),
        *_tune_contradictions(recipe.get("tune"), where),
        *reach_block.find_contradictions(recipe, where),
        *_protect_contradictions(recipe, where),
        *continuation.find_contradictions(recipe, where),
        *_diagnose_contradictions(recipe, where),
        *_merge_contradictions(recipe, where),
    ]


def _names(blocks: Any, field: str) -> dict[int, str]:
    """The names that a list of blocks has in a field, by index."""
    if not isinstance(blocks, list):
        return {}
    names = {index: block.get(field) for index, block in enumerate(blocks) if isinstance(block, Mapping)}
    return {index: name for index, name in names.items() if isinstance(name, str)}


def _task_names(tasks: Any) -> dict[int, str]:
    """The tasks' names by index, also those that tasks get from their data."""
    names = _names(tasks, "name")
    for index, task in enumerate(tasks if isinstance(tasks, list) else []):
        data = task.get("data") if isinstance(task, Mapping) and "name" not in task else None
        if not isinstance(data, Mapping):
            continue
        location = data.get("path") or data.get("hub")
        first = location[0] if isinstance(location, list) and location else location
        if isinstance(first, str):
            names[index] = Data.model_construct(path=data.get("path"), hub=data.get("hub")).default_name()
    return dict(sorted(names.items()))


def _duplicates(
    names: Mapping[int, str], path: tuple[str, str], noun: str, where: Where
) -> Iterator[InputError]:
    block, field = path
    first_index: dict[str, int] = {}
    for index, name in names.items():
        if name in first_index:
            yield InputError(
                f"two of one name: {noun} {name}",
                where=where((block, index, field)),
                found=f"{name}, as in {block}.{first_index[name]}.{field}",
                expected="every name once",
                fix="rename or remove one of them",
            )
        first_index.setdefault(name, index)


def _unknown_benchmarks(
    watched: Mapping[int, str], benchmarks: Collection[str] | None, where: Where
) -> Iterator[InputError]:
    for index, name in watched.items():
        benchmark = name.partition(":")[0]
        is_path = "/" in name or benchmark.endswith((".yaml", ".yml"))
        if benchmarks is not None and benchmark not in benchmarks and not is_path:
            yield unknown_name(
                "there is no such benchmark",
                name,
                sorted(benchmarks),
                where=where(("watch", index, "benchmark")),
                also=", or the path of your own",
            )


def _unwatched(retain: Any, watched: Mapping[int, str], where: Where, *, continues: bool) -> list[InputError]:
    watched_names = sorted(set(watched.values()))
    unwatched = [name for name in retain if name not in watched_names] if isinstance(retain, Mapping) else []
    return [
        InputError(
            "retain has a benchmark that is not watched, so its loss would not be known",
            where=where(("retain", name)),
            found=name,
            expected="one of " + ", ".join(watched_names[:_MOST_NAMES])
            if watched
            else "a benchmark that stands in watch",
            fix=(did_you_mean(name, watched_names) or f"add  - {{benchmark: {name}}}  to watch")
            + (
                f"; if {name} is a task of an earlier run: what it lost is in the results, without a budget"
                if continues
                else ""
            ),
        )
        for name in unwatched[:_MOST_ERRORS]
    ]


def _tune_contradictions(tune: Any, where: Where) -> list[InputError]:
    """Find fields that the method does not read or cannot be combined with; an unknown method is passed over.

    Args:
        tune: the values of `tune`, as the person wrote them.
        where: a field's place in words.
    """
    if not isinstance(tune, Mapping):
        return []
    method = methods.table().get(str(tune.get("method", "lora")))
    if method is None:
        return []
    values = {name: value for name, value in tune.items() if value not in _OFF}
    errors = [
        InputError(
            f"{method.name} does not read {name}",
            where=where(("tune", name)),
            found=shorten(str(values[name])),
            expected=f"of {', '.join(methods.method_fields())} it reads {', '.join(method.fields)}",
            fix=f"remove it (on the command line: --set tune.{name}=null), or take {' or '.join(methods.methods_reading(name))}",
        )
        for name in methods.method_fields()
        if name in values and name not in method.fields
    ]
    errors += [
        InputError(
            f"{method.name} cannot be combined with {name}",
            where=where(("tune", name)),
            found=method.cannot[name],
            fix=f"remove {name}, or take another method",
        )
        for name in _COMBINED
        if name in values and name in method.cannot
    ]
    if "stm_perplexity" in values and values.get("token_weights") != "stm":
        errors.append(
            InputError(
                "a perplexity above which tokens bear no loss, and nothing that reads it",
                where=where(("tune", "stm_perplexity")),
                found=f"token_weights: {shorten(str(values.get('token_weights', 'none')))}",
                expected="token_weights: stm",
                fix="add  token_weights: stm, or remove stm_perplexity",
            )
        )
    if "freeze" in values and "train_last" in values:
        errors.append(
            InputError(
                "two ways to say what stays frozen",
                where=where(("tune", "freeze")),
                found="freeze and train_last",
                expected="one of the two",
                fix="remove one of them; freeze can name single layers, such as model.layers.0.*",
            )
        )
    return errors


def _protect_contradictions(recipe: Mapping[str, Any], where: Where) -> Iterator[InputError]:
    """Find what `protect` needs of the rest of the recipe."""
    protect = recipe.get("protect")
    searches = protect == "auto" or (isinstance(protect, Mapping) and bool(protect.get("scales")))
    replays = protect == "auto" or (isinstance(protect, Mapping) and protect.get("self_replay") is not None)
    if searches and not recipe.get("watch"):
        yield InputError(
            "nothing is watched, so nothing can be kept within a budget",
            where=where(("protect",)),
            found="no watch",
            expected="at least one benchmark of which something may be lost",
            fix="add  watch: [{benchmark: general-probe}]",
        )
    tune = recipe.get("tune")
    method = methods.table().get(str(tune.get("method", "lora") if isinstance(tune, Mapping) else "lora"))
    if searches and method is not None and "merge" in method.cannot:
        yield InputError(
            f"the change of {method.name} cannot be scaled",
            where=where(("protect", "scales") if isinstance(protect, Mapping) else ("protect",)),
            found=method.cannot["merge"],
            fix="take another method, such as lora, or protect: {self_replay: {}}",
        )
    if isinstance(protect, Mapping) and isinstance(protect.get("self_replay"), Mapping):
        yield from _prompt_contradictions(protect["self_replay"], where)
    if replays and recipe.get("replay") is not None:
        yield InputError(
            "two ways to say what is replayed",
            where=where(("replay",)),
            found="replay, and self_replay in protect",
            expected="one of the two",
            fix="remove replay, or write protect: {scales: [0.4, 0.55, 0.7, 0.85, 1.0]}",
        )


def _prompt_contradictions(replay: Mapping[str, Any], where: Where) -> Iterator[InputError]:
    """Find what the source of the prompts does not read or cannot do without."""
    path = ("protect", "self_replay")
    sampled = replay.get("prompts", BUNDLED) == SAMPLED
    for name in ("prompt_samples", "prompt_max_tokens"):
        if not sampled and replay.get(name) is not None:
            yield InputError(
                f"only sampled prompts read {name}",
                where=where((*path, name)),
                found=f"prompts: {shorten(str(replay.get('prompts', BUNDLED)))}",
                expected="prompts: sampled",
                fix=f"add  prompts: sampled, or remove {name}",
            )
    if sampled and replay.get("temperature") == 0:
        yield InputError(
            "prompts that are not drawn at random would all be the same one",
            where=where((*path, "temperature")),
            found="0, with prompts: sampled",
            expected="a temperature above 0",
            fix="raise the temperature, or take prompts: bundled",
        )


def _diagnose_contradictions(recipe: Mapping[str, Any], where: Where) -> Iterator[InputError]:
    """Find that there is nothing to diagnose."""
    if recipe.get("diagnose") is True and not recipe.get("watch"):
        yield InputError(
            "nothing is watched, so nothing that was lost can be diagnosed",
            where=where(("diagnose",)),
            found="no watch",
            expected="at least one benchmark of which something may be lost",
            fix="add  watch: [{benchmark: general-probe}], or remove diagnose",
        )


def _merge_contradictions(recipe: Mapping[str, Any], where: Where) -> Iterator[InputError]:
    """Find that there is nothing to merge."""
    tune = recipe.get("tune")
    method = methods.table().get(str(tune.get("method", "lora") if isinstance(tune, Mapping) else "lora"))
    if recipe.get("keep_merged") is not True or method is None:
        return
    if method.kind == "full" or "merge" in method.cannot:
        yield InputError(
            f"a run of {method.name} has no merged copy",
            where=where(("keep_merged",)),
            found=method.cannot.get(
                "merge", "it trains the model's own weights, and the run keeps all of them"
            ),
            fix="remove keep_merged (on the command line: --set keep_merged=false)",
        )


def check_tune(tune: Tune) -> None:
    """Check a recipe's tuning method, also of a recipe that was made in Python, and what it needs of the machine.

    Raises:
        InputError: a field that the method does not read, or what it cannot be combined with.
        MachineError: the machine lacks what the method needs.
    """
    values = tune.model_dump(mode="json", exclude_unset=True)
    raise_all("the recipe", _tune_contradictions(values, lambda path: ".".join(map(str, path))))
    methods.find(tune.method).check_machine()
