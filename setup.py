"""Which packages are installed: ours, and the configs inside it, which live beside it in the repository.

All else is in pyproject.toml, which cannot say both of a package that is found and of one that lies elsewhere.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["castream_jax*"]), "castream_jax.configs", "castream_jax.configs.studies"],
    package_dir={"castream_jax.configs": "configs"},
)
