"""The table of methods (`methods.yaml`): what each reads, needs, and cannot be combined with. Imports no torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from tutelage.core import yamltext
from tutelage.core.errors import InputError, MachineError
from tutelage.core.suggestions import did_you_mean

_REFUSED = {
    "merge": "{} cannot be merged into the weights",
    "combine": "{} cannot be added to another adapter",
    "activation_checkpointing": "{} cannot be combined with activation_checkpointing",
    "packing": "{} cannot be combined with packing",
    "l2_to_base": "{} cannot be combined with l2_to_base",
}
_LACKS = {
    "bitsandbytes": "the package bitsandbytes is not installed",
    "cuda": "torch sees no CUDA device",
}


@dataclass(frozen=True, slots=True)
class Method:
    """One way to tune.

    Attributes:
        name: as the recipe has it.
        title, source: what it is, and its paper.
        kind: `adapter` in the layers, `prompt` before every row, or `full`: the model's own weights.
        rate: the learning rate when none is given.
        fields: what it reads of the recipe's `tune` beside what all methods read, with the defaults.
        needs: what the machine must have.
        cannot: what it cannot be combined with, and why.
    """

    name: str
    title: str
    source: str
    kind: Literal["adapter", "prompt", "full"]
    rate: float
    fields: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    cannot: Mapping[str, str] = field(default_factory=dict)

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The method's own settings: what is given (None is not given), else the defaults; what is None falls out."""
        found = {
            name: default if given.get(name) is None else given[name] for name, default in self.fields.items()
        }
        if "alpha" in found and found["alpha"] is None:
            found["alpha"] = 2.0 * found["rank"]
        return {name: value for name, value in found.items() if value is not None}

    def refuse(self, subject: str, *, where: str, fix: str) -> None:
        """Raise the reason when the method cannot be combined with `what`."""
        if subject in self.cannot:
            raise InputError(
                _REFUSED[subject].format(self.name),
                where=where,
                found=self.cannot[subject],
                fix=fix,
            )

    def check_machine(self) -> None:
        """Refuse a method for which this machine lacks something, before anything is loaded.

        Raises:
            MachineError: what is missing.
        """
        missing = [_LACKS[need] for need in self.needs if not _has(need)]
        if missing:
            raise MachineError(
                f"{self.name} cannot run on this machine",
                where="tune.method",
                found="; ".join(missing),
                expected=" and ".join(self.needs),
                fix="take lora: the same matrices beside weights that are not quantised",
            )


@cache
def table() -> Mapping[str, Method]:
    """All methods by name, in the file's order."""
    told: dict[str, dict[str, Any]] = yamltext.table("tutelage.models", "methods.yaml")
    return {
        name: Method(name=name, **{**one, "needs": tuple(one.get("needs", ()))}) for name, one in told.items()
    }


def find(name: str) -> Method:
    """A method by its name.

    Raises:
        InputError: there is none.
    """
    known = table()
    if name in known:
        return known[name]
    raise InputError(
        "there is no such method",
        where="tune.method",
        found=name,
        expected=", ".join(known),
        fix=did_you_mean(name, list(known)) or "take one of these",
    )


def of_adapter(config: Mapping[str, Any], *, four_bit: bool = False) -> Method:
    """The method of an adapter by what its adapter_config.json says.

    Raises:
        InputError: a kind of adapter that is not in the table.
    """
    said = config.get("peft_type")
    kind = str(getattr(said, "value", said))
    if kind != "LORA":
        return find(kind.lower().replace("_", "-"))
    if four_bit:
        return find("qlora")
    return find("dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora")


def methods_reading(name: str) -> list[str]:
    """The methods that read a field of `tune`."""
    return [method.name for method in table().values() if name in method.fields]


def method_fields() -> list[str]:
    """All fields of `tune` that only some methods read."""
    return list(dict.fromkeys(name for method in table().values() for name in method.fields))


def _has(need: str) -> bool:
    if need == "cuda":
        import torch

        return torch.cuda.is_available()
    return importlib.util.find_spec(need) is not None
