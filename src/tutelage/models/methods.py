"""The tuning methods of `methods.yaml`: their fields, what they need, and what they cannot be combined with.

Imports no torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from tutelage.core import yamltext
from tutelage.core.errors import InputError, MachineError
from tutelage.core.suggestions import unknown_name

_IMPOSSIBLE = {
    "merge": "{} cannot be merged into the weights",
    "combine": "{} cannot be added to another adapter",
    "activation_checkpointing": "{} cannot be combined with activation_checkpointing",
    "packing": "{} cannot be combined with packing",
    "l2_to_base": "{} cannot be combined with l2_to_base",
}
_MISSING = {
    "bitsandbytes": "the package bitsandbytes is not installed",
    "cuda": "torch sees no CUDA device",
}


@dataclass(frozen=True, slots=True)
class Method:
    """A tuning method.

    Attributes:
        name: as in the recipe.
        title, source: what it is, and its paper.
        kind: `adapter` in the layers, `prompt` before every row, or `full`: the model's own weights.
        rate: the default learning rate.
        fields: the fields of the recipe's `tune` that it reads beside those of all methods, with their defaults.
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

    def options(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the method's settings with its defaults; None is not set, and options without a value are left out."""
        options = {
            name: default if settings.get(name) is None else settings[name]
            for name, default in self.fields.items()
        }
        if "alpha" in options and options["alpha"] is None:
            options["alpha"] = 2.0 * options["rank"]
        return {name: value for name, value in options.items() if value is not None}

    def refuse(self, combination: str, *, where: str, fix: str) -> None:
        """Raise an InputError with the reason if the method cannot be combined with a feature, a key of `cannot`."""
        if combination in self.cannot:
            raise InputError(
                _IMPOSSIBLE[combination].format(self.name),
                where=where,
                found=self.cannot[combination],
                fix=fix,
            )

    def check_machine(self) -> None:
        """Refuse a method that this machine cannot run, before anything is loaded.

        Raises:
            MachineError: what is missing.
        """
        missing = [_MISSING[need] for need in self.needs if not _has(need)]
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
    """Read all methods by name, in the file's order."""
    rows: dict[str, dict[str, Any]] = yamltext.table("tutelage.models", "methods.yaml")
    return {
        name: Method(name=name, **{**row, "needs": tuple(row.get("needs", ()))}) for name, row in rows.items()
    }


def find(name: str) -> Method:
    """Find a method by its name.

    Raises:
        InputError: there is none.
    """
    methods = table()
    if name not in methods:
        raise unknown_name("there is no such method", name, methods, where="tune.method")
    return methods[name]


def of_adapter(config: Mapping[str, Any], *, four_bit: bool = False) -> Method:
    """Find the method of an adapter by its adapter_config.json.

    Raises:
        InputError: a kind of adapter that is not in the table.
    """
    setting = config.get("peft_type")
    peft_type = str(getattr(setting, "value", setting))
    if peft_type != "LORA":
        return find(peft_type.lower().replace("_", "-"))
    if four_bit:
        return find("qlora")
    return find("dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora")


def methods_reading(name: str) -> list[str]:
    """List the methods that read a field of `tune`."""
    return [method.name for method in table().values() if name in method.fields]


def method_fields() -> list[str]:
    """List all fields of `tune` that only some methods read."""
    return list(dict.fromkeys(name for method in table().values() for name in method.fields))


def _has(need: str) -> bool:
    if need == "cuda":
        import torch

        return torch.cuda.is_available()
    return importlib.util.find_spec(need) is not None
