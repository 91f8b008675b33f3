"""Sets of linear layers by what they do in a block: attention, mlp and gate-up. They are found by their place in the module tree.

A block is an item of the model's list of layers. Attention is what stands inside a module whose class or attribute is named so. The
MLP's layers are recognised by their widths: some read the block's hidden states, and one leads back to them (the down projection).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tutelage.core.errors import InputError

SETS = ("attention", "mlp", "gate-up")
_ATTENTION_CLASS = re.compile(r"(attention|attn)\d*$", re.IGNORECASE)
_ATTENTION_ATTRIBUTE = re.compile(r"(^|_)(attn|attention)$|[a-z]Attention$")


def layers_of(model: Any, layers: Mapping[str, Any], name: str) -> list[str]:
    """The full names of a set's layers.

    Args:
        model: a transformers model without an adapter.
        layers: its linear layers by name.
        name: one of `SETS`, or `down` for what `mlp` has and `gate-up` has not.

    Raises:
        InputError: the model has no such layers, or their widths do not tell which they are.
    """
    found = list(_attention(model, layers) if name == "attention" else _mlp(model, layers, name))
    if not found:
        raise InputError(
            f"the model has no linear layers of {name}",
            where="tune.targets",
            found=f"{name}, and a {model.config.model_type} model with {_known(layers)}",
            expected="attention of linear layers"
            if name == "attention"
            else "an MLP of linear layers, which experts in one tensor are not",
            fix="take all-linear, or name layers of this model",
        )
    return found


def shortest_names(model: Any, names: Sequence[str]) -> list[str]:
    """Names of layers as short as match no other module: `q_proj` rather than `model.layers.0.self_attn.q_proj`."""
    all_ends = Counter(end for module, _ in model.named_modules() for end in _ends(module))
    wanted_ends = Counter(end for name in names for end in _ends(name))
    chosen = (next(end for end in _ends(name) if wanted_ends[end] == all_ends[end]) for name in names)
    return list(dict.fromkeys(chosen))


def _attention(model: Any, layers: Mapping[str, Any]) -> Iterator[str]:
    """All linear layers inside attention: queries, keys, values and outputs, of cross-attention too."""
    for block, names in _blocks(model, layers).items():
        yield from (name for name in names if _inside_attention(model, block, name))


def _mlp(model: Any, layers: Mapping[str, Any], name: str) -> Iterator[str]:
    """The layers of each block's feed-forward part or parts: those that read its hidden states, those that lead back, or both."""
    for block, names in _blocks(model, layers).items():
        rest = [
            layer
            for layer in names
            if not _inside_attention(model, block, layer) and not _inside_mixer(model, block, layer)
        ]
        hidden = _hidden_size(model, block)
        for group in _feed_forwards(rest, layers, hidden):
            readers, down = _roles(group, layers, hidden)
            wanted = {"gate-up": readers, "down": down, "mlp": readers | down}[name]
            yield from (layer for layer in group if layer in wanted)


def _blocks(model: Any, layers: Mapping[str, Any]) -> dict[str, list[str]]:
    """The linear layers of each block: of each item of a list of modules that stands in no other such list."""
    from torch.nn import ModuleList

    blocks: dict[str, list[str]] = {}
    for name in layers:
        parts = name.split(".")
        ancestors = [".".join(parts[:depth]) for depth in range(1, len(parts))]
        lists = [path for path in ancestors if isinstance(model.get_submodule(path), ModuleList)]
        if lists:
            depth = len(lists[0].split(".")) + 1
            blocks.setdefault(".".join(parts[:depth]), []).append(name)
    return blocks


def _between(block: str, name: str) -> Iterator[str]:
    """The modules inside a block that hold a layer, the outermost first."""
    parts, first = name.split("."), len(block.split(".")) + 1
    yield from (".".join(parts[:depth]) for depth in range(first, len(parts)))


def _inside_attention(model: Any, block: str, name: str) -> bool:
    return any(
        _ATTENTION_CLASS.search(type(model.get_submodule(path)).__name__)
        or _ATTENTION_ATTRIBUTE.search(path.rpartition(".")[2])
        for path in _between(block, name)
    )


def _inside_mixer(model: Any, block: str, name: str) -> bool:
    """Whether a layer belongs to a part that mixes positions by a convolution, as state-space and recurrent layers do."""
    from torch.nn import Conv1d

    return any(
        isinstance(child, Conv1d)
        for path in _between(block, name)
        for child in model.get_submodule(path).children()
    )


def _hidden_size(model: Any, block: str) -> int:
    """The width of a block's hidden states, by the config of the nearest module around it that has one."""
    parts = block.split(".")
    around = (model.get_submodule(".".join(parts[:depth])) for depth in range(len(parts) - 1, -1, -1))
    sizes = (getattr(getattr(module, "config", None), "hidden_size", None) for module in around)
    size = next((size for size in sizes if isinstance(size, int)), None)
    return int(model.config.get_text_config().hidden_size if size is None else size)


def _feed_forwards(names: Sequence[str], layers: Mapping[str, Any], hidden: int) -> Iterator[list[str]]:
    """A block's layers outside attention by feed-forward part: an MLP, each expert, or layers that hang in the block itself.

    Layers that choose experts, which are narrow and lead to no layer, are left out.
    """
    by_parent: dict[str, list[str]] = {}
    for name in names:
        by_parent.setdefault(name.rpartition(".")[0], []).append(name)
    whole = {parent: group for parent, group in by_parent.items() if _is_whole(group, layers, hidden)}
    rest = [name for parent, group in by_parent.items() if parent not in whole for name in group]
    if whole:
        rest = [name for name in rest if not _chooses_experts(layers[name], hidden)]
    yield from whole.values()
    if rest:
        yield rest


def _is_whole(group: Iterable[str], layers: Mapping[str, Any], hidden: int) -> bool:
    """Whether layers of one parent are a feed-forward part: one leads back to the hidden states from what the others make."""
    sizes = [_sizes(layers[name]) for name in group]
    return any(
        back == hidden and any(source == hidden and made in (width, 2 * width) for source, made in sizes)
        for width, back in sizes
    )


def _chooses_experts(layer: Any, hidden: int) -> bool:
    inputs, outputs = _sizes(layer)
    return inputs == hidden and outputs < hidden


def _roles(group: Sequence[str], layers: Mapping[str, Any], hidden: int) -> tuple[set[str], set[str]]:
    """The layers that read the hidden states, and those that lead back to them.

    Raises:
        InputError: the widths do not tell.
    """
    sizes = {name: _sizes(layers[name]) for name in group}
    readers = {name for name, (inputs, _) in sizes.items() if inputs == hidden}
    down = {name for name, (inputs, outputs) in sizes.items() if inputs != hidden and outputs == hidden}
    if len(readers) + len(down) == len(group) and readers and down:
        return readers, down
    shapes = ", ".join(f"{name} {inputs} to {outputs}" for name, (inputs, outputs) in sizes.items())
    raise InputError(
        "the widths of a block's layers do not tell which are its MLP",
        where="tune.targets",
        found=f"hidden states of {hidden}, and {shapes}",
        expected="layers that read the hidden states, and one that leads back to them from another width",
        fix=f"take all-linear, or name layers of this model: {_known(group)}",
    )


def _sizes(layer: Any) -> tuple[int, int]:
    """A layer's inputs and outputs; the weight of a transposed one, as GPT-2 has them, is inputs by outputs."""
    if hasattr(layer, "in_features"):
        return layer.in_features, layer.out_features
    return layer.weight.shape[0], layer.weight.shape[1]


def _known(layers: Iterable[str]) -> str:
    return ", ".join(sorted({name.rpartition(".")[2] for name in layers}))


def _ends(name: str) -> Iterator[str]:
    """A name's ends at its dots, the shortest first; none but the whole name begins with a number."""
    parts = name.split(".")
    yield from (
        ".".join(parts[start:]) for start in range(len(parts) - 1, 0, -1) if not parts[start].isdigit()
    )
    yield name
