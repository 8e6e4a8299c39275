"""Saliency maps of any network: a record and a pure function in a file for each method (METHOD 2)."""

from castream_jax.attribution.attention import ATTENTION
from castream_jax.attribution.attention_scores import ATTENTION_SCORES
from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.attribution.grad_cam_pp import GRAD_CAM_PP
from castream_jax.attribution.method import Method
from castream_jax.attribution.score_cam import SCORE_CAM

METHODS: dict[str, Method] = {
    method.key: method for method in (GRAD_CAM, GRAD_CAM_PP, SCORE_CAM, ATTENTION, ATTENTION_SCORES)
}
"""By key, in the order of lists. A user's own joins them when a config or a report names it."""
