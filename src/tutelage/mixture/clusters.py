"""Clusters of data sets for the same kind of task (`clusters.yaml`), so that a held-out task is really unseen."""

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
    """Data sets for the same kind of task.

    Attributes:
        name: the cluster's name.
        datasets: its data sets.
        aliases: further names, each with the data set that it means.
        excludes: other clusters that are too similar to be trained on if this one is held out.
    """

    name: str
    datasets: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    excludes: tuple[str, ...] = ()


@cache
def load_clusters() -> Mapping[str, Cluster]:
    """All clusters by name."""
    raw: dict[str, dict[str, Any]] = yamltext.table("tutelage.mixture", "clusters.yaml")
    return {
        name: Cluster(name, tuple(entry["sets"]), entry.get("under", {}), tuple(entry.get("excludes", ())))
        for name, entry in raw.items()
    }


def dataset_of(name: str) -> str | None:
    """The data set whose name a name such as `glue_mrpc_equivalent` begins with, the longest match; None if there is none."""
    dataset_by_name = _dataset_by_name()
    prefixes = [
        known_name
        for known_name in dataset_by_name
        if name == known_name or name.startswith(f"{known_name}_")
    ]
    return dataset_by_name[max(prefixes, key=len)] if prefixes else None


def cluster_of(source: str) -> str | None:
    """The cluster of a data set, or of a name that begins with a data set's; None if it is in no cluster."""
    dataset = dataset_of(source)
    return None if dataset is None else _cluster_by_dataset()[dataset]


def held_out(
    clusters: Collection[str], task_clusters: Collection[str], *, where: str = "hold_out"
) -> frozenset[str]:
    """The clusters that must not be trained on if some are held out: these, and the clusters that they exclude.

    Args:
        clusters: the clusters to hold out.
        task_clusters: the clusters that the recipe's tasks belong to.
        where: the place in the recipe, for errors.

    Raises:
        InputError: no task belongs to one of them, so that nothing would be held out.
    """
    for index, name in enumerate(clusters):
        if name not in task_clusters:
            raise InputError(
                "no task belongs to the cluster that is held out",
                where=f"{where}.{index}",
                found=name,
                expected=", ".join(sorted(task_clusters)) or "a cluster of one of the tasks; none has one",
                fix=did_you_mean(name, list(task_clusters)) or "say cluster: in the tasks that belong to it",
            )
    also_excluded = {
        other for name in clusters if name in load_clusters() for other in load_clusters()[name].excludes
    }
    return frozenset({*clusters, *also_excluded})


@cache
def _dataset_by_name() -> Mapping[str, str]:
    """Every known name, aliases included, with its data set."""
    return {
        name: meant
        for cluster in load_clusters().values()
        for name, meant in (
            {dataset: dataset for dataset in cluster.datasets} | dict(cluster.aliases)
        ).items()
    }


@cache
def _cluster_by_dataset() -> Mapping[str, str]:
    return {dataset: cluster.name for cluster in load_clusters().values() for dataset in cluster.datasets}
