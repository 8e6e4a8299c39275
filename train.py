"""Trains a CA-Stream on a frozen network: python train.py --config configs/demo.py [--workdir DIR]."""

from castream_jax.cli.train import main

if __name__ == "__main__":
    main()
