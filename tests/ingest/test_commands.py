"""Commands on their way down: through a real broker to a real agent, whose answer comes back into the database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from cloud.db.pool import Pool
from cloud.desk.settings import DeskSettings
from cloud.desk.tend import make_cursors, tend
from cloud.desk.triage.settings import TriageSettings
from cloud.ingest.commands import read_command, send_due
from cloud.ingest.counters import Counters
from cloud.ingest.ports import Arrival
from cloud.registry import ownership, people
from cloud.registry.costs import Costs
from cloud.registry.gs1 import ProductCode
from cloud.registry.importer import import_catalogue
from edge_agent.agent import Agent
from edge_agent.ports import SelfTestOutcome
from protocols.errors import ProtocolError
from protocols.identifiers import partition
from protocols.messages import Command, SelfTest
from tests.edge.gateways import Counting, device, settings
from tests.ingest.brokers import Side
from tests.ingest.conftest import Ask
from tests.ingest.test_program import ingesting
from tests.support.mosquitto import Mosquitto


class Listener:
    """A subscriber that only notes what is published."""

    def __init__(self, connected: bool = True) -> None:
        self.connected = connected
        self.sent: list[tuple[str, bytes]] = []

    async def publish(self, messages: Any) -> None:
        self.sent += messages

    async def open(self) -> None: ...
    async def receive(self, at_most: int, timeout_s: float) -> list[Arrival]:
        return []

    async def ack(self, arrivals: Any) -> None: ...
    async def close(self) -> None: ...


@pytest.fixture
async def asked(pool: Pool, ask: Ask) -> Ask:
    """A device d1 on gateway gw-1 and one command c1 to it, good for an hour."""
    await ask("INSERT INTO gateway (gateway, partition) VALUES ('gw-1', %s)", [partition("gw-1")])
    await ask("INSERT INTO device (device, gateway_no) SELECT 'd1', gateway_no FROM gateway")
    await put(ask, "c1")
    return ask


async def put(ask: Ask, command_id: str, hours: float = 1, instruction: dict[str, Any] | None = None) -> None:
    await ask(
        "INSERT INTO command (command_id, device_no, instruction, expires_at) "
        "SELECT %s, device_no, %s, now() + %s * interval '1 hour' FROM device",
        [command_id, Jsonb(instruction or {"action": "self_test"}), hours],
    )


async def due(pool: Pool, listener: Listener, counters: Counters | None = None, **changes: Any) -> list[str]:
    """One look; the ids of the commands that were sent."""
    wanted = Side(None, "nats://127.0.0.1").settings(**{"command_resend_s": 3600, **changes})  # type: ignore[arg-type]
    before = len(listener.sent)
    async with pool.connection() as connection:
        await send_due(connection, wanted, listener, counters or Counters())
    return [Command.decode(payload).id for _, payload in listener.sent[before:]]


async def test_a_command_goes_to_its_device_as_the_contract_says(pool: Pool, asked: Ask) -> None:
    listener = Listener()
    assert await due(pool, listener) == ["c1"]
    ((topic, payload),) = listener.sent
    assert topic == "fc/1/down/gw-1/d1/command"
    command = Command.decode(payload)
    assert command.order == SelfTest()
    assert command.expires_at - command.at == 3_600_000


async def test_it_is_sent_again_only_after_a_while_and_never_once_answered(pool: Pool, asked: Ask) -> None:
    listener = Listener()
    assert await due(pool, listener) == ["c1"]
    assert await due(pool, listener) == []
    assert await due(pool, listener, command_resend_s=0.0001) == ["c1"]
    await asked("INSERT INTO reply SELECT device_no, 'c1', 1, 1, 'done', '', '{}', now() FROM device")
    assert await due(pool, listener, command_resend_s=0.0001) == []


async def test_what_expired_or_is_another_partitions_is_not_sent(pool: Pool, asked: Ask) -> None:
    await put(asked, "c2", hours=-1)
    listener = Listener()
    other = (partition("gw-1") + 1) % 64
    assert await due(pool, listener, partitions=str(other)) == []
    assert await due(pool, listener) == ["c1"]


async def test_nothing_is_taken_while_the_broker_is_away(pool: Pool, asked: Ask) -> None:
    assert await due(pool, Listener(connected=False)) == []
    assert await asked("SELECT sent_at FROM command") == [(None,)]


async def test_an_instruction_that_nobody_knows_is_counted_and_stops_no_other(pool: Pool, asked: Ask) -> None:
    await put(asked, "c0", instruction={"action": "explode"})
    counters = Counters()
    assert await due(pool, Listener(), counters) == ["c1"]
    assert (counters.commands_sent, counters.commands_unreadable) == (1, 1)


async def test_two_programs_do_not_take_the_same_at_the_same_moment(pool: Pool, asked: Ask) -> None:
    for number in range(40):
        await put(asked, f"m{number}")
    listener = Listener()
    taken = await asyncio.gather(*(due(pool, listener) for _ in range(3)))
    sent = [Command.decode(payload).id for _, payload in listener.sent]
    assert taken is not None
    assert len(sent) == len(set(sent)) == 41


def test_a_row_with_an_id_that_is_no_identifier_is_refused() -> None:
    with pytest.raises((ValueError, ProtocolError)):
        read_command(("no spaces please", "gw-1", "d1", {"action": "self_test"}, 1, 2))


class Failing(Counting):
    """An appliance whose drum motor fails: it reports 3E, and its self-test finds the same."""

    async def self_test(self) -> SelfTestOutcome:
        self.tests += 1
        return SelfTestOutcome(False, "the motor does not turn", {"motor": "stuck"})


async def test_from_a_fault_by_a_self_test_to_a_confirmed_ticket(
    broker: Any, migrated_url: str, request: pytest.FixtureRequest
) -> None:
    """The whole round on both brokers: agent, ingest, desk, command down, reply up, verdict."""
    url = f"mqtt://{broker.host}:{broker.mqtt_port}" if isinstance(broker, Mosquitto) else broker.url
    driver = Failing(faults=lambda n: ("3E",) if n > 5 else ())

    async with await AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        await import_catalogue(connection)
        await people.add_user(connection, "ann")
        await ownership.register_device(connection, "dev-1", "test", gateway="gw-1")
        unit = ProductCode("09520000900014", "S1")
        await ownership.register_product(connection, unit)
        await ownership.fit(connection, "dev-1", unit, "test")
        row = await (await connection.execute("SELECT now() - interval '9 days'")).fetchone()
        assert row is not None
        await ownership.bind(connection, "dev-1", "ann", row[0], "test")
        await make_cursors(connection)
        async with (
            ingesting(Side(broker, url).settings(command_look_s=30), migrated_url),
            Agent(settings(broker.mqtt_port, devices=[device()]), drivers={"dev-1": driver}),
            asyncio.timeout(40),
        ):
            verdict = None
            while verdict != ("confirmed", "confirmed"):
                await tend(connection, DeskSettings(), Costs.load(), triage=TriageSettings())
                cursor = await connection.execute(
                    "SELECT t.state, v.verdict FROM ticket AS t LEFT JOIN ticket_verdict AS v USING (ticket_no)"
                )
                verdict = await cursor.fetchone()
                await asyncio.sleep(0.05)
        assert driver.tests == 1
        cursor = await connection.execute("SELECT outcome, result, detail FROM reply")
        assert await cursor.fetchall() == [("done", {"passed": False, "motor": "stuck"}, "the motor does not turn")]
        cursor = await connection.execute("SELECT to_state, person, reason FROM ticket_step ORDER BY step_no")
        assert (await cursor.fetchall())[-1] == ("confirmed", "desk", "The device failed its self-test.")
