"""Commands from the cloud: done at most once each, not begun after their expiry, always answered.

A command is noted as begun before anything is done, and its outcome is kept with the reply in one transaction. When the
same command comes again it is answered again and not done again; one that a restart interrupted is answered as failed.
An order that this agent does not know, or cannot read, is refused by the command's id.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

import structlog
from pydantic import BaseModel

from edge_agent.counters import Counters
from edge_agent.device_loop import DeviceLoop
from edge_agent.draft import Draft, Rank
from edge_agent.outlet import Outlet
from edge_agent.ports import DriverError
from edge_agent.spool import Spool
from protocols.errors import Malformed, NotFinite
from protocols.messages import (
    Command,
    CommandHead,
    RaiseDensity,
    Reply,
    RunGently,
    RunNormally,
    SelfTest,
    SetSampling,
)
from protocols.topics import Kind

logger = structlog.get_logger(__name__)

SELF_TEST_S = 300.0
GENTLE_S = 60.0
DETAIL_CHARACTERS = 2000
WAITING = 256
"""Commands that may wait at once; one more is left to the broker's or the sender's repeat, and counted."""


class UnknownOrder(CommandHead):
    """A command that can only be refused; `why` says what could not be read."""

    why: str


class Outcome(BaseModel):
    """How a command ended: kept as JSON, and the body of its reply. at: ms since the epoch."""

    at: int
    outcome: Literal["done", "refused", "expired", "failed"]
    detail: str = ""
    result: dict[str, Any] = {}


class Commands:
    """Takes the commands of one gateway's devices."""

    def __init__(
        self,
        loops: Mapping[str, DeviceLoop],
        spool: Spool,
        counters: Counters,
        outlet: Outlet,
        now_ms: Callable[[], int],
    ) -> None:
        self._loops = loops
        self._spool = spool
        self._counters = counters
        self._outlet = outlet
        self._now_ms = now_ms
        self._arrived: asyncio.Queue[tuple[str, Command | UnknownOrder]] = asyncio.Queue(WAITING)
        self._under_way: set[str] = set()

    def take(self, device: str, payload: bytes) -> None:
        """A command arrived for a device.

        Raises:
            ProtocolError: not even its id can be read.
        """
        command = read_command(payload)
        try:
            self._arrived.put_nowait((device, command))
        except asyncio.QueueFull:
            self._counters.commands_refused += 1
            logger.warning("command_overflow", device=device, command=command.id, waiting=WAITING)

    async def run(self) -> None:
        """Carry out what arrives, until cancelled. A device does one thing at a time, and waits for no other."""
        async with asyncio.TaskGroup() as group:
            while True:
                device, command = await self._arrived.get()
                if command.id in self._under_way:
                    self._counters.commands_repeated += 1
                    continue
                self._under_way.add(command.id)
                group.create_task(self._answer(device, command), name=f"command {command.id}")

    async def _answer(self, device: str, command: Command | UnknownOrder) -> None:
        try:
            if self._repeat(device, command):
                return
            refusal = self._refusal(device, command)
            with self._spool.transaction():
                self._spool.ledgers.begin_command(command.id, device, self._now_ms())
                if refusal is not None:
                    self._reply(device, command.id, refusal)
            if refusal is None and isinstance(command, Command):
                outcome = await self._perform(self._loops[device], command)
                with self._spool.transaction():
                    self._reply(device, command.id, outcome)
        finally:
            self._under_way.discard(command.id)

    def _repeat(self, device: str, command: CommandHead) -> bool:
        """Answer a command begun earlier as it was answered then; False if it is a new one."""
        known = self._spool.ledgers.command(command.id)
        if known is None:
            return False
        self._counters.commands_repeated += 1
        begun_for, kept = known
        waiting = self._spool.find(Kind.REPLY, begun_for)
        if any(Reply.decode(message.payload).id == command.id for message in waiting):
            return True
        if kept is None:
            outcome = Outcome(at=self._now_ms(), outcome="failed", detail="interrupted by a restart of the agent")
        elif begun_for != device:
            outcome = self._outcome("refused", f"the id was used before, for device {begun_for}")
        else:
            outcome = Outcome.model_validate_json(kept)
        with self._spool.transaction():
            self._reply(device, command.id, outcome, keep=kept is None)
        return True

    def _refusal(self, device: str, command: Command | UnknownOrder) -> Outcome | None:
        now_ms = self._now_ms()
        if now_ms > command.expires_at:
            self._counters.commands_expired += 1
            return self._outcome("expired", f"it expired {(now_ms - command.expires_at) / 1000:.1f} s ago")
        if isinstance(command, UnknownOrder):
            self._counters.commands_refused += 1
            return self._outcome("refused", f"unsupported: this agent does not know such an order ({command.why})")
        loop = self._loops.get(device)
        if loop is None or loop.appliance is None:
            self._counters.commands_refused += 1
            return self._outcome("refused", f"device {device} " + ("is not open" if loop else "is not on this gateway"))
        return None

    async def _perform(self, loop: DeviceLoop, command: Command) -> Outcome:
        order = command.order
        try:
            if isinstance(order, SelfTest):
                outcome = await self._self_test(loop)
            elif isinstance(order, SetSampling):
                outcome = self._set_sampling(loop, order)
            elif isinstance(order, RaiseDensity):
                outcome = self._raise_density(loop, order)
            else:
                outcome = await self._run(loop, order, command.at)
        except (OSError, DriverError, TimeoutError) as error:
            outcome = self._outcome("failed", str(error) or "no answer in time")
        except ValueError as error:
            outcome = self._outcome("refused", str(error))
        self._counters.commands_done += outcome.outcome == "done"
        logger.info("command_answered", device=loop.device, command=command.id, outcome=outcome.outcome)
        return outcome

    async def _self_test(self, loop: DeviceLoop) -> Outcome:
        async with asyncio.timeout(SELF_TEST_S), loop.line:
            answer = await loop.driver.self_test()
        results = json.loads(json.dumps(dict(answer.results), default=str))
        return self._outcome("done", answer.detail, {"passed": answer.passed, **results})

    def _set_sampling(self, loop: DeviceLoop, order: SetSampling) -> Outcome:
        with self._spool.transaction():
            self._outlet.accept(loop.opened.set_sampling(order))
            self._spool.ledgers.set_sampling(loop.device, order)
            self._outlet.announce()  # how long a reading stands may have changed, and with it the channel set
        loop.retime()
        return self._outcome("done", f"sampling every {loop.opened.period_ms} ms")

    def _raise_density(self, loop: DeviceLoop, order: RaiseDensity) -> Outcome:
        until = self._now_ms() / 1000 + order.duration_s
        self._outlet.accept(loop.opened.raise_density(order.period_ms, until))
        loop.retime()
        return self._outcome("done", f"every {order.period_ms} ms for {order.duration_s} s")

    async def _run(self, loop: DeviceLoop, order: RunGently | RunNormally, ordered_ms: int) -> Outcome:
        async with asyncio.timeout(GENTLE_S), loop.line:
            if isinstance(order, RunNormally):
                await loop.gentle.end(ordered_ms=ordered_ms, now_ms=self._now_ms())
                return self._outcome("done", "runs normally")
            await loop.gentle.begin(order.until, ordered_ms=ordered_ms, now_ms=self._now_ms())
        return self._outcome("done", "runs gently", {"gentle_until": order.until})

    def _reply(self, device: str, command: str, outcome: Outcome, keep: bool = True) -> None:
        if keep:
            self._spool.ledgers.end_command(command, outcome.model_dump_json())

        def compose(boot: int, seq: int) -> bytes:
            return Reply(boot=boot, seq=seq, id=command, **outcome.model_dump()).encode()

        self._outlet.accept([Draft(device, Kind.REPLY, Rank.EVENT, outcome.at, compose)])

    def _outcome(
        self,
        outcome: Literal["done", "refused", "expired", "failed"],
        detail: str = "",
        result: dict[str, Any] | None = None,
    ) -> Outcome:
        return Outcome(at=self._now_ms(), outcome=outcome, detail=detail[:DETAIL_CHARACTERS], result=result or {})


def read_command(payload: bytes) -> Command | UnknownOrder:
    """A command, or what of it suffices for a refusal.

    Raises:
        ProtocolError: neither; it has no id, or is of another version.
    """
    try:
        return Command.decode(payload)
    except (Malformed, NotFinite) as error:
        head = CommandHead.decode(payload)
        return UnknownOrder(at=head.at, id=head.id, expires_at=head.expires_at, why=str(error))
