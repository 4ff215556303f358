"""The open benchmark on the simulator: see docs/open-benchmark.md."""
