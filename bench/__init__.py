"""Benchmarks: each on a running instance of its own, beside a floor measured in the same run. `make bench`."""
