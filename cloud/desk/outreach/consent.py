"""What a customer allows: channels, quiet hours, and the profile that decides how they are served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Literal

from psycopg.rows import class_row

from cloud.desk.outreach.file import SQL, Connection
from cloud.desk.outreach.ladder import CHANNELS, Channel


@dataclass(frozen=True, slots=True)
class Preference:
    """When a customer may be disturbed; local times of the customer's time zone."""

    quiet_from: time = time(20)
    quiet_until: time = time(9)
    urgent_any_hour: bool = False
    preferred_channel: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """How a customer is served; nothing that names a person."""

    household: str
    region: str = ""
    tier: Literal["standard", "high"] = "standard"
    tags: tuple[str, ...] = field(default=())


async def consents(connection: Connection, user_id: str) -> dict[Channel, bool]:
    """Every channel, and whether it is allowed now. What was never asked is not allowed."""
    cursor = await connection.execute(SQL["consents"], {"user_id": user_id})
    given = {row[0]: bool(row[1]) for row in await cursor.fetchall()}
    return {channel: given.get(channel, False) for channel in CHANNELS}


async def set_consent(
    connection: Connection, user_id: str, channels: Iterable[Channel], source: str, *, granted: bool
) -> None:
    """Give or withdraw consent; `source` says where it was said. What is so already is not written again."""
    await connection.execute(
        SQL["put_consent"],
        {"user_id": user_id, "channels": list(channels), "granted": granted, "source": source},
    )


async def preference(connection: Connection, user_id: str) -> Preference:
    """A customer's hours; the defaults where nothing was said."""
    async with connection.cursor(row_factory=class_row(Preference)) as cursor:
        await cursor.execute(SQL["preference"], {"user_id": user_id})
        return await cursor.fetchone() or Preference()


async def set_preference(connection: Connection, user_id: str, wanted: Preference) -> None:
    """Keep a customer's hours (`not_before` is left as it is: an answer sets it)."""
    await connection.execute(
        SQL["put_preference"],
        {
            "user_id": user_id,
            "quiet_from": wanted.quiet_from,
            "quiet_until": wanted.quiet_until,
            "urgent_any_hour": wanted.urgent_any_hour,
            "preferred_channel": wanted.preferred_channel,
        },
    )


async def set_profile(connection: Connection, user_id: str, profile: Profile) -> None:
    """Keep a customer's household, region and tier."""
    await connection.execute(
        SQL["put_profile"],
        {
            "user_id": user_id,
            "household": profile.household,
            "region": profile.region,
            "tier": profile.tier,
            "tags": list(profile.tags),
        },
    )


async def set_messaging_address(
    connection: Connection, user_id: str, channel: Literal["push", "messaging"], address: str
) -> None:
    """How a push or messaging provider knows the user: an opaque handle of the provider's making."""
    await connection.execute(SQL["put_messaging_address"], {"user_id": user_id, "channel": channel, "address": address})
