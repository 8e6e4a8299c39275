"""Networks: backbones that yield named feature maps, and heads that pool and classify them."""
