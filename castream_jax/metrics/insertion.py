"""Insertion (Petsiuk et al., 2018): from a blurred image to the image."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.curves import End, change_pixels
from castream_jax.metrics.metric import Case, Metric


def blur(images: Float[Array, "B H W C"], kernel: Float[Array, "k k"]) -> Float[Array, "B H W C"]:
    """Convolve each channel with a kernel, zero padded, in normalised space."""
    pad, channels = kernel.shape[0] // 2, images.shape[-1]
    return lax.conv_general_dilated(
        images,
        jnp.tile(kernel[:, :, None, None], (1, 1, 1, channels)),
        (1, 1),
        [(pad, pad)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
        precision=lax.Precision.HIGHEST,
    )


def measure(case: Case) -> Conversation:
    """Measure it, and keep its curve."""
    protocol = case.protocol
    blurred = blur(case.images, jnp.asarray(protocol.blur_kernel()))
    before = End(blurred, ("blurred", protocol.blur_size, protocol.blur_sigma))
    return (yield from change_pixels(case, "insertion", before, End(case.images)))


INSERTION = Metric(
    symbol="I",
    column="insertion",
    name="Insertion",
    lower_is_better=False,
    meaning=(
        "The area under the class probability while a blurred image becomes sharp, the most salient pixels first. "
        "A good map brings the class back early."
    ),
    source="Petsiuk et al., 2018",
    curve="fraction of pixels inserted",
    choices=("step_rows", "blur_size", "blur_sigma", "ties", "area_over"),
    measure=measure,
)
