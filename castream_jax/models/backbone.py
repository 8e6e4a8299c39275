"""What a classifier needs of its backbone: any module that has this may carry a stream."""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float


@runtime_checkable
class Backbone(Protocol):
    """A network without its pooling and classifier."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The feature maps that the stream reads, in order; global average pooling takes the last one."""

    @property
    def tap_widths(self) -> tuple[int, ...]:
        """Their channels."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The feature maps that attributions may start from; the first one by default."""

    @property
    def smallest_image(self) -> int:
        """The fewest pixels a side that leave every stage a position."""

    def features(self, images: Float[Array, "B H W C"], train: bool = False) -> dict[str, Array]:
        """Return every feature map by name, [B h w C] each; `train` uses and moves batch statistics."""

    def replace(self, features: dict[str, Array], target: str, feature_map: Array) -> dict[str, Array]:
        """Return `features` with `target` set to `feature_map`, and all that follows from it."""
