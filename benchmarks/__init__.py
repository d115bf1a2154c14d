"""The benchmark of the core: ``python -m benchmarks``. What it measures is in the docs, under performance."""
