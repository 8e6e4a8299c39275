"""Convolutions as each platform computes them fast; the architectures do not know which."""
