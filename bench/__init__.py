"""Benchmarks: what Baton costs, measured on this machine, judged by the figures file."""
