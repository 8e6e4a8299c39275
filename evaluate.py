"""Measures the explanations of a trained network: python evaluate.py --config configs/demo.py [--workdir DIR]."""

from castream_jax.cli.evaluate import main

if __name__ == "__main__":
    main()
