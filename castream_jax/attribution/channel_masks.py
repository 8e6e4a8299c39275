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
class Making:
    """How channels become masks, and what is asked of the images behind them."""

    aligns_corners: bool = True
    """Masks are interpolated by aligned corners, then scaled to [0, 1]; else scaled, and interpolated by centres."""
    masks_pixels: bool = True
    """What masks multiply are pixels, of which 0 leaves black; else normalised images, of which it leaves the mean."""
    weighs_logits: bool = False
    """Logits weigh channels, not scores."""


AUTHORS = Making()


@dataclass(frozen=True)
class Masks:
    """The channels of some images as masks, by pair: channel k of image b is pair `b C + k`."""

    scene: Scene
    channels: Float[Array, "BC h w"]
    live: Bool[Array, "BC"]
    """Which are not flat."""
    making: Making

    @classmethod
    def of(cls, scene: Scene, making: Making = AUTHORS) -> "Masks":
        """Return the channels of the target feature map."""
        b, h, w, c = scene.feature_map.shape
        channels = scene.feature_map.astype(jnp.float32).transpose(0, 3, 1, 2).reshape(b * c, h, w)
        return cls(scene, channels, channels.max((1, 2)) > channels.min((1, 2)), making)

    def image(self, pair: Int[Array, "n"]) -> Int[Array, "n"]:
        """Return the image that a channel is of."""
        return pair // self.scene.feature_map.shape[-1]

    def make(self, pair: Int[Array, "n"]) -> Float[Array, "n H W c"]:
        """Return images multiplied by their channels."""
        size, channels = self.scene.size, self.channels[pair]
        if self.making.aligns_corners:
            masks = min_max(upsample(channels, size, align_corners=True))  # [n H W]
        else:
            masks = upsample(min_max(channels), size)
        return self.mask(self.scene.images[self.image(pair)], masks)

    def mask(self, images: Float[Array, "n H W c"], masks: Float[Array, "n H W"]) -> Float[Array, "n H W c"]:
        """Return images multiplied by masks: their pixels, or what these are normalised to."""
        mean, std = self.scene.normalisation.mean, self.scene.normalisation.std
        return mask_images(images, masks, mean if self.making.masks_pixels else (0.0,) * len(mean), std)

    def black(self) -> Question:
        """Return the question of the image that flat channels leave of any image: black, or of the mean colour."""
        image = self.scene.images[:1]
        blank = self.mask(image, jnp.zeros(image.shape[:3]))
        key = ("blank", "black" if self.making.masks_pixels else "mean", *("logits",) * self.making.weighs_logits)
        return Question(key, lambda i: blank[i], 1, "batch", logits=self.making.weighs_logits)
