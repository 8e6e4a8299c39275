"""`python -m castream_jax` is the command `castream`."""

from castream_jax.cli.main import main

if __name__ == "__main__":
    main()
