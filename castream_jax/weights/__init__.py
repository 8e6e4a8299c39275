"""Weights of other libraries: torch's names and layouts to ours, strictly both ways."""
