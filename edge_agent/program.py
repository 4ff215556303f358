"""The agent as a process of its own: signals in, exit code out."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import signal
import sys

import structlog

from edge_agent.agent import Agent, AgentFailed
from edge_agent.settings import EdgeSettings
from edge_agent.spool import SpoolBusy
from edge_agent.spool.schema import WrongVersion

logger = structlog.get_logger(__name__)

FAILED = 1
SPOOL_UNUSABLE = 3


def run_until_signal(settings: EdgeSettings) -> int:
    """Run an agent until SIGTERM or SIGINT; returns the process' exit code."""
    _settle_memory()
    try:
        asyncio.run(_run(settings))
    except AgentFailed as failure:
        logger.exception("agent_failed", reason=str(failure))
        return FAILED
    except (SpoolBusy, WrongVersion, OSError) as error:
        logger.error("spool_unusable", spool=settings.spool.path, reason=str(error))  # noqa: TRY400 - no trace needed
        return SPOOL_UNUSABLE
    return 0


def _settle_memory() -> None:
    """Give back what loading left over (about 5 MiB), and keep the collector from looking at what stays."""
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # malloc_trim is glibc's own
            ctypes.CDLL(None).malloc_trim(0)


async def _run(settings: EdgeSettings) -> None:
    agent = Agent(settings)
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: stopping.append(loop.create_task(agent.stop())))
    logger.info("agent_started", gateway=settings.gateway, devices=len(settings.devices))
    await agent.run()
    logger.info("agent_stopped", gateway=settings.gateway, **agent.counters.as_dict())
