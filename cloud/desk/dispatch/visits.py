"""An engineer's day, and how a visit ends: with a finding, once, however often a flaky network sends it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import dict_row

from cloud.desk.dispatch.people import SQL, Connection
from cloud.desk.errors import DeskError
from cloud.desk.tickets import Finding, Outcome, contact, resolve

PhotoType = Literal["image/jpeg", "image/png", "image/webp", "image/heic"]
_BEGINNINGS: dict[str, tuple[int, bytes]] = {
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/webp": (8, b"WEBP"),
    "image/heic": (4, b"ftyp"),
}
PHOTO_BYTES = 8_388_608


class NoSuchVisit(DeskError):
    """There is no work order of that number."""


class OtherFinding(DeskError):
    """This visit has already ended with another finding; findings are not altered."""


class BadPhoto(DeskError):
    """Not a photo of a kind that is taken, or too large."""


@dataclass(frozen=True, slots=True)
class VisitReport:
    """What the engineer found. Times are aware; `failed_at`: when the appliance stopped doing its work, if it did."""

    outcome: Outcome
    found_at: datetime
    code: str | None = None
    part: str | None = None
    note: str = ""
    failed_at: datetime | None = None

    @property
    def digest(self) -> bytes:
        """Tells the same report sent again from another one."""
        said = [self.outcome, self.code, self.part, self.note, self.failed_at and self.failed_at.timestamp()]
        return hashlib.sha256(json.dumps(said).encode()).digest()


async def my_day(connection: Connection, engineer: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """An engineer's visits within a span, in order: rows of view visit_card."""
    return await _rows(connection, "day_of", {"engineer": engineer, "start": start, "end": end})


async def board(connection: Connection, at_most: int = 200) -> list[dict[str, Any]]:
    """Open work orders for the dispatcher: rows of view visit_card, those with a time first."""
    return await _rows(connection, "board", {"at_most": at_most})


async def finish(connection: Connection, work_order_no: int, engineer: str, report: VisitReport) -> int:
    """The visit ends: finding, ticket resolved, part taken from the van, in one transaction; the finding's number.

    The same report again returns the same number and changes nothing.

    Raises:
        NoSuchVisit, OtherFinding; DeskError: the ticket is closed already, or not at the customer yet.
    """
    which = {"work_order_no": work_order_no}
    async with connection.transaction():
        order = await _order(connection, work_order_no)
        for lock in ("lock_ticket_device", "lock_ticket", "lock_order"):
            await connection.execute(SQL[lock], {**which, "ticket_no": order["ticket_no"]})
        known = await (await connection.execute(SQL["report_of"], which)).fetchone()
        if known is not None:
            if bytes(known[1]) != report.digest:
                raise OtherFinding(f"visit {work_order_no} has ended with finding {known[0]}, which says otherwise")
            return int(known[0])
        found = Finding(report.outcome, report.code, report.part, report.note, report.failed_at, report.found_at)
        if order["ticket_state"] == "confirmed":
            await contact(connection, order["ticket_no"], engineer, "at the customer's")
        finding_no = await resolve(connection, order["ticket_no"], engineer, found)
        await connection.execute(SQL["put_report"], {**which, "finding_no": finding_no, "digest": report.digest})
        if report.part is not None:
            await connection.execute(SQL["use_part"], {"engineer": engineer, "part": report.part})
    return finding_no


async def add_photo(connection: Connection, work_order_no: int, media_type: PhotoType, body: bytes) -> str:
    """Keep a photo of a visit; the same one again is kept once. Returns its SHA-256 in hexadecimal.

    Raises:
        BadPhoto: over 8 MiB, or its first bytes are not of the kind that it claims. NoSuchVisit.
    """
    offset, beginning = _BEGINNINGS.get(media_type, (0, b""))
    if not beginning or body[offset : offset + len(beginning)] != beginning:
        raise BadPhoto(f"this is not a photo of type {media_type}")
    if len(body) > PHOTO_BYTES:
        raise BadPhoto(f"a photo of {len(body)} bytes; at most {PHOTO_BYTES} are taken")
    await _order(connection, work_order_no)
    digest = hashlib.sha256(body).digest()
    await connection.execute(
        SQL["put_photo"],
        {"work_order_no": work_order_no, "digest": digest, "media_type": media_type, "body": body},
    )
    return digest.hex()


async def photos(connection: Connection, work_order_no: int) -> list[dict[str, Any]]:
    """Photos of a visit without their bytes: digest, media_type, bytes, received_at."""
    return await _rows(connection, "photos", {"work_order_no": work_order_no})


async def photo(connection: Connection, work_order_no: int, digest: str) -> tuple[str, bytes] | None:
    """One photo: its type and its bytes."""
    cursor = await connection.execute(SQL["photo"], {"work_order_no": work_order_no, "digest": digest})
    row = await cursor.fetchone()
    return None if row is None else (str(row[0]), bytes(row[1]))


async def _order(connection: Connection, work_order_no: int) -> dict[str, Any]:
    rows = await _rows(connection, "order", {"work_order_no": work_order_no})
    if not rows:
        raise NoSuchVisit(f"there is no work order {work_order_no}")
    return rows[0]


async def _rows(connection: Connection, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL[query], parameters)
        return await cursor.fetchall()
