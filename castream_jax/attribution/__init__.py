"""Saliency maps of any network: a record and a pure function in a file for each method (METHOD 2)."""

from castream_jax.attribution.ablation_cam import ABLATION_CAM
from castream_jax.attribution.attention import ATTENTION
from castream_jax.attribution.attention_gradient import ATTENTION_GRADIENT
from castream_jax.attribution.attention_scores import ATTENTION_SCORES
from castream_jax.attribution.attention_value import ATTENTION_VALUE
from castream_jax.attribution.eigen_cam import EIGEN_CAM
from castream_jax.attribution.finer_cam import FINER_CAM
from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.attribution.grad_cam_pp import GRAD_CAM_PP
from castream_jax.attribution.gradient_input import GRADIENT_INPUT
from castream_jax.attribution.group_cam import GROUP_CAM
from castream_jax.attribution.hires_cam import HIRES_CAM
from castream_jax.attribution.integrated_gradients import INTEGRATED_GRADIENTS
from castream_jax.attribution.layer_cam import LAYER_CAM
from castream_jax.attribution.method import Method
from castream_jax.attribution.opti_cam import OPTI_CAM
from castream_jax.attribution.recipro_cam import RECIPRO_CAM
from castream_jax.attribution.refine_cam import REFINE_CAM
from castream_jax.attribution.rise import RISE
from castream_jax.attribution.score_cam import SCORE_CAM
from castream_jax.attribution.shapley_cam import SHAPLEY_CAM
from castream_jax.attribution.smooth_grad import SMOOTH_GRAD
from castream_jax.attribution.xgrad_cam import XGRAD_CAM

HEAD_ALONE = (GRAD_CAM, GRAD_CAM_PP, HIRES_CAM, LAYER_CAM, XGRAD_CAM, SHAPLEY_CAM, FINER_CAM, ABLATION_CAM, RECIPRO_CAM)
ASKING = (SCORE_CAM, GROUP_CAM, RISE)
OF_THE_STREAM = (ATTENTION, ATTENTION_SCORES, ATTENTION_GRADIENT, ATTENTION_VALUE)
THROUGH_TRUNK = (REFINE_CAM, GRADIENT_INPUT, INTEGRATED_GRADIENTS, SMOOTH_GRAD, OPTI_CAM)

METHODS: dict[str, Method] = {
    method.key: method for method in (*HEAD_ALONE, EIGEN_CAM, *ASKING, *OF_THE_STREAM, *THROUGH_TRUNK)
}
"""By key, in the order of lists. A user's own joins them when a config or a report names it."""
