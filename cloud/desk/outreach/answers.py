"""What a customer answers by one tap, and what follows from it, in one transaction.

A link is signed for one action on one outreach. Opening it (GET) only shows what it would do, because mail scanners
open links too; the tap on the page that it leads to (POST) calls `answer`. Answering the same twice is answering once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from cloud.desk.dispatch.booking import accept, ask_for_later, stand_down
from cloud.desk.dispatch.clocks import pause
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.errors import DeskError
from cloud.desk.outreach.compose import compose
from cloud.desk.outreach.consent import set_consent
from cloud.desk.outreach.file import SQL, CaseFile, Connection, read_facts, read_file
from cloud.desk.outreach.ladder import CHANNELS
from cloud.desk.outreach.secrets import Action, OutreachKey, Tap
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.tickets import contact

log = structlog.get_logger(__name__)

PERSON = "customer"


class TooLate(DeskError):
    """The ticket is closed, or not this customer's any more: there is nothing left to answer."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link is about, for the page that it opens. No contact is in it.

    `ticket_no` None: a storm, to whose notice "stop" is the only answer.
    """

    tap: Tap
    ticket_no: int | None
    gtin: str
    serial: str
    locale: str
    time_zone: str
    subject: str
    said: str
    steps: tuple[str, ...]
    ticket_state: str | None
    answered: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered; `again`: it had been before, and nothing changed."""

    action: Action
    ticket_no: int | None
    again: bool


async def open_link(
    connection: Connection, key: OutreachKey, settings: OutreachSettings, token: str, now: datetime | None = None
) -> Opened:
    """Read a link and say what it would do; changes nothing.

    Raises:
        BadToken, ExpiredToken: not ours, altered, or too old. TooLate: the outreach is gone.
    """
    tap = key.read_token(token, now or datetime.now(UTC))
    case = await _case(connection, tap.outreach_no)
    facts = await read_facts(connection, case, settings)
    shown = compose(facts, "email", case.words, "", lambda _action, _choice: "")
    return Opened(
        tap,
        case.ticket_no,
        case.gtin,
        case.serial,
        str(case.words.locale),
        case.time_zone,
        shown.subject,
        shown.told,
        facts.steps,
        case.ticket_state,
        case.answered,
    )


def other_taps(key: OutreachKey, opened: Opened, until: datetime, offers: tuple[int, ...] = ()) -> dict[str, str]:
    """Tokens of the other answers on the page that a link opened, by action; an offer's under `accept:<slot>`."""
    tap = opened.tap
    about_ticket: tuple[Action, ...] = ("visit", "solved", "not_now", "call_me")
    plain: tuple[Action, ...] = (*about_ticket, "stop") if opened.ticket_no is not None else ("stop",)
    taps = {action: Tap(tap.outreach_no, action, tap.channel) for action in plain}
    tokens: dict[str, str] = {action: key.token(one, until) for action, one in taps.items()}
    for slot in offers:
        tokens[f"accept:{slot}"] = key.token(Tap(tap.outreach_no, "accept", tap.channel, slot), until)
    return tokens


async def answer(
    connection: Connection, tap: Tap, settings: OutreachSettings, dispatch: DispatchSettings | None = None
) -> Answered:
    """Do what the customer answered.

    Raises:
        TooLate: see there. SlotTaken: the window of an `accept` is gone; nothing was noted, offer other windows.
    """
    which = {"outreach_no": tap.outreach_no}
    async with connection.transaction():
        if tap.action == "accept":
            await connection.execute("SELECT pg_advisory_xact_lock(46628)")  # the round's lock comes before all others
        for lock in ("lock_device_of", "lock_ticket_of"):
            await connection.execute(SQL[lock], which)
        case = await _case(connection, tap.outreach_no)
        if tap.action != "stop" and (not case.owner or case.ticket_state in (None, "resolved", "dismissed")):
            raise TooLate("this has been settled: there is nothing left to answer")
        noted = {**which, "action": tap.action, "choice": tap.choice or None, "channel": tap.channel}
        if await (await connection.execute(SQL["put_answer"], noted)).fetchone() is None:
            return Answered(tap.action, case.ticket_no, again=True)
        if tap.action != "stop":
            await connection.execute(SQL["answer_open_of_ticket"], {"ticket_no": case.ticket, "action": tap.action})
            await connection.execute(SQL["cancel_calls_of_ticket"], {"ticket_no": case.ticket})
        await _FOLLOW[tap.action](connection, case, tap, settings, dispatch or DispatchSettings())
        await connection.execute("SELECT pg_notify('outreach_answer', %s)", [str(case.ticket_no or "")])
    log.info("answered", ticket=case.ticket_no, action=tap.action, channel=tap.channel)
    return Answered(tap.action, case.ticket_no, again=False)


async def _case(connection: Connection, outreach_no: int) -> CaseFile:
    try:
        return await read_file(connection, outreach_no)
    except LookupError:
        raise TooLate("this has been settled: there is nothing left to answer") from None


async def _reached(connection: Connection, case: CaseFile, tap: Tap) -> None:
    """Whoever answers was reached, whatever the provider said of its message."""
    if case.ticket_state == "confirmed":
        await contact(connection, case.ticket, PERSON, f"answered by {tap.channel}")


async def _accept(
    connection: Connection, case: CaseFile, tap: Tap, settings: OutreachSettings, dispatch: DispatchSettings
) -> None:
    await accept(connection, tap.choice, PERSON, dispatch)
    await connection.execute(SQL["clear_not_before"], {"user_id": case.user_id})


async def _visit(
    connection: Connection, case: CaseFile, tap: Tap, settings: OutreachSettings, dispatch: DispatchSettings
) -> None:
    await _reached(connection, case, tap)
    await connection.execute(SQL["clear_not_before"], {"user_id": case.user_id})


async def _solved(
    connection: Connection, case: CaseFile, tap: Tap, settings: OutreachSettings, dispatch: DispatchSettings
) -> None:
    """The customer says so; the watch sees to it that it is."""
    await _reached(connection, case, tap)
    await stand_down(connection, case.ticket)
    await connection.execute(SQL["start_watch"], {"ticket_no": case.ticket})
    hours = settings.watch_hours + settings.settle_hours
    await pause(connection, case.ticket, "watching", PERSON, case.now + timedelta(hours=hours))


async def _not_now(
    connection: Connection, case: CaseFile, tap: Tap, settings: OutreachSettings, dispatch: DispatchSettings
) -> None:
    """Nothing until then; after that one reminder, on the channel that was answered on."""
    await _reached(connection, case, tap)
    until = case.now + timedelta(hours=settings.not_now_hours)
    await connection.execute(SQL["put_not_before"], {"user_id": case.user_id, "at": until})
    await ask_for_later(connection, case.ticket, until)
    await connection.execute(SQL["put_reminder"], {"outreach_no": case.outreach_no, "at": until})
    await pause(connection, case.ticket, "customer_asked_later", PERSON, until)


async def _stop(
    connection: Connection, case: CaseFile, tap: Tap, settings: OutreachSettings, dispatch: DispatchSettings
) -> None:
    """All channels are closed to us. The ticket stays: a person decides what becomes of it (view outreach_stuck)."""
    await set_consent(connection, case.user_id, CHANNELS, f"stop in {tap.channel}", granted=False)
    await connection.execute(SQL["stop_outreach_of"], {"user_id": case.user_id})
    if case.ticket_no is not None:
        await connection.execute(SQL["cancel_calls_of_ticket"], {"ticket_no": case.ticket_no})
        await stand_down(connection, case.ticket_no)


async def _call_me(
    connection: Connection, case: CaseFile, tap: Tap, settings: OutreachSettings, dispatch: DispatchSettings
) -> None:
    """An agent calls: asked for by the customer, so that neither the cap nor the ladder is in the way."""
    await _reached(connection, case, tap)
    await connection.execute(SQL["put_asked_call"], {"outreach_no": case.outreach_no, "key": case.key("phone")})


_FOLLOW: dict[Action, Callable[[Connection, CaseFile, Tap, OutreachSettings, DispatchSettings], Awaitable[None]]] = {
    "accept": _accept,
    "visit": _visit,
    "solved": _solved,
    "not_now": _not_now,
    "stop": _stop,
    "call_me": _call_me,
}
