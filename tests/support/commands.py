"""The commands as a person runs them: processes of their own, told the database by the environment."""

from __future__ import annotations

import os
import subprocess
import sys


def firstcall(url: str, *arguments: str, said: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `firstcall` with these arguments on the database at `url`, with `said` on its standard input.

    subprocess.TimeoutExpired: it was not done after so many seconds.
    """
    return subprocess.run(
        [sys.executable, "-m", "firstcall", *arguments],
        env={**os.environ, "FIRSTCALL_DB_URL": url},
        input=said,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
