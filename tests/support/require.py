"""A missing service skips at home and fails in CI."""

from __future__ import annotations

import os

import pytest

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def require(condition: object, reason: str) -> None:
    """Go on if `condition` holds; else leave this test out, or fail it when CI=true.

    `reason` says what is missing and how to get it; it stands in the run's summary.
    """
    if not condition:
        leave_out(reason)


def leave_out(reason: str) -> None:
    """Skip at home, fail in CI."""
    if IN_CI:
        pytest.fail(f"CI leaves nothing out: {reason}", pytrace=False)
    pytest.skip(reason)


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI, turn a skip that did not come from here (`pytest.skip`, `skipif`, `importorskip`) into a failure."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"CI leaves nothing out: {reason.removeprefix('Skipped: ')}"
