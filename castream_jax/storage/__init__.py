"""What lies on disk: checkpoints, compiled programs, and how files are read, replaced and locked."""
