"""The channels of a feature map as masks of the image, and the weights that are found by them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from castream_jax.attribution.method import Scene
from castream_jax.compute.masking import mask_images, min_max, upsample
from castream_jax.compute.questions import Question


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ChannelWeights:
    """The weights of C channels of B images for Q scores, how exact they are, and what they cost."""

    values: Float[Array, "B C *Q"]
    """0 where not known. Of one score, without the axis Q, where a map is made of them."""
    bound: Float[Array, "B *Q"]
    """What the channels left out can change at most in the map before min-max, relative to that map's maximum;
    0 where no weight is missing. `certify` says what it means after min-max."""
    left_out: Float[Array, "B *Q"]
    """The share of the channels that the map is without."""


@dataclass(frozen=True)
class Masks:
    """The channels of some images as masks, by pair: channel k of image b is pair `b C + k`."""

    scene: Scene
    channels: Float[Array, "BC h w"]
    live: Bool[Array, "BC"]
    """Which are not flat."""

    @classmethod
    def of(cls, scene: Scene) -> "Masks":
        """Return the channels of the target feature map."""
        b, h, w, c = scene.feature_map.shape
        channels = scene.feature_map.astype(jnp.float32).transpose(0, 3, 1, 2).reshape(b * c, h, w)
        return cls(scene, channels, channels.max((1, 2)) > channels.min((1, 2)))

    def image(self, pair: Int[Array, "n"]) -> Int[Array, "n"]:
        """Return the image that a channel is of."""
        return pair // self.scene.feature_map.shape[-1]

    def make(self, pair: Int[Array, "n"]) -> Float[Array, "n H W c"]:
        """Return images multiplied by their channels, in pixel space."""
        images, normalisation = self.scene.images, self.scene.normalisation
        size = (images.shape[1], images.shape[2])
        masks = min_max(upsample(self.channels[pair], size, align_corners=True))  # [n H W]
        return mask_images(images[self.image(pair)], masks, normalisation.mean, normalisation.std)

    def black(self) -> Question:
        """Return the question of a black image, which flat channels leave of any image."""
        normalisation, image = self.scene.normalisation, self.scene.images[:1]
        blank = mask_images(image, jnp.zeros(image.shape[:3]), normalisation.mean, normalisation.std)
        return Question(("blank", "black"), lambda i: blank[i], 1, "batch")
