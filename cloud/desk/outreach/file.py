"""An outreach with all that a decision and a message about it take, read in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from cloud.db import queries
from cloud.desk.outreach.compose import ASKING, PROACTIVE, Facts, Offer
from cloud.desk.outreach.hours import QuietHours
from cloud.desk.outreach.ladder import Attempt, Channel, Situation, one_channel
from cloud.desk.outreach.settings import OutreachSettings
from cloud.locale.catalogues import Words, words

Connection = AsyncConnection[Any]
SQL = queries.load("outreach")

SAFE_TO_HELP = ("none", "water")  # [K] where gas, current or heat endangers, nobody is told to try something first
DANGEROUS = ("gas", "electric")


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The row of query `case_file`."""

    outreach_no: int
    ticket_no: int | None  # what it is about: a ticket's step,
    step_no: int | None
    incident_no: int | None  # or a storm
    purpose: str
    user_id: str
    outreach_state: str
    ticket_state: str | None
    device_no: int
    problem: str
    severity: str
    safety: str
    customer_words: dict[str, str]
    self_help: dict[str, list[str]] | None
    gtin: str
    serial: str
    family: str
    family_name: dict[str, str] | None
    locale: str
    time_zone: str
    erased: bool
    household: str
    quiet_from: time
    quiet_until: time
    urgent_any_hour: bool
    not_before: datetime | None
    preferred_channel: str | None
    owner: bool
    overtaken: bool
    answered: bool
    answered_on: Channel | None
    self_help_spent: bool
    now: datetime

    @property
    def ticket(self) -> int:
        """The ticket that this is about. LookupError: it is about a storm."""
        if self.ticket_no is None:
            raise LookupError(f"outreach {self.outreach_no} is about a storm, not about a ticket")
        return self.ticket_no

    @property
    def urgent(self) -> bool:
        """Critical, or dangerous to people: patience is short."""
        return self.severity == "critical" or self.safety in DANGEROUS

    @property
    def zone(self) -> ZoneInfo:
        """The customer's time zone; UTC where it is not known."""
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("UTC")

    @property
    def words(self) -> Words:
        """The customer's language."""
        return words(self.locale)

    @property
    def helps_itself(self) -> bool:
        """Whether the customer is asked to try something first."""
        if self.purpose not in ("first_call", "reminder") or self.self_help_spent or self.safety not in SAFE_TO_HELP:
            return False
        return bool(self.words.pick(self.self_help))

    def key(self, channel: Channel) -> str:
        """What makes delivery idempotent: ticket, step, channel; and the purpose where a step has several.

        Of a storm's notice: the incident and the outreach, which is the customer's only one about it; and the channel.
        """
        if self.incident_no is not None:
            return f"i{self.incident_no}-o{self.outreach_no}-{channel}"
        tail = "" if self.purpose in ("first_call", "new_time", "appointment", "closing") else f"-{self.purpose}"
        return f"t{self.ticket_no}-s{self.step_no}-{channel}{tail}"

    def page_url(self, public_url: str) -> str:
        """The product's own page, by its GS1 Digital Link path."""
        return f"{public_url}/01/{self.gtin}/21/{self.serial}"


async def read_file(connection: Connection, outreach_no: int) -> CaseFile:
    """One outreach. LookupError if there is none."""
    async with connection.cursor(row_factory=class_row(CaseFile)) as cursor:
        await cursor.execute(SQL["case_file"], {"outreach_no": outreach_no})
        found = await cursor.fetchone()
    if found is None:
        raise LookupError(f"there is no outreach {outreach_no}")
    return found


async def read_situation(
    connection: Connection, case: CaseFile, settings: OutreachSettings, served: frozenset[Channel]
) -> Situation:
    """What the planner takes; `served` are the channels that have a provider."""
    reachable = await _column(connection, "reachable", {"user_id": case.user_id})
    attempts = await _attempts(connection, case.outreach_no)
    sends: list[datetime] = []
    if case.purpose in PROACTIVE:
        household = {"household": case.household, "outreach_no": case.outreach_no, "now": case.now}
        sends = await _column(connection, "household_sends", household | {"within": settings.cap.within})
    return situation_of(case, settings, served & frozenset(reachable), attempts, sends)


def situation_of(
    case: CaseFile,
    settings: OutreachSettings,
    usable: frozenset[Channel],
    attempts: tuple[Attempt, ...],
    household_sends: Sequence[datetime],
) -> Situation:
    """Pure: the rules that hold for an outreach, by its purpose; the parameters are those of Situation."""
    rungs = settings.rungs(urgent=case.urgent, preferred=case.preferred_channel)
    asks, proactive = case.purpose in ASKING, case.purpose in PROACTIVE
    if not asks or case.purpose == "reminder":
        rungs = one_channel(rungs, attempts, case.answered_on)
    return Situation(
        now=case.now,
        rungs=rungs,
        usable=usable,
        attempts=attempts,
        quiet=QuietHours(case.zone, case.quiet_from, case.quiet_until),
        disregard_quiet=case.urgent and case.urgent_any_hour and proactive,
        cap=settings.cap_of(case.purpose) if proactive else None,
        household_sends=tuple(household_sends),
        wants_answer=asks,
        answered=asks and case.answered,
        stopped=case.erased,
        overtaken=case.overtaken or (asks and case.ticket_state not in ("confirmed", "contacted")),
        owner=case.owner,
        not_before=case.not_before if asks or proactive else None,
    )


async def read_facts(connection: Connection, case: CaseFile, settings: OutreachSettings) -> Facts:
    """What a message is made of, in the customer's language."""
    of_ticket = {"ticket_no": case.ticket_no}
    said = case.words
    steps = tuple(said.pick(case.self_help, [])) if case.helps_itself else ()
    booked = await _offers(connection, "appointment", of_ticket) if case.purpose == "appointment" else []
    if case.purpose == "appointment" and not booked:  # agreed by a person, without an engineer's slot
        booked = await _offers(connection, "appointment_of_ticket", of_ticket)
    gently, by_itself = await _gentle(connection, of_ticket) if case.purpose == "appointment" else (None, False)
    return Facts(
        purpose=case.purpose,
        company=settings.company,
        appliance=str(said.pick(case.family_name, case.family)).lower(),
        seen=str(said.pick(case.customer_words)),
        zone=case.zone,
        page_url=case.page_url(settings.public_address),
        steps=steps,
        offers=tuple(await _offers(connection, "offers", of_ticket)) if case.purpose in ASKING and not steps else (),
        appointment=booked[0] if booked else None,
        gentle_until=gently,
        gentle_by_itself=by_itself,
        danger=case.safety,
    )


async def _gentle(connection: Connection, of_ticket: dict[str, Any]) -> tuple[datetime | None, bool]:
    """Until when the appliance is to run gently, and whether it has answered that it does."""
    row = await (await connection.execute(SQL["gentle_run"], of_ticket)).fetchone()
    return (row[0], row[1]) if row else (None, False)


async def _attempts(connection: Connection, outreach_no: int) -> tuple[Attempt, ...]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["attempts"], {"outreach_no": outreach_no})
        rows = await cursor.fetchall()
    return tuple(Attempt(**row) for row in rows)


async def _offers(connection: Connection, query: str, parameters: dict[str, Any]) -> list[Offer]:
    async with connection.cursor(row_factory=class_row(Offer)) as cursor:
        await cursor.execute(SQL[query], parameters)
        return await cursor.fetchall()


async def _column(connection: Connection, query: str, parameters: dict[str, Any]) -> list[Any]:
    cursor = await connection.execute(SQL[query], parameters)
    return [row[0] for row in await cursor.fetchall()]
