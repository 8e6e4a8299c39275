"""The version of the package, read by its build."""

VERSION = "0.1.0"
