"""Benchmarks: speed, compared with the machine's limits and with other packages."""
