"""CA-Stream in JAX: attention-based pooling for interpretable image recognition, and measures of explanations.

The public names are imported when they are first asked for: `import castream_jax` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

from castream_jax.version import VERSION

if TYPE_CHECKING:  # the same names for type checkers and editors
    from castream_jax.api import attribute, evaluate_maps
    from castream_jax.attribution import METHODS
    from castream_jax.errors import InputError
    from castream_jax.explanation.explain import explain
    from castream_jax.hook import Event
    from castream_jax.metrics import METRICS
    from castream_jax.metrics.protocol import PROTOCOLS, Protocol
    from castream_jax.models.classifier import Classifier, Features, create_model
    from castream_jax.models.functional import network
    from castream_jax.models.image_sizes import choose_size
    from castream_jax.models.inputs import Normalisation, Preprocessing
    from castream_jax.poolings import POOLINGS
    from castream_jax.poolings.stream import cross_attention_pool
    from castream_jax.storage.compiled_programs import use_cache
    from castream_jax.weights.convert import export_weights, load_torch_weights
    from castream_jax.weights.files import load_weights

__version__ = VERSION
__all__ = [
    "METHODS",
    "METRICS",
    "POOLINGS",
    "PROTOCOLS",
    "Classifier",
    "Event",
    "Features",
    "InputError",
    "Normalisation",
    "Preprocessing",
    "Protocol",
    "attribute",
    "choose_size",
    "create_model",
    "cross_attention_pool",
    "evaluate_maps",
    "explain",
    "export_weights",
    "load_torch_weights",
    "load_weights",
    "network",
    "use_cache",
]

HOMES = {
    "api": ("attribute", "evaluate_maps"),
    "attribution": ("METHODS",),
    "errors": ("InputError",),
    "explanation.explain": ("explain",),
    "hook": ("Event",),
    "metrics": ("METRICS",),
    "metrics.protocol": ("PROTOCOLS", "Protocol"),
    "models.classifier": ("Classifier", "Features", "create_model"),
    "models.functional": ("network",),
    "models.image_sizes": ("choose_size",),
    "models.inputs": ("Normalisation", "Preprocessing"),
    "poolings": ("POOLINGS",),
    "poolings.stream": ("cross_attention_pool",),
    "storage.compiled_programs": ("use_cache",),
    "weights.convert": ("export_weights", "load_torch_weights"),
    "weights.files": ("load_weights",),
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    for home, names in HOMES.items():
        if name in names:
            found = getattr(importlib.import_module(f"castream_jax.{home}"), name)
            globals()[name] = found  # the next time it is there
            return found
    raise AttributeError(f"module 'castream_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
