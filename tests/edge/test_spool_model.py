"""The spool against a simple model: nothing leaves without a receipt or a bound, in order, within its bound."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.draft import Draft, Rank
from edge_agent.settings import SpoolSettings
from edge_agent.spool import Spool, open_spool
from edge_agent.spool.schema import stored_bytes
from protocols.messages import Committed, Receipt, Rejected, payload_digest
from protocols.topics import Kind

DEVICES = ("a", "b", "-")
BOUND = 65_536
KINDS = {Rank.EVENT: Kind.FAULT, Rank.FREEZE: Kind.TELEMETRY, Rank.TELEMETRY: Kind.TELEMETRY}


@dataclass(frozen=True)
class Kept:
    """What the model knows of a message."""

    number: int
    rank: Rank
    device: str
    boot: int
    seq: int
    payload: bytes
    spooled_ms: int

    @property
    def size(self) -> int:
        return stored_bytes(len(self.payload))


class SpoolModel(RuleBasedStateMachine):
    """Runs random histories on a real spool file and on a list."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self.folder.name) / "spool.db")
        self.kept: list[Kept] = []
        self.dropped = {"telemetry": 0, "fault": 0}
        self.now_ms = 1_700_000_000_000
        self.unix = 1_700_000_000
        self.spool: Spool = self._open()
        self.boots = [self.spool.boot]
        self.seqs: dict[str, int] = {}

    def _open(self) -> Spool:
        return open_spool(
            SpoolSettings(path=self.path, bound_bytes=BOUND, synchronous="normal"), unix_seconds=self.unix
        )

    @rule(
        batch=st.lists(
            st.tuples(st.sampled_from(DEVICES), st.sampled_from(Rank), st.integers(0, 9_000)), min_size=1, max_size=6
        )
    )
    def put(self, batch: list[tuple[str, Rank, int]]) -> None:
        def draft(device: str, rank: Rank, length: int) -> Draft:
            def compose(boot: int, seq: int) -> bytes:
                return f"{device}|{boot}|{seq}|".encode() + b"x" * length

            return Draft(device, KINDS[rank], rank, self.now_ms, compose)

        spooled = self.spool.put([draft(*one) for one in batch], self.now_ms)
        for message in spooled:
            self.seqs[message.device] = self.seqs.get(message.device, 0) + 1
            assert (message.boot, message.seq) == (self.boots[-1], self.seqs[message.device])
            self.kept.append(
                Kept(
                    message.number,
                    message.rank,
                    message.device,
                    message.boot,
                    message.seq,
                    message.payload,
                    self.now_ms,
                )
            )
        self._keep_bound()

    def _keep_bound(self) -> None:
        """Oldest first: telemetry, then freeze frames, then what is under way, then faults."""
        excess = sum(one.size for one in self.kept) - BOUND
        if excess <= 0:
            return
        wanted = excess + BOUND // 64
        claimed = self.spool.claimed
        rounds = [
            [one for one in self.kept if one.rank == Rank.TELEMETRY and one.number not in claimed],
            [one for one in self.kept if one.rank == Rank.FREEZE and one.number not in claimed],
            [one for one in self.kept if one.rank != Rank.EVENT and one.number in claimed],
            [one for one in self.kept if one.rank == Rank.EVENT],
        ]
        for candidates in rounds:
            for one in candidates:
                if wanted <= 0:
                    break
                wanted -= one.size
                self.kept.remove(one)
                self.dropped["fault" if one.rank == Rank.EVENT else "telemetry"] += 1
            if wanted <= BOUND // 64:
                return

    @precondition(lambda self: self.kept)
    @rule(chosen=st.data(), length=st.integers(1, 4))
    def receipt(self, chosen: st.DataObject, length: int) -> None:
        one = chosen.draw(st.sampled_from(self.kept))
        ranges = ((one.seq, one.seq + length - 1),)
        freed = self.spool.free(Receipt(at=1, committed=(Committed(device=one.device, boot=one.boot, ranges=ranges),)))
        gone = [
            k for k in self.kept if (k.device, k.boot) == (one.device, one.boot) and one.seq <= k.seq < one.seq + length
        ]
        assert sorted(freed) == sorted(k.number for k in gone)
        self.kept = [k for k in self.kept if k not in gone]

    @precondition(lambda self: self.kept)
    @rule(chosen=st.data())
    def rejected(self, chosen: st.DataObject) -> None:
        one = chosen.draw(st.sampled_from(self.kept))
        dead = Rejected(
            device=one.device, kind=KINDS[one.rank].value, digest=payload_digest(one.payload), reason="malformed"
        )
        assert self.spool.free(Receipt(at=1, rejected=(dead,))) == [one.number]
        self.kept.remove(one)

    @rule(device=st.sampled_from(DEVICES), boot=st.integers(0, 3), first=st.integers(0, 50))
    def foreign_receipt(self, device: str, boot: int, first: int) -> None:
        """A receipt of another boot frees nothing."""
        committed = Committed(device=device, boot=boot, ranges=((first, 0xFFFFFFFF),))
        assert self.spool.free(Receipt(at=1, committed=(committed,))) == []

    @precondition(lambda self: self.kept)
    @rule(chosen=st.data())
    def claim(self, chosen: st.DataObject) -> None:
        self.spool.claimed.add(chosen.draw(st.sampled_from(self.kept)).number)

    @rule(seconds=st.integers(-100, 1000))
    def time_passes(self, seconds: int) -> None:
        self.now_ms = max(1_700_000_000_000, self.now_ms + seconds * 1000)
        self.unix += seconds

    @rule(age_s=st.integers(1, 2000))
    def expire(self, age_s: int) -> None:
        before = self.now_ms - age_s * 1000
        self.spool.expire(before)
        old = [one for one in self.kept if one.rank != Rank.EVENT and one.spooled_ms < before]
        self.dropped["telemetry"] += len(old)
        self.kept = [one for one in self.kept if one not in old]

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = self._open()
        assert self.spool.boot == max(self.boots[-1] + 1, self.unix)
        self.boots.append(self.spool.boot)
        self.seqs.clear()

    @invariant()
    def same_as_the_model(self) -> None:
        if not hasattr(self, "spool"):
            return
        for rank in Rank:
            found = self.spool.waiting(rank, 0, 1 << 60, 10_000)
            expected = [one for one in self.kept if one.rank == rank]
            assert [(m.number, m.device, m.boot, m.seq, m.payload) for m in found] == [
                (one.number, one.device, one.boot, one.seq, one.payload) for one in expected
            ]
        assert self.spool.depth.messages == len(self.kept)
        assert self.spool.depth.bytes == sum(one.size for one in self.kept) <= BOUND
        noted = {"telemetry": 0, "fault": 0}
        for one in self.spool.ledgers.dropped():
            noted[one.kind] += one.messages
        assert noted == self.dropped

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            self.folder.cleanup()


TestSpoolModel = SpoolModel.TestCase
TestSpoolModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
