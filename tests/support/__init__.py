"""Helpers of the tests, the demo and the benchmarks."""
