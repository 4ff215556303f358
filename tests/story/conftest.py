"""One installation as it is run in earnest: every program a process of its own, a broker, a database, a mail server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import expect
from psycopg import AsyncConnection
from pydantic import SecretStr

from cloud.desk.dispatch.staff_file import put_staff, read_staff_file
from cloud.engines.ports import free_port
from cloud.engines.settings import EngineSettings
from cloud.up import Stack, UpSettings, running_stack
from device_sim.fleet.population import Appliance
from tests.access.people import account
from tests.story.appliance import clogged_washer, write_device_file
from tests.support.mail_server import MailServer, mail, outreach_environment
from tests.support.registry import import_with_catalogue

__all__ = ["mail"]

ENGINEER, AGENT = "lena", "mei"


@dataclass(frozen=True)
class Installation:
    """The running cloud and the washer that its registry knows. `zone`: where all of it takes place."""

    stack: Stack
    washer: Appliance
    folder: Path
    zone: str

    @property
    def label(self) -> str:
        """What the code on the washer says: its GS1 Digital Link."""
        return f"{self.stack.console_url}/01/{self.washer.model.gtin}/21/{self.washer.serial}"


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    """Six programs and a browser share the machine: what is expected on a page may take its time."""
    expect.set_options(timeout=30_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture
def installation(tmp_path: Path, migrated_url: str, mail: MailServer) -> Iterator[Installation]:
    """All programs, on a database and a broker of this test's own."""
    washer, zone, port = clogged_washer(), zone_at_noon(datetime.now(UTC)), free_port()
    devices = write_device_file(washer, tmp_path)

    async def prepare(url: str) -> None:
        await import_with_catalogue(url, devices)
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            await put_staff(connection, read_staff_file(_write_staff_list(zone, tmp_path)))
            await account(connection, ENGINEER, "engineer")
            await account(connection, AGENT, "agent")

    told = outreach_environment(mail) | {
        "FIRSTCALL_OUTREACH_COMPANY": "Acme",
        "FIRSTCALL_OUTREACH_PUBLIC_ADDRESS": f"http://127.0.0.1:{port}",
        "FIRSTCALL_CUSTOMER_TIME_ZONE": zone,
        "FIRSTCALL_WEB_ACCOUNTS": "true",
        "FIRSTCALL_DETECT_LATENESS_S": "2",
        "FIRSTCALL_DETECT_TICK_S": "1",
    }
    with running_stack(
        UpSettings(database_url=SecretStr(migrated_url)),
        EngineSettings(home=tmp_path / "var"),
        console_port=port,
        environment=told,
        prepare=lambda url: asyncio.run(prepare(url)),
    ) as stack:
        stack.wait_until_ready(180)
        yield Installation(stack, washer, tmp_path, zone)
        stack.check()


def zone_at_noon(now: datetime) -> str:
    """A time zone in which it is about noon: nobody's quiet hours, and time for a visit today."""
    ahead = 12 - now.hour
    return f"Etc/GMT{-ahead:+d}"  # POSIX: east of Greenwich is negative


def _write_staff_list(zone: str, folder: Path) -> Path:
    path = folder / "staff.toml"
    path.write_text(
        f"""
        [[engineer]]
        engineer = "{ENGINEER}"
        name = "Lena"
        seniority = 3
        regions = ["north"]
        skills = {{ washer = "all" }}
        hours = ["mon-sun 08:00-20:00"]
        time_zone = "{zone}"
        stock = {{ drain_filter = 2, drain_pump = 1 }}
        """
    )
    return path
