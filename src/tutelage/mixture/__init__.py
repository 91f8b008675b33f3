"""Decides which training row comes next when several tasks are mixed: a pure function of seed and position."""

from tutelage.mixture.epoch_order import EpochOrder, TaskRow
from tutelage.mixture.mixture_order import Draw, Draws, MixtureOrder
from tutelage.mixture.mixture_stream import MixtureSource, MixtureStream
from tutelage.mixture.presets import Preset, preset
from tutelage.mixture.rates import Mix, TaskShare, TaskSize, task_shares

__all__ = [
    "Draw", "Draws", "EpochOrder", "Mix", "MixtureOrder", "MixtureSource", "MixtureStream", "Preset", "TaskRow", "TaskShare",
    "TaskSize", "preset", "task_shares",
]  # fmt: skip
