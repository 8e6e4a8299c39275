"""Gets a dataset ready, once: the command `python -m castream_jax.data.prepare`."""
