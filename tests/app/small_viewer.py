"""A viewer of a small network with a stream, on random weights."""

from castream_jax.app.viewer import Viewer
from castream_jax.config import Experiment
from castream_jax.models.inputs import Preprocessing
from tests.networks import mild_resnet

CLASS_NAMES = ("cat", "<b>dog</b> & $co$", "crane", "crane, machine", "7")


def create_viewer(pooling: str = "ca") -> Viewer:
    """Return it; pictures are squashed to 64 pixels a side."""
    model = mild_resnet(pooling)
    model.preprocessing = Preprocessing(64)
    return Viewer(model, CLASS_NAMES, Experiment(name="small"))
