"""A config worked out: the network, what it sees, and what is to be measured."""
