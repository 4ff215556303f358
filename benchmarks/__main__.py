"""`make bench`: ingest beside simpler pipelines, latencies, the edge agent's memory and CPU, the console's reads.

    .venv/bin/python -m benchmarks [ingest] [latency] [edge] [screens]

All four by default. Each runs alone with options of its own, e.g. `python -m benchmarks.bench_ingest --rounds 5`.
"""

from __future__ import annotations

import subprocess
import sys

BENCHES = {
    "ingest": "benchmarks.bench_ingest",
    "latency": "benchmarks.bench_latency",
    "edge": "benchmarks.bench_edge",
    "screens": "benchmarks.screens",
}


def main(asked: list[str]) -> int:
    """Run the benchmarks that were asked for, each in a process of its own; returns how many failed."""
    unknown = [name for name in asked if name not in BENCHES]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    failed = 0
    for name in asked or BENCHES:
        print(f"--- {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", BENCHES[name]], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
