"""Saliency maps of any JAX network: pure functions of callables and feature maps (METHOD 2).

A `head` maps a feature map [B h w C] to logits [B K]; a `score_fn` maps images [n H W 3] to probabilities [n K].
"""
