"""One outreach, one step further: decide under lock, hand the message over, write down what became of it.

1. In a transaction: look at everything again (owner, consent, answer, window, cap), decide, and claim the message.
2. Outside of any transaction: give it to the provider, under its key.
3. In a transaction: delivered, refused, or to be tried again; the ticket becomes contacted with the first delivery.

Killed anywhere: before 1 commits nothing has happened; after it, the claim's lease runs out and the same message goes
out under the same key. Locks: device, ticket, outreach, household, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import structlog

from cloud.db.pool import Pool
from cloud.desk.errors import FormerOwner, IllegalStep
from cloud.desk.outreach.compose import ASKING, PROACTIVE, Composed, compose
from cloud.desk.outreach.file import SQL, CaseFile, Connection, read_facts, read_file, read_situation
from cloud.desk.outreach.ladder import (
    Because,
    Channel,
    End,
    Ended,
    Send,
    Situation,
    Wait,
    climbed_past,
    decide,
)
from cloud.desk.outreach.providers import BackOff, Envelope, Provider, Refused, Unavailable
from cloud.desk.outreach.secrets import Action, OutreachKey, Tap
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.tickets import contact
from cloud.registry.errors import NoMasterKey, UnknownUser
from cloud.registry.keys import MasterKey
from cloud.registry.people import Kind, read_contacts

log = structlog.get_logger(__name__)

PERSON = "outreach"
_STATE_OF: dict[Ended, str] = {
    Ended.ANSWERED: "answered",
    Ended.TOLD: "told",
    Ended.EXHAUSTED: "exhausted",
    Ended.UNREACHABLE: "exhausted",
    Ended.STOPPED: "exhausted",
    Ended.OVERTAKEN: "cancelled",
    Ended.FORMER_OWNER: "cancelled",
}
_CONTACT_KIND: dict[Channel, Kind] = {"email": "email", "sms": "phone"}


@dataclass(frozen=True, slots=True)
class Sending:
    """A claimed message on its way to a provider."""

    message_no: int
    outreach_no: int
    channel: Channel
    envelope: Envelope


@dataclass(slots=True)
class Courier:
    """What delivering takes: keys, providers, and how each provider has fared."""

    settings: OutreachSettings
    key: OutreachKey
    master: MasterKey | None
    providers: Mapping[Channel, Provider]
    name: str  # of this process: a claim is settled by the one who made it
    random: Random = field(default_factory=Random)
    back_offs: dict[Channel, BackOff] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def back_off(self, channel: Channel) -> BackOff:
        """How a channel's provider is spared."""
        first, most = timedelta(seconds=self.settings.retry_first_s), timedelta(seconds=self.settings.retry_most_s)
        return self.back_offs.setdefault(channel, BackOff(first, most, self.random))

    def count(self, what: str) -> None:
        """Count an event, for program_health."""
        self.counters[what] = self.counters.get(what, 0) + 1

    @property
    def served(self) -> frozenset[Channel]:
        """Channels that this process can deliver on."""
        with_contacts = (c for c in self.providers if c not in _CONTACT_KIND or self.master is not None)
        return frozenset(with_contacts) | (frozenset({"phone"}) if self.settings.phone else frozenset())


async def advance(connection: Connection, outreach_no: int, courier: Courier) -> Sending | None:
    """Decide about one outreach and do what can be done in the database; a message to send, if there is one."""
    which = {"outreach_no": outreach_no}
    async with connection.transaction():
        for lock in ("lock_device_of", "lock_ticket_of"):
            await connection.execute(SQL[lock], which)
        if await (await connection.execute(SQL["lock_outreach"], which)).fetchone() is None:
            return None
        case = await read_file(connection, outreach_no)
        await connection.execute(SQL["lock_household"], {"household": case.household})
        situation = await read_situation(connection, case, courier.settings, courier.served)
        past = list(climbed_past(situation))
        if past:
            await connection.execute(SQL["expire"], {**which, "channels": past})
        decision = decide(situation)
        if isinstance(decision, End):
            await _end(connection, case, decision.why, courier)
        elif isinstance(decision, Wait):
            await _wait(connection, case, decision)
        else:
            return await _begin(connection, case, situation, decision, courier)
    return None


async def _end(connection: Connection, case: CaseFile, why: Ended, courier: Courier) -> None:
    await connection.execute(
        SQL["end"], {"outreach_no": case.outreach_no, "state": _STATE_OF[why], "reason": why.value}
    )
    courier.count(why.value)
    about = {"ticket": case.ticket_no} if case.ticket_no is not None else {"incident": case.incident_no}
    log.info("outreach_ended", outreach=case.outreach_no, why=why.value, **about)


async def _wait(connection: Connection, case: CaseFile, decision: Wait) -> None:
    """Remember when to look again: in desk time, and where a retry or a lease is waited for, in wall time."""
    wall = None
    if decision.because in (Because.RETRY, Because.IN_FLIGHT):
        cursor = await connection.execute(SQL["next_wall_of"], {"outreach_no": case.outreach_no})
        wall = (await cursor.fetchone() or (None,))[0]
    await connection.execute(
        SQL["wait"],
        {"outreach_no": case.outreach_no, "reason": decision.because.value, "look_at": decision.until, "wall_at": wall},
    )


async def _begin(
    connection: Connection, case: CaseFile, situation: Situation, turn: Send, courier: Courier
) -> Sending | None:
    """Claim the message of this channel, or owe it while its provider is being spared."""
    wall = datetime.now(UTC)
    claim = {
        "outreach_no": case.outreach_no,
        "channel": turn.channel,
        "key": case.key(turn.channel),
        "household": case.household,
        "proactive": case.purpose in PROACTIVE,
        "now": case.now,
    }
    blocked = None if turn.channel == "phone" else courier.back_off(turn.channel).blocked_until(wall)
    if blocked is not None:
        await _postpone(connection, case, situation, claim, blocked)
        return None
    facts = await read_facts(connection, case, courier.settings)
    code = courier.key.code(case.key(turn.channel))
    message = compose(facts, turn.channel, case.words, code, _links(case, turn.channel, courier, wall))
    lease = timedelta(seconds=courier.settings.lease_s)
    written = {
        "lease": lease,
        "claimed_by": courier.name,
        "locale": str(case.words.locale),
        "subject": message.subject,
        "body": message.told,
    }
    message_no = await _one(connection, "claim", claim | written)
    await connection.execute(
        SQL["put_code"],
        {
            "message_no": message_no,
            "gtin": case.gtin,
            "serial": case.serial,
            "code_hash": courier.key.code_hash(code),
            "valid_for": timedelta(days=courier.settings.code_days),
        },
    )
    await connection.execute(
        SQL["wait"],
        {
            "outreach_no": case.outreach_no,
            "reason": Because.IN_FLIGHT.value,
            "look_at": None,
            "wall_at": wall + lease + timedelta(seconds=0.2),
        },
    )
    if turn.channel == "phone":
        await _hand_to_agents(connection, case, message_no, message, courier)
        return None
    return await _addressed(connection, case, turn.channel, courier, message_no=message_no, message=message)


async def _postpone(
    connection: Connection, case: CaseFile, situation: Situation, claim: dict[str, Any], blocked: datetime
) -> None:
    await connection.execute(SQL["postpone"], {**claim, "retry_at": blocked})
    first = next((a.first_tried_at for a in situation.attempts if a.channel == claim["channel"]), case.now)
    patience = next(r.patience for r in situation.rungs if r.channel == claim["channel"])
    await connection.execute(
        SQL["wait"],
        {
            "outreach_no": case.outreach_no,
            "reason": Because.RETRY.value,
            "look_at": first + patience,
            "wall_at": blocked,
        },
    )


async def _hand_to_agents(
    connection: Connection, case: CaseFile, message_no: int, message: Composed, courier: Courier
) -> None:
    """The phone's delivery is a task in the same transaction: it can be neither lost nor doubled."""
    await connection.execute(SQL["put_call"], {"message_no": message_no, "script": message.text})
    await connection.execute(
        SQL["delivered"], {"message_no": message_no, "claimed_by": courier.name, "reference": "call task"}
    )
    await connection.execute(SQL["look_again"], {"outreach_no": case.outreach_no})
    courier.count("calls")


async def _addressed(
    connection: Connection, case: CaseFile, channel: Channel, courier: Courier, *, message_no: int, message: Composed
) -> Sending | None:
    """The envelope, with the address read under the log of personal data."""
    try:
        to = await _address(connection, case, channel, courier)
    except (NoMasterKey, UnknownUser) as error:
        to = None
        log.warning("address_unreadable", outreach=case.outreach_no, channel=channel, detail=str(error))
    if not to:
        await _not_delivered(connection, message_no, courier, state="refused", trouble="no address that can be read")
        await connection.execute(SQL["look_again"], {"outreach_no": case.outreach_no})
        return None
    stop_url = _links(case, channel, courier, datetime.now(UTC))("stop", 0) if case.purpose in PROACTIVE else ""
    envelope = Envelope(case.key(channel), channel, to, str(case.words.locale), message.subject, message.text, stop_url)
    return Sending(message_no, case.outreach_no, channel, envelope)


async def _address(connection: Connection, case: CaseFile, channel: Channel, courier: Courier) -> str | None:
    kind = _CONTACT_KIND.get(channel)
    if kind is None:
        cursor = await connection.execute(SQL["messaging_address"], {"user_id": case.user_id, "channel": channel})
        row = await cursor.fetchone()
        return None if row is None else str(row[0])
    if courier.master is None:
        return None
    purpose = f"{case.purpose} {case.key(channel)}"
    found = await read_contacts(connection, courier.master, case.user_id, person=PERSON, purpose=purpose, kinds=(kind,))
    return found.get(kind)


def _links(case: CaseFile, channel: Channel, courier: Courier, wall: datetime) -> Any:
    expires_at = wall + timedelta(days=courier.settings.link_days)

    def link(action: Action, choice: int) -> str:
        token = courier.key.token(Tap(case.outreach_no, action, channel, choice), expires_at)
        return f"{courier.settings.public_address}/a/{token}"

    return link


async def deliver(pool: Pool, sending: Sending, courier: Courier) -> None:
    """Hand a claimed message to its provider and write down what became of it. No connection is held meanwhile."""
    back_off = courier.back_off(sending.channel)
    try:
        accepted = await courier.providers[sending.channel].send(sending.envelope)
    except Refused as error:
        back_off.succeeded()
        async with pool.connection() as connection, connection.transaction():
            await _not_delivered(connection, sending.message_no, courier, state="refused", trouble=str(error))
    except Exception as error:
        if isinstance(error, Unavailable):
            retry_at, text = back_off.failed(datetime.now(UTC), error.retry_after_s), str(error)
        else:  # a mistake of ours, about this message: the provider is not to blame, the others go on
            log.exception("sending_failed", channel=sending.channel, message=sending.message_no)
            retry_at, text = datetime.now(UTC) + timedelta(seconds=courier.settings.retry_most_s), type(error).__name__
        async with pool.connection() as connection, connection.transaction():
            await _not_delivered(connection, sending.message_no, courier, state="due", trouble=text, retry_at=retry_at)
    else:
        back_off.succeeded()
        async with pool.connection() as connection:
            await _settle(connection, sending, accepted.reference, courier)


async def _settle(connection: Connection, sending: Sending, reference: str, courier: Courier) -> None:
    """Delivered. The first delivery of a call makes the ticket contacted, in the same transaction."""
    which = {"outreach_no": sending.outreach_no}
    async with connection.transaction():
        for lock in ("lock_device_of", "lock_ticket_of"):
            await connection.execute(SQL[lock], which)
        settled = {"message_no": sending.message_no, "claimed_by": courier.name, "reference": reference}
        if await (await connection.execute(SQL["delivered"], settled)).fetchone() is None:
            log.warning("settled_too_late", message=sending.message_no)  # its lease ran out: another has it now
            courier.count("settled_too_late")
            return
        await connection.execute(SQL["look_again"], which)
        case = await read_file(connection, sending.outreach_no)
        if case.purpose not in ASKING:
            await _end(connection, case, Ended.TOLD, courier)
        if case.ticket_state == "confirmed":
            try:
                await contact(connection, case.ticket, PERSON, f"by {sending.channel}")
            except (FormerOwner, IllegalStep) as error:
                log.warning("not_contacted", ticket=case.ticket_no, detail=str(error))
    courier.count(f"delivered_{sending.channel}")
    log.info("delivered", key=sending.envelope.key, channel=sending.channel)


async def _not_delivered(
    connection: Connection,
    message_no: int,
    courier: Courier,
    *,
    state: str,
    trouble: str,
    retry_at: datetime | None = None,
) -> None:
    outcome = {"message_no": message_no, "claimed_by": courier.name, "state": state, "trouble": trouble}
    row = await (await connection.execute(SQL["not_delivered"], {**outcome, "retry_at": retry_at})).fetchone()
    if row is not None:
        await connection.execute(SQL["look_again"], {"outreach_no": row[0]})
    courier.count(f"not_delivered_{state}")
    log.warning("not_delivered", message=message_no, state=state, trouble=trouble)


async def _one(connection: Connection, query: str, parameters: dict[str, Any]) -> int:
    row = await (await connection.execute(SQL[query], parameters)).fetchone()
    if row is None:
        raise LookupError(query)
    return int(row[0])
