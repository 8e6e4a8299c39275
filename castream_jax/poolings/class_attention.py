"""PatchConvNet's aggregation: a class token attends once to itself and to the last feature map, and a small MLP.

t <- t + g_1 * attention(LN([t, X]))    the token's query, keys and values of all
t <- t + g_2 * MLP(LN(t))
u  = LN(t)
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import InputError
from castream_jax.models.layers import modules
from castream_jax.models.layers.fresh import truncated_normal
from castream_jax.poolings.pooling import Pooled, Pooling, Site, check_divides
from castream_jax.poolings.projected_attention import attend, pool_by, read_linear


class ClassAttention(nnx.Module):
    """The token, four projections, an MLP, three layer normalisations and the gains of the two branches."""

    def __init__(self, site: Site, heads: int, mlp_ratio: float, gain: float):
        """Draw fresh parameters; `InputError` for numbers that make no sense."""
        width, rngs, float32 = site.widths[-1], site.rngs, jnp.dtype(jnp.float32)
        check_divides("heads of class_attention", heads, width)
        hidden = round(mlp_ratio * width) if math.isfinite(mlp_ratio) else 0
        if hidden < 1:
            raise InputError(f"class_attention's mlp_ratio is {mlp_ratio:g}: expected a number above 0.")
        self.heads = heads
        self.token = nnx.Param(truncated_normal(rngs.params(), (width,)))
        self.norms = nnx.List([modules.layer_norm(width, float32, rngs) for _ in range(2)])
        self.query, self.key, self.value, self.out = (
            modules.linear(width, width, float32, rngs, truncated_normal) for _ in range(4)
        )
        self.expand = modules.linear(width, hidden, float32, rngs, truncated_normal)
        self.project = modules.linear(hidden, width, float32, rngs, truncated_normal)
        self.gains = nnx.Param(jnp.full((2, width), gain))
        self.last_norm = modules.layer_norm(width, float32, rngs)

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return the pooled feature, and the attention to positions: the token's own share is what is missing to 1."""
        feature_map = feature_maps[-1]
        b, h, w, _ = feature_map.shape
        attention = self.attend(feature_map)[..., 1:].reshape(b, self.heads, h, w)
        return self.repool(attention, feature_map), (attention,)

    def tokens(self, feature_map: Float[Array, "B h w C"]) -> Float[Array, "B M C"]:
        """Return the normalised token and positions."""
        b, _, _, c = feature_map.shape
        positions = feature_map.astype(jnp.float32).reshape(b, -1, c)
        normalised: Array = self.norms[0](
            jnp.concatenate([jnp.broadcast_to(self.token[...], (b, 1, c)), positions], axis=1)
        )
        return normalised

    def attend(self, feature_map: Float[Array, "B h w C"]) -> Float[Array, "B heads M"]:
        """Return the token's attention to itself and to each position."""
        tokens = self.tokens(feature_map)
        scale = math.sqrt(tokens.shape[-1] // self.heads)
        return attend(self.query(tokens[:, 0]), tokens[:, :, None], self.heads, scale, self.key.kernel[...])[..., 0]

    def values(self, feature_map: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """Return the values of the positions."""
        found: Array = self.value(self.tokens(feature_map)[:, 1:]).reshape(feature_map.shape)
        return found

    def repool(
        self, attention: Float[Array, "B heads h w"], feature_map: Float[Array, "B h w C"]
    ) -> Float[Array, "B C"]:
        """Return what that attention to positions would pool; the token attends to itself as it does."""
        b, heads, h, w = attention.shape
        own = self.attend(feature_map)[..., :1]  # [B heads 1]
        whole = jnp.concatenate([own, attention.reshape(b, heads, h * w)], axis=-1)
        tokens = self.tokens(feature_map)[:, :, None]
        attended = pool_by(whole[..., None], tokens, *read_linear(self.value))
        gains = self.gains[...][:, None]  # [2 1 C]
        token = self.token[...][None] + gains[0] * self.out(attended)
        token = token + gains[1] * self.project(modules.gelu(self.expand(self.norms[1](token))))
        pooled: Array = self.last_norm(token)
        return pooled


CLASS_ATTENTION = Pooling(
    key="class_attention",
    name="Class attention",
    meaning="A class token that attends once to the last feature map, with projections, an MLP and residuals.",
    source="Touvron et al., 2021 (PatchConvNet)",
    trains="the token, projections, an MLP and layer normalisations",
    create=ClassAttention,
    has_attention=True,
    options={"heads": 1, "mlp_ratio": 3.0, "gain": 1e-4},
)
