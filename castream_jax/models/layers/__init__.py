"""What networks are built of: layers, and how their fresh weights are drawn."""
