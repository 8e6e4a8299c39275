"""Gets a dataset ready, once: the command `castream prepare`."""
