"""The command `castream`: one file for each of its commands, and how all of them start and end."""
