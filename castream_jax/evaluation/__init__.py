"""From a checkpoint to the table: maps, their measures, one row for each image, and the report."""
