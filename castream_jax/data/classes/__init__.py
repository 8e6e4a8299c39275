"""Classes by name: lists of them, their order, and ImageNet's in words."""
