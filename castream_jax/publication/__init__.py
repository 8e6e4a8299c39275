"""A trained network as others can load it: a folder with its weights, its config, its report and a card; the hub."""
