"""What a saliency map is worth to its network: pure functions of scores and of callables (METHOD 3)."""
