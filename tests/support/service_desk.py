"""A registry with customers and a desk with tickets, written the way the registry and the desk do."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from cloud.desk import tickets
from cloud.desk.dispatch.calendar import WorkingHours
from cloud.desk.dispatch.people import StaffRecord, put_engineer
from cloud.desk.outreach.consent import Preference, Profile, set_consent, set_preference, set_profile
from cloud.desk.outreach.ladder import Channel
from cloud.desk.triage.incidents import fold
from cloud.desk.triage.settings import TriageSettings
from cloud.registry.keys import MasterKey
from cloud.registry.people import add_user, write_contacts

Connection = AsyncConnection[Any]

MASTER_TEXT = base64.b64encode(b"m" * 32).decode()
MASTER = MasterKey.from_text(MASTER_TEXT)
GTIN = "04012345123456"
MODEL = "W-100"
NEVER_QUIET = Preference(quiet_from=time(0), quiet_until=time(0))


@dataclass
class ServiceDesk:
    """Makes customers with a washer each, and tickets about it."""

    connection: Connection
    made: int = field(default=0)

    async def catalogue(self, self_help: dict[str, list[str]] | None = None, safety: str = "none") -> None:
        """One family, one model, one part, one fault code 5E."""
        run = self.connection.execute
        await run(
            "INSERT INTO appliance_family VALUES ('washer', %s)", [Jsonb({"en": "Washing machine", "zh": "洗衣机"})]
        )
        await run("INSERT INTO model VALUES (%s, 'washer', 'Washer 100', 'middle', 24)", [MODEL])
        await run("INSERT INTO trade_item VALUES (%s, %s)", [GTIN, MODEL])
        await run("INSERT INTO part VALUES ('pump', %s)", [Jsonb({"en": "Drain pump", "zh": "排水泵"})])
        await run(
            "INSERT INTO fault_definition (model, code, version, known, meaning, severity, safety, stops, self_help,"
            " likely_parts, customer_words, confirmation_rule, source)"
            " VALUES (%s, '5E', 1, tstzrange('2020-01-01', NULL), %s, 'high', %s, true, %s, '{pump}', %s, %s, 'test')",
            [
                MODEL,
                Jsonb({"en": "no drain", "zh": "不排水"}),
                safety,
                Jsonb(self_help or {}),
                Jsonb({"en": "It drains more slowly with each wash.", "zh": "它每次洗衣排水越来越慢。"}),
                Jsonb({"any_of": [{"test": "at_once"}]}),
            ],
        )

    async def customer(
        self,
        *,
        locale: str = "en",
        channels: tuple[Channel, ...] = ("email",),
        household: str | None = None,
        tier: Any = "standard",
        preference: Preference = NEVER_QUIET,
        time_zone: str = "UTC",
    ) -> tuple[str, int]:
        """A customer with a bound washer; the user id and the device number."""
        self.made += 1
        user_id = await add_user(self.connection, f"u{self.made}", locale, time_zone)
        contacts: Any = {"email": f"{user_id}@example.test", "phone": f"+49 30 {1000 + self.made}", "name": "N. N."}
        await write_contacts(self.connection, MASTER, user_id, contacts, person="test", purpose="test")
        await set_consent(self.connection, user_id, channels, "test", granted=True)
        await set_preference(self.connection, user_id, preference)
        await set_profile(self.connection, user_id, Profile(household or user_id, "north", tier))
        for channel in {"push", "messaging"} & set(channels):
            await self.connection.execute(
                "INSERT INTO messaging_address VALUES (%s, %s, %s)", [user_id, channel, f"{channel}-{user_id}"]
            )
        return user_id, await self._device(user_id)

    async def _device(self, user_id: str) -> int:
        run = self.connection.execute
        row = await (
            await run("INSERT INTO device (device) VALUES (%s) RETURNING device_no", [f"d{self.made}"])
        ).fetchone()
        device_no = int(row[0]) if row else 0
        since = datetime(2020, 1, 1, tzinfo=UTC)
        await run("INSERT INTO registered_device (device_no, registered_by) VALUES (%s, 'test')", [device_no])
        await run("INSERT INTO product (gtin, serial) VALUES (%s, %s)", [GTIN, f"S{self.made}"])
        await run("SELECT registry_fit(%s, %s, %s, %s, NULL, now(), 'test')", [device_no, GTIN, f"S{self.made}", since])
        await run("SELECT registry_bind(%s, %s, %s, NULL, now(), 'test')", [device_no, user_id, since])
        return device_no

    async def ticket(
        self, user_id: str, device_no: int, *, confirm: bool = True, problem: str = "5E", severity: str = "high"
    ) -> int:
        """A ticket about the customer's washer, with its case; confirmed unless told otherwise."""
        run, now = self.connection.execute, datetime.now(UTC)
        serial = f"S{user_id.removeprefix('u')}"
        async with self.connection.transaction():
            row = await (
                await run(
                    "INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, definition_no, severity,"
                    " safety, probability, expected_value, rank_reason, customer_words, likely_part, detected_at,"
                    " raised_at) SELECT %s, %s, %s, %s, %s, model, definition_no, %s::severity, safety, 1, 100, '{}',"
                    " customer_words, 'pump', %s, %s FROM fault_definition RETURNING ticket_no",
                    [device_no, problem, user_id, GTIN, serial, severity, now - timedelta(hours=3), now],
                )
            ).fetchone()
            ticket_no = int(row[0]) if row else 0
            await run(
                "INSERT INTO ticket_step (ticket_no, to_state, person, at) VALUES (%s, 'proposed', 'desk', now())",
                [ticket_no],
            )
            await run(
                "INSERT INTO fault_case (device_no, source, problem, occurred_at, last_raised_at, last_at, user_id,"
                " gtin, serial, model, missing, judged_at, ticket_no)"
                " VALUES (%s, 'reported', %s, %s, %s, %s, %s, %s, %s, %s, '{}', now(), %s)",
                [device_no, problem, *[now - timedelta(hours=3)] * 3, user_id, GTIN, serial, MODEL, ticket_no],
            )
        if confirm:
            await tickets.confirm(self.connection, ticket_no, "agent")
        return ticket_no

    async def storm(self, *homes: tuple[str, int], minutes_ago: float = 10, clears: bool = False) -> int:
        """The washers of these homes (user, device) report 5E within minutes, or report it gone; the desk folds it.

        Returns the incident's number; 0 if there is none.
        """
        run, at = self.connection.execute, datetime.now(UTC) - timedelta(minutes=minutes_ago)
        cases = []
        async with self.connection.transaction():
            for user_id, device_no in homes:
                if clears:
                    query = (
                        "UPDATE fault_case SET cleared_at = desk_now(), last_at = desk_now() WHERE device_no = %s"
                        " AND cleared_at IS NULL RETURNING case_no"
                    )
                    cursor = await run(query, [device_no])
                else:
                    cursor = await run(
                        "INSERT INTO fault_case AS c (device_no, source, problem, occurred_at, last_raised_at, last_at,"
                        " user_id, gtin, serial, model, missing, judged_at)"
                        " SELECT %s, 'reported', '5E', %s, %s, %s, %s, f.gtin, f.serial, %s, '{}', now()"
                        " FROM fitting AS f WHERE f.device_no = %s RETURNING case_no",
                        [device_no, at, at, at, user_id, MODEL, device_no],
                    )
                cases += [int(row[0]) for row in await cursor.fetchall()]
            now = await self.value("SELECT desk_now()")
            await fold(self.connection, cases, now, TriageSettings(storm_least=2), sweep=False)
        return int(await self.value("SELECT max(incident_no) FROM incident WHERE merged_into IS NULL") or 0)

    async def predict_failure(self, ticket_no: int, within: timedelta) -> None:
        """The detector, too, expects the ticket's problem: a failure after so long at the earliest."""
        await self.connection.execute(
            "WITH p AS (INSERT INTO prediction (device_no, problem, raised_at, probability, horizon_hours,"
            " hours_left_low, reason, detector) SELECT device_no, problem, now(), 0.9, 72, %(hours)s, '{}', 't'"
            " FROM ticket WHERE ticket_no = %(ticket_no)s RETURNING *)"
            " INSERT INTO fault_case (device_no, source, problem, prediction_no, occurred_at, last_raised_at, last_at,"
            " missing, judged_at, ticket_no) SELECT device_no, 'predicted', problem, prediction_no, raised_at,"
            " raised_at, raised_at, '{}', now(), %(ticket_no)s FROM p",
            {"hours": within / timedelta(hours=1), "ticket_no": ticket_no},
        )

    async def engineer(self, name: str = "li", **changes: Any) -> None:
        """An engineer for washers in the north, working from 8 to 16 every day."""
        record = {
            "engineer": name,
            "name": name.title(),
            "seniority": 3,
            "regions": ["north"],
            "skills": {"washer": None},
            "hours": [WorkingHours(day, time(8), time(16)) for day in range(1, 8)],
            "stock": {"pump": 2},
        } | changes
        await put_engineer(self.connection, StaffRecord(**record))

    async def value(self, query: Any, *parameters: Any) -> Any:
        """The first column of the first row."""
        row = await (await self.connection.execute(query, parameters)).fetchone()
        return None if row is None else row[0]

    async def rows(self, query: Any, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows."""
        return await (await self.connection.execute(query, parameters)).fetchall()
