"""Clusters of data sets (`clusters.yaml`): which sets teach the same, so that a task held out is really unseen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class Cluster:
    """Data sets that teach the same kind of task; `under` are further names of them, `excludes` the clusters too near."""

    name: str
    sets: tuple[str, ...]
    under: Mapping[str, str] = field(default_factory=dict)
    excludes: tuple[str, ...] = ()


@cache
def table() -> Mapping[str, Cluster]:
    """All clusters by name."""
    read: dict[str, dict[str, Any]] = yamltext.table("tutelage.mixture", "clusters.yaml")
    return {
        name: Cluster(name, tuple(told["sets"]), told.get("under", {}), tuple(told.get("excludes", ())))
        for name, told in read.items()
    }


def data_set_of(name: str) -> str | None:
    """The data set that a name such as `glue_mrpc_equivalent` begins with, the longest one that does; None when none."""
    names = _names()
    found = [one for one in names if name == one or name.startswith(f"{one}_")]
    return names[max(found, key=len)] if found else None


def cluster_of(source: str) -> str | None:
    """The cluster of a data set, or of a name that begins with one's; None when it is in no cluster."""
    data_set = data_set_of(source)
    return None if data_set is None else _cluster_of()[data_set]


def held_out(asked: Collection[str], known: Collection[str], *, where: str = "hold_out") -> frozenset[str]:
    """The clusters that must not be trained on when some are held out: these and those they exclude.

    Args:
        asked: the clusters to hold out.
        known: the clusters that the recipe's tasks belong to.
        where: the place in the recipe, for errors.

    Raises:
        InputError: no task belongs to one of them, so that nothing would be held out.
    """
    for place, name in enumerate(asked):
        if name not in known:
            raise InputError(
                "no task belongs to the cluster that is held out",
                where=f"{where}.{place}",
                found=name,
                expected=", ".join(sorted(known)) or "a cluster of one of the tasks; none has one",
                fix=did_you_mean(name, list(known)) or "say cluster: in the tasks that belong to it",
            )
    beside = {other for name in asked if name in table() for other in table()[name].excludes}
    return frozenset({*asked, *beside})


@cache
def _names() -> Mapping[str, str]:
    """Every known name with the data set that it means."""
    return {
        name: data_set
        for cluster in table().values()
        for name, data_set in ({one: one for one in cluster.sets} | dict(cluster.under)).items()
    }


@cache
def _cluster_of() -> Mapping[str, str]:
    return {one: cluster.name for cluster in table().values() for one in cluster.sets}
