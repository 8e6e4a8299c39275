"""Several poolings and experiments on one trunk, beside each other: one table and one picture."""
