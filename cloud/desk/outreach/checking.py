"""Is this call or message really from us? The customer types its code on the product's own page.

A yes is given only for codes of this very product that are in force. Guessing is counted before anything is looked up,
by client and by product; comparing takes the same time whether a code is right or wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import dict_row

from cloud.desk.outreach.file import SQL, Connection
from cloud.desk.outreach.secrets import CODE_LENGTH, OutreachKey, matches, normal_code
from cloud.desk.outreach.settings import OutreachSettings


class TooManyTries(Exception):
    """Too many codes were tried from here, or for this product: try again later."""


@dataclass(frozen=True, slots=True)
class Genuine:
    """The code is of a message that we sent, or a call that we make, about this product."""

    channel: str
    purpose: str
    sent_at: datetime


async def check(
    connection: Connection,
    key: OutreachKey,
    settings: OutreachSettings,
    *,
    gtin: str,
    serial: str,
    typed: str,
    client: str,
) -> Genuine | None:
    """Whether a code is ours and about this product; None: it is not, so the message may be a fraud.

    `client` tells clients apart (an address); it is stored as a keyed hash only.

    Raises:
        TooManyTries: nothing was looked up.
    """
    await _count(connection, key.subject_hash(f"client {client}"), settings.check_tries, settings)
    await _count(connection, key.subject_hash(f"product {gtin} {serial}"), settings.check_tries_product, settings)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["live_codes"], {"gtin": gtin, "serial": serial})
        rows = await cursor.fetchall()
    code = normal_code(typed)
    place = matches(key.code_hash(code), [bytes(row["code_hash"]) for row in rows])
    if place is None or place >= len(rows) or len(code) != CODE_LENGTH:
        return None
    row = rows[place]
    return Genuine(row["channel"], row["purpose"], row["sent_at"])


async def _count(connection: Connection, subject: str, at_most: int, settings: OutreachSettings) -> None:
    limit = {"subject": subject, "span": timedelta(minutes=settings.check_minutes), "at_most": at_most}
    row = await (await connection.execute(SQL["count_check_try"], limit)).fetchone()
    if row is None or not row[0]:
        raise TooManyTries(f"too many codes were tried; please wait {settings.check_minutes:.0f} minutes")
