"""Models: found by name, checked and loaded; adapters; export."""

from tutelage.models.adapters import (
    adapter_off,
    adapter_refusal,
    add_adapter,
    merge,
    require_layers,
    require_whole,
)
from tutelage.models.base_record import base_facts
from tutelage.models.export import export, loading_lines
from tutelage.models.fingerprints import fingerprint, template_fingerprint
from tutelage.models.load import (
    LoadedModel,
    LoadedTokenizer,
    count_parameters,
    load,
    load_tokenizer,
    loaded_fingerprint,
)
from tutelage.models.peft_configs import target_names
from tutelage.models.resolution import base_of, resolve
from tutelage.models.source import ModelSource

__all__ = [
    "LoadedModel",
    "LoadedTokenizer",
    "ModelSource",
    "adapter_off",
    "adapter_refusal",
    "add_adapter",
    "base_facts",
    "base_of",
    "count_parameters",
    "export",
    "fingerprint",
    "load",
    "load_tokenizer",
    "loaded_fingerprint",
    "loading_lines",
    "merge",
    "require_layers",
    "require_whole",
    "resolve",
    "target_names",
    "template_fingerprint",
]
