"""The sent-ledger: what each spool accepted, written beside the spools, so that a report can look for every message.

One JSON line a run of consecutive messages of one kind: gateway, device, boot, kind, first and last seq. A line is
written after the spool's commit, so a killed process may leave messages unlisted, never listed and unaccepted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from edge_agent.agent import Agent
from edge_agent.draft import Draft
from edge_agent.spool.ledgers import Ledgers


@dataclass(slots=True)
class Run:
    """Consecutive messages of one kind of one device."""

    gateway: str
    device: str
    boot: int
    kind: str
    first: int
    last: int

    @property
    def messages(self) -> int:
        """How many."""
        return self.last - self.first + 1


class SentLedger:
    """Collects accepted messages into runs; `flush` writes all runs so far."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._runs: dict[tuple[str, str], Run] = {}
        self.messages: dict[str, int] = {}

    def note(self, gateway: str, device: str, kind: str, boot: int, seq: int) -> None:
        """Take a message that a spool has just accepted."""
        self.messages[kind] = self.messages.get(kind, 0) + 1
        run = self._runs.get((gateway, device))
        if run and (run.boot, run.kind, run.last + 1) == (boot, kind, seq):
            run.last = seq
            return
        if run:
            self._write(run)
        self._runs[gateway, device] = Run(gateway, device, boot, kind, seq, seq)

    def flush(self) -> None:
        """Write every run so far; what follows begins new ones."""
        for run in self._runs.values():
            self._write(run)
        self._runs.clear()
        self._out.flush()

    def _write(self, run: Run) -> None:
        row = {
            "gateway": run.gateway, "device": run.device, "boot": run.boot, "kind": run.kind,
            "first": run.first, "last": run.last,
        }  # fmt: skip
        self._out.write(json.dumps(row, separators=(",", ":")) + "\n")


class AccountedAgent(Agent):
    """The real agent, whose accepted messages are noted in a ledger."""

    ledger: SentLedger | None = None

    def accept(self, drafts: Sequence[Draft], also: Callable[[Ledgers], None] | None = None) -> None:
        """Spool messages as the agent does, and note the boot and seq that the spool gave them."""
        given: list[tuple[Draft, int, int]] = []

        def noting(draft: Draft) -> Draft:
            def compose(boot: int, seq: int) -> bytes:
                given.append((draft, boot, seq))
                return draft.compose(boot, seq)

            return replace(draft, compose=compose)

        before = self.spool.last_number
        super().accept([noting(draft) for draft in drafts], also)
        if self.ledger is not None and self.spool.last_number - before == len(given):  # not refused for want of room
            for draft, boot, seq in given:
                self.ledger.note(self.settings.gateway, draft.device, draft.kind.value, boot, seq)


async def played_out(agent: Agent) -> None:
    """Return when every driver has said that there will be no more; raises AgentFailed when the agent ends before."""
    playing = asyncio.create_task(agent.wait_played_out(), name="played out")
    living = asyncio.create_task(agent.wait(), name="agent lives")
    try:
        await asyncio.wait((playing, living), return_when=asyncio.FIRST_COMPLETED)
        if living.done():
            living.result()
    finally:
        playing.cancel()
        living.cancel()


def read_ledger(path: Path) -> Iterator[Run]:
    """The runs of a ledger file.

    Raises:
        ValueError: a line is not a run; the text says which. A last line that was cut short is left out.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            yield Run(row["gateway"], row["device"], row["boot"], row["kind"], row["first"], row["last"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                return
            raise ValueError(f"{path}, line {number}: not a run of sent messages ({error})") from None
