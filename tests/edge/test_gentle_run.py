# ruff: noqa: ASYNC110, SIM117
"""Orders to run gently and normally: carried out, ended in time, kept over crashes; and orders that nobody knows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from edge_agent.counters import Counters
from edge_agent.gentle_run import AGAIN_MS, LONGEST_MS, GentleRun
from edge_agent.ports import DriverError, GentleDriver
from edge_agent.settings import SpoolSettings
from edge_agent.spool import Spool, open_spool
from edge_agent.spool.ledgers import GentleOrder
from protocols.messages import Birth, Command, Reply, RunGently, RunNormally
from protocols.topics import Kind, Topic
from tests.edge.gateways import Counting, device, settings
from tests.edge.receipting_cloud import ReceiptingCloud

NOW = 1_700_000_000_000
HOUR = 3_600_000


class Gentle(Counting):
    """A driver that can run its appliance gently: `asked` is what it was told, None for normally."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[float | None] = []
        self.troubles: list[Exception] = []

    async def run_gently(self, until: float | None) -> None:
        self.asked.append(until)
        if self.troubles:
            raise self.troubles.pop(0)


class Appliance:
    """One gentle run on a spool in a file, as after each start of the agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.driver = Gentle()
        self.announced = 0
        self.counters = Counters()
        self.spool: Spool | None = None
        self.start()

    def start(self) -> None:
        if self.spool is not None:
            self.spool.close()
        self.driver.asked.clear()
        self.spool = open_spool(SpoolSettings(path=str(self.folder / "spool.db"), synchronous="normal"), 1)
        self.run = GentleRun(
            "dev-1", self.driver, spool=self.spool, counters=self.counters, announce=self.announce
        )  # fmt: skip

    def announce(self) -> None:
        self.announced += 1

    @property
    def kept(self) -> GentleOrder | None:
        assert self.spool is not None
        return self.spool.ledgers.gentle_order("dev-1")


@pytest.fixture
def appliance(tmp_path: Path) -> Appliance:
    return Appliance(tmp_path)


def test_a_driver_offers_it_or_not() -> None:
    assert isinstance(Gentle(), GentleDriver)
    assert not isinstance(Counting(), GentleDriver)


async def test_it_ends_by_itself_at_its_time_and_once(appliance: Appliance) -> None:
    await appliance.run.begin(NOW + HOUR, ordered_ms=NOW, now_ms=NOW)
    await appliance.run.attend((NOW + HOUR - 1) / 1000)
    assert appliance.run.until_ms == NOW + HOUR
    for _ in range(3):
        await appliance.run.attend((NOW + HOUR) / 1000)
    assert appliance.driver.asked == [(NOW + HOUR) / 1000, None]
    assert (appliance.run.until_ms, appliance.announced) == (None, 2)


async def test_it_is_asked_for_again_after_a_restart_and_after_each_open(appliance: Appliance) -> None:
    await appliance.run.begin(NOW + HOUR, ordered_ms=NOW, now_ms=NOW)
    appliance.start()
    await appliance.run.attend(NOW / 1000 + 60)
    assert appliance.run.until_ms == NOW + HOUR
    appliance.run.opened()
    await appliance.run.attend(NOW / 1000 + 61)
    await appliance.run.attend(NOW / 1000 + 62)
    assert appliance.driver.asked == [(NOW + HOUR) / 1000] * 2


async def test_what_ran_out_while_the_agent_was_away_is_ended_at_its_start(appliance: Appliance) -> None:
    await appliance.run.begin(NOW + HOUR, ordered_ms=NOW, now_ms=NOW)
    appliance.start()
    await appliance.run.attend(NOW / 1000 + 7200)
    assert appliance.driver.asked == [None]
    assert appliance.kept == GentleOrder(None, NOW)
    appliance.start()
    await appliance.run.attend(NOW / 1000 + 7201)
    assert appliance.driver.asked == []


async def test_a_crash_before_the_driver_has_answered_leaves_nothing_running_gently(appliance: Appliance) -> None:
    class Crash(BaseException):
        """Stands for the end of the process."""

    appliance.driver.troubles = [Crash()]  # type: ignore[list-item]
    with pytest.raises(Crash):
        await appliance.run.begin(NOW + HOUR, ordered_ms=NOW, now_ms=NOW)
    appliance.start()
    await appliance.run.attend(NOW / 1000 + 1)
    assert appliance.driver.asked == [None]


async def test_a_driver_that_does_not_answer_is_told_again_and_read_meanwhile(appliance: Appliance) -> None:
    appliance.driver.troubles = [DriverError("silence"), DriverError("silence")]
    with pytest.raises(DriverError):
        await appliance.run.begin(NOW + HOUR, ordered_ms=NOW, now_ms=NOW)
    for seconds in (1, 2, 3, AGAIN_MS // 1000 + 2):
        await appliance.run.attend(NOW / 1000 + seconds)
    assert appliance.driver.asked == [(NOW + HOUR) / 1000, None, None]
    assert appliance.counters.driver_errors == 1


async def test_the_later_order_stands_whatever_comes_later(appliance: Appliance) -> None:
    await appliance.run.begin(NOW + HOUR, ordered_ms=NOW, now_ms=NOW)
    await appliance.run.end(ordered_ms=NOW + 2, now_ms=NOW + 3)
    with pytest.raises(ValueError, match="overtaken"):
        await appliance.run.begin(NOW + 2 * HOUR, ordered_ms=NOW + 1, now_ms=NOW + 4)
    assert appliance.run.until_ms is None


async def test_a_refusal_leaves_what_stood_before(appliance: Appliance) -> None:
    await appliance.run.begin(NOW + HOUR, ordered_ms=NOW, now_ms=NOW)
    appliance.driver.troubles = [ValueError("not while the door is open")]
    with pytest.raises(ValueError, match="door"):
        await appliance.run.begin(NOW + 2 * HOUR, ordered_ms=NOW + 1, now_ms=NOW + 1)
    assert (appliance.run.until_ms, appliance.kept) == (NOW + HOUR, GentleOrder(NOW + HOUR, NOW))


@pytest.mark.parametrize("until", [NOW, NOW - 1, NOW + LONGEST_MS + 1])
async def test_a_time_that_makes_no_sense_is_refused(appliance: Appliance, until: int) -> None:
    with pytest.raises(ValueError, match="must lie ahead"):
        await appliance.run.begin(until, ordered_ms=NOW, now_ms=NOW)
    assert appliance.driver.asked == []


async def test_a_spool_of_before_gets_the_table(tmp_path: Path) -> None:
    folder = SpoolSettings(path=str(tmp_path / "spool.db"))
    first = open_spool(folder, 1)
    with first.transaction():
        first.ledgers._connection.execute("DROP TABLE gentle_run")
    first.close()
    again = open_spool(folder, 1)
    assert again.ledgers.gentle_order("dev-1") is None
    again.close()


# --- through a real broker ---


def replies(cloud: ReceiptingCloud) -> dict[str, Reply]:
    return {reply.id: reply for reply in (Reply.decode(payload) for _, payload in cloud.of(Kind.REPLY))}


def told(cloud: ReceiptingCloud) -> int | None:
    """What the latest birth says of the first device."""
    return Birth.decode(cloud.of(Kind.BIRTH)[-1][1]).devices[0].gentle_until


async def order(cloud: ReceiptingCloud, id_: str, what: RunGently | RunNormally, target: str = "dev-1") -> Reply:
    now = round(time.time() * 1000)
    await cloud.command("gw-1", target, Command(at=now, id=id_, expires_at=now + 60_000, order=what))
    await cloud.until(lambda: id_ in replies(cloud))
    return replies(cloud)[id_]


async def test_orders_are_answered_told_by_the_birth_and_survive_a_restart(broker: Any, tmp_path: Path) -> None:
    until = round(time.time() * 1000) + HOUR
    driver, plain = Gentle(), Counting()
    configured = settings(broker.mqtt_port, tmp_path, devices=[device(), device("dev-2")])
    drivers: dict[str, Any] = {"dev-1": driver, "dev-2": plain}
    async with ReceiptingCloud(broker.mqtt_port) as cloud:
        async with Agent(configured, drivers=drivers):
            await cloud.until(lambda: {topic.device for topic, _ in cloud.of(Kind.TELEMETRY)} == {"dev-1", "dev-2"})
            done = await order(cloud, "gently", RunGently(until=until))
            assert (done.outcome, done.result) == ("done", {"gentle_until": until})
            await cloud.until(lambda: told(cloud) == until)
            refused = await order(cloud, "plain", RunGently(until=until), "dev-2")
            assert refused.outcome == "refused"
            assert refused.detail == "unsupported: the driver of device dev-2 cannot make it run gently"
            again = len(cloud.of(Kind.REPLY))
            await order(cloud, "gently", RunGently(until=until))
            await cloud.until(lambda: len(cloud.of(Kind.REPLY)) > again)
            assert driver.asked == [until / 1000], "the same command again is answered again and not done again"
        births = len(cloud.of(Kind.BIRTH))
        async with Agent(configured, drivers=drivers):
            await cloud.until(lambda: len(cloud.of(Kind.BIRTH)) > births and told(cloud) == until)
            assert driver.asked == [until / 1000] * 2
            assert (await order(cloud, "normally", RunNormally())).outcome == "done"
            await cloud.until(lambda: told(cloud) is None)
            assert driver.asked[-1] is None


async def test_it_ends_without_a_network(nats: Any) -> None:
    driver = Gentle()
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        async with Agent(settings(nats.mqtt_port, devices=[device()]), drivers={"dev-1": driver}):
            await cloud.until(lambda: cloud.of(Kind.TELEMETRY))
            until = round(time.time() * 1000) + 3000
            assert (await order(cloud, "gently", RunGently(until=until))).outcome == "done"
            nats.stop()
            async with asyncio.timeout(10):
                while driver.asked[-1] is not None:
                    await asyncio.sleep(0.02)
            assert time.time() >= until / 1000


async def test_an_order_that_is_not_known_is_refused_by_its_id_and_stops_nothing(nats: Any) -> None:
    far = 4_000_000_000_000
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        async with Agent(settings(nats.mqtt_port, devices=[device()]), drivers={"dev-1": Gentle()}) as agent:
            await cloud.until(lambda: cloud.of(Kind.TELEMETRY))
            topic = Topic("gw-1", Kind.COMMAND, "dev-1").build()
            for id_, text in {
                "future": '{"action":"defrost","how":"slowly"}',
                "half": '{"action":"run_gently"}',
                "infinite": '{"action":"set_sampling","deadbands":{"power":Infinity}}',
            }.items():
                await cloud.send(topic, f'{{"v":1,"at":1,"id":"{id_}","expires_at":{far},"order":{text}}}'.encode())
            await cloud.send(topic, f'{{"v":2,"at":1,"id":"two","expires_at":{far},"order":{{}}}}'.encode())
            await cloud.until(lambda: len(replies(cloud)) == 3)
            assert {id_: reply.outcome for id_, reply in replies(cloud).items()} == {
                "future": "refused", "half": "refused", "infinite": "refused",
            }  # fmt: skip
            assert "does not know such an order" in replies(cloud)["future"].detail
            async with asyncio.timeout(5):
                while agent.counters.downlink_malformed < 1:
                    await asyncio.sleep(0.02)
            seen = len(cloud.of(Kind.TELEMETRY))
            await cloud.until(lambda: len(cloud.of(Kind.TELEMETRY)) > seen)
