"""Explains your pictures: python explain.py PICTURES… --config configs/demo.py [--workdir DIR] [--output DIR]."""

from castream_jax.cli.explain import main

if __name__ == "__main__":
    main()
