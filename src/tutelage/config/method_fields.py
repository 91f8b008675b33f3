"""Contradictions between a recipe's tuning method and the other fields of `tune`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import shorten
from tutelage.core.yamltext import FieldPath
from tutelage.models import methods

if TYPE_CHECKING:
    from tutelage.config.tune_block import Tune

Where = Callable[[FieldPath], str]
_OFF = (None, False, "none", "off")
_COMBINED = ("activation_checkpointing", "packing", "l2_to_base")


def find_contradictions(tune: Any, where: Where) -> list[InputError]:
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
        _unread(method, name, values[name], where)
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


def check(tune: Tune) -> None:
    """Check a recipe's tuning method, also of a recipe that was made in Python, and what it needs of the machine.

    Raises:
        InputError: a field that the method does not read, or what it cannot be combined with.
        MachineError: the machine lacks what the method needs.
    """
    values = tune.model_dump(mode="json", exclude_unset=True)
    raise_all("the recipe", find_contradictions(values, lambda path: ".".join(map(str, path))))
    methods.find(tune.method).check_machine()


def _unread(method: methods.Method, name: str, value: Any, where: Where) -> InputError:
    return InputError(
        f"{method.name} does not read {name}",
        where=where(("tune", name)),
        found=shorten(str(value)),
        expected=f"of {', '.join(methods.method_fields())} it reads {', '.join(method.fields)}",
        fix=f"remove it (on the command line: --set tune.{name}=null), or take {' or '.join(methods.methods_reading(name))}",
    )
