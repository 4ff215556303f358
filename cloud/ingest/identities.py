"""Gateways and devices by number. What was never seen is created; several writers may do so at the same moment."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import AsyncConnection

from cloud.db.queries import load
from protocols.identifiers import partition
from protocols.topics import Topic

REMEMBERED = 500_000

Connection = AsyncConnection[tuple[object, ...]]


class Identities:
    """Numbers of gateways and devices, remembered; `learn` asks the database for the ones that are new here."""

    def __init__(self) -> None:
        self.gateways: dict[str, int] = {}
        self.devices: dict[str, int] = {}
        self.declared: set[tuple[int, int]] = set()
        """(device_no, channel set) that the database is known to have."""
        self._gateway_of: dict[str, str] = {}

    def note_declared(self, pairs: Iterable[tuple[int, int]]) -> None:
        """These channel sets are in the database, if the transaction at hand commits (else they are sent again)."""
        if len(self.declared) > REMEMBERED:
            self.declared.clear()
        self.declared.update(pairs)

    def forget(self) -> None:
        """Ask again for everyone: rows may have been deleted behind our back."""
        self.gateways.clear()
        self.devices.clear()
        self.declared.clear()
        self._gateway_of.clear()

    async def learn(self, connection: Connection, pairs: Iterable[tuple[str, str | None]]) -> None:
        """Make sure that each (gateway, device or None) has its numbers, and note who speaks for a device now.

        Outside the batch's transaction: a row too many does no harm, and its lock is held for a moment only.
        """
        if len(self.devices) > REMEMBERED or len(self.gateways) > REMEMBERED:
            self.forget()
        pairs = list(pairs)
        gateways = {gateway for gateway, _ in pairs} - self.gateways.keys()
        if gateways:
            names = sorted(gateways)
            numbers = [partition(name) for name in names]
            self.gateways.update(await self._see(connection, "gateways", [names, numbers]))
        moved = {device: gateway for gateway, device in pairs if device and self._gateway_of.get(device) != gateway}
        if moved:
            names = sorted(moved)
            numbers = [self.gateways[moved[name]] for name in names]
            self.devices.update(await self._see(connection, "devices", [names, numbers]))
            self._gateway_of.update(moved)

    async def _see(self, connection: Connection, who: str, parameters: list[object]) -> dict[str, int]:
        queries = load("ingest")
        async with connection.transaction():
            await connection.execute(queries[f"create_{who}"], parameters)
            cursor = await connection.execute(queries[f"find_{who}"], parameters[:1])
            return {str(name): int(str(number)) for name, number in await cursor.fetchall()}

    def device_of(self, topic: Topic) -> int:
        """The number of a topic's device; it has been learnt before."""
        assert topic.device is not None
        return self.devices[topic.device]
