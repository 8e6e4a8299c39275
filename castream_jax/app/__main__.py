"""`python -m castream_jax.app` is the command `castream app`."""

import sys

from castream_jax.cli.app import main

if __name__ == "__main__":
    main(["castream app", *sys.argv[1:]])
