"""`python -m castream_jax.data.prepare` is the command `castream prepare`."""

from castream_jax.cli.prepare import main

if __name__ == "__main__":
    main()
