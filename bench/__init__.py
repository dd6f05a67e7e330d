"""Benchmarks: each measures against the bare engine in one run and writes its section of docs/benchmarks.md."""
