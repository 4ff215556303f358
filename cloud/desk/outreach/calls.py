"""The phone: calls that agents have to make, with what to say; and how they ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, get_args

from psycopg.rows import dict_row

from cloud.desk.errors import DeskError
from cloud.desk.outreach.compose import compose
from cloud.desk.outreach.consent import set_consent
from cloud.desk.outreach.file import SQL, CaseFile, Connection, read_facts, read_file, read_situation
from cloud.desk.outreach.ladder import CHANNELS
from cloud.desk.outreach.secrets import OutreachKey
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.tickets import contact
from cloud.registry.keys import MasterKey
from cloud.registry.people import read_contacts

CallOutcome = Literal["reached", "no_answer", "voicemail", "wrong_number", "asked_to_stop"]


class CallNotAllowed(DeskError):
    """Not now, or not at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """What the agent has on the screen. `number` and `name` are personal: the look was logged."""

    call_no: int
    ticket_no: int
    outreach_no: int
    script: str
    code: str
    number: str = field(repr=False)
    name: str = field(repr=False)


async def open_calls(connection: Connection, at_most: int = 100) -> list[dict[str, Any]]:
    """Calls to make, worth most first; no contact in them."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["open_calls"], {"at_most": at_most})
        return await cursor.fetchall()


async def take_call(
    connection: Connection,
    call_no: int,
    agent: str,
    *,
    key: OutreachKey,
    master: MasterKey,
    settings: OutreachSettings,
) -> Call:
    """The agent is about to dial: everything is looked at once more, then number and script are shown.

    Raises:
        CallNotAllowed: another agent has it, the customer has answered or withdrawn, or these are quiet hours.
    """
    async with connection.transaction():
        row = await _call(connection, call_no)
        which = {"outreach_no": row["outreach_no"]}
        for lock in ("lock_device_of", "lock_ticket_of"):
            await connection.execute(SQL[lock], which)
        await _lock(connection, call_no, agent)
        case = await read_file(connection, row["outreach_no"])
        asked_for = not row["script"]  # by "call me": the words are written now, with what is known now
        await _refuse(connection, case, settings, asked_for=asked_for)
        code = key.code(row["key"])
        script = row["script"] or await _script(connection, case, code, settings)
        await connection.execute(
            SQL["put_code"],
            {
                "message_no": row["message_no"],
                "gtin": case.gtin,
                "serial": case.serial,
                "code_hash": key.code_hash(code),
                "valid_for": timedelta(days=settings.code_days),
            },
        )
        await connection.execute(SQL["take_call"], {"call_no": call_no, "agent": agent})
        purpose = f"call {call_no} about ticket {case.ticket}"
        found = await read_contacts(
            connection, master, case.user_id, person=agent, purpose=purpose, kinds=("phone", "name")
        )
    return Call(call_no, case.ticket, case.outreach_no, script, code, found.get("phone", ""), found.get("name", ""))


async def end_call(connection: Connection, call_no: int, agent: str, outcome: CallOutcome, note: str = "") -> None:
    """How the call ended. Reached makes the ticket contacted; what the customer said goes to `answers.answer`.

    The same outcome again changes nothing. CallNotAllowed: it ended otherwise, or another agent has it.
    """
    if outcome not in get_args(CallOutcome):
        raise ValueError(f"{outcome!r}: expected one of {', '.join(get_args(CallOutcome))}")
    async with connection.transaction():
        row = await _call(connection, call_no)
        which = {"outreach_no": row["outreach_no"]}
        for lock in ("lock_device_of", "lock_ticket_of"):
            await connection.execute(SQL[lock], which)
        row = await _call(connection, call_no)
        if row["state"] == "done" and row["outcome"] == outcome:
            return
        if row["state"] != "taken" or row["agent"] != agent:
            raise CallNotAllowed(f"call {call_no} is {row['state']}, by {row['agent'] or 'nobody'}")
        case = await read_file(connection, row["outreach_no"])
        ended = {"call_no": call_no, "state": "done", "outcome": outcome, "note": note}
        await connection.execute(SQL["end_call"], ended)
        if outcome == "reached" and case.ticket_state == "confirmed":
            await contact(connection, case.ticket, agent, "by phone")
        if outcome == "asked_to_stop":
            await set_consent(connection, case.user_id, CHANNELS, f"asked agent {agent}", granted=False)
            await connection.execute(SQL["stop_outreach_of"], {"user_id": case.user_id})


async def _refuse(connection: Connection, case: CaseFile, settings: OutreachSettings, *, asked_for: bool) -> None:
    situation = await read_situation(connection, case, settings, frozenset({"phone"}))
    quiet = situation.quiet.quiet_at(situation.now) and not situation.disregard_quiet
    reasons = (
        (not situation.owner or case.erased, "the customer does not have this appliance any more"),
        (situation.overtaken, "the ticket has moved on"),
        (situation.answered and not asked_for, "the customer has answered"),
        ("phone" not in situation.usable and not asked_for, "the customer has not agreed to calls"),
        (quiet, f"quiet hours at the customer's; from {situation.quiet.quiet_until:%H:%M} ({case.time_zone}) on"),
    )
    why = next((text for holds, text in reasons if holds), None)
    if why is not None:
        raise CallNotAllowed(f"do not call: {why}")


async def _script(connection: Connection, case: CaseFile, code: str, settings: OutreachSettings) -> str:
    facts = await read_facts(connection, case, settings)
    return compose(facts, "phone", case.words, code, lambda _action, _choice: "").text


async def _lock(connection: Connection, call_no: int, agent: str) -> None:
    row = await (await connection.execute(SQL["lock_call"], {"call_no": call_no})).fetchone()
    if row is None or row[0] not in ("open", "taken") or (row[0] == "taken" and row[1] != agent):
        raise CallNotAllowed(f"call {call_no} is {'gone' if row is None else row[0]}")


async def _call(connection: Connection, call_no: int) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["call"], {"call_no": call_no})
        found = await cursor.fetchone()
    if found is None:
        raise CallNotAllowed(f"there is no call {call_no}")
    return found
