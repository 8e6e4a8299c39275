"""Datasets of our own, as TFDS builders."""
