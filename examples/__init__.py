"""Example programs; each folder is one, run from the project's root as ``python -m examples.NAME``."""
