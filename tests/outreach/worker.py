"""Outreach as a process of its own, to be killed: `python -m tests.outreach.worker`, told by its environment."""

from __future__ import annotations

import asyncio

from cloud.db.settings import DatabaseSettings
from cloud.desk.outreach.service import run
from cloud.desk.outreach.settings import OutreachSettings
from cloud.running import until_stopped

if __name__ == "__main__":
    asyncio.run(until_stopped(lambda stop: run(OutreachSettings(), DatabaseSettings(), stop)))
