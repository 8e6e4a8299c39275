"""The sizes of the small `castream_demo` that tests use (the fixture `demo_directory`)."""

SIZES = {"train": 96, "validation": 32, "test": 40}
