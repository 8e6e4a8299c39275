"""CA-Stream in JAX: attention-based pooling for interpretable image recognition, and measures of explanations."""

from castream_jax.api import attribute, evaluate_maps, explain
from castream_jax.errors import InputError
from castream_jax.metrics.protocol import PROTOCOLS, Protocol
from castream_jax.models.classifier import Classifier, Features, create_model
from castream_jax.models.inputs import Normalisation, Preprocessing
from castream_jax.models.stream import cross_attention_pool
from castream_jax.version import VERSION
from castream_jax.weights.convert import export_weights, load_torch_weights
from castream_jax.weights.files import load_weights

__version__ = VERSION
__all__ = [
    "PROTOCOLS",
    "Classifier",
    "Features",
    "InputError",
    "Normalisation",
    "Preprocessing",
    "Protocol",
    "attribute",
    "create_model",
    "cross_attention_pool",
    "evaluate_maps",
    "explain",
    "export_weights",
    "load_torch_weights",
    "load_weights",
]
