"""What the customer's pages work with: settings, keys and providers from the start, the pool while the program runs."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from fastapi import FastAPI, Request

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.outreach.ladder import Channel
from cloud.desk.outreach.providers import Provider
from cloud.desk.outreach.secrets import OutreachKey
from cloud.desk.outreach.service import providers_of
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.settings import DeskSettings
from cloud.registry.costs import Costs
from cloud.registry.keys import MasterKey
from cloud.registry.people import Connection
from cloud.web.context import WebContext
from cloud.web.customer.settings import CustomerSettings
from cloud.web.customer.visits import VisitKey

SQL = queries.load("customer")


class TooOften(Exception):
    """A limit was reached; nothing was looked up, sent or changed."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known when the program starts."""

    settings: CustomerSettings
    outreach: OutreachSettings
    dispatch: DispatchSettings
    costs: Costs
    key: VisitKey
    outreach_key: OutreachKey | None
    providers: Mapping[Channel, Provider]

    @classmethod
    def read(cls, session_key: bytes) -> Parts:
        """From the environment. pydantic.ValidationError, NoOutreachKey: a setting is wrong."""
        outreach = OutreachSettings()
        return cls(
            CustomerSettings(),
            outreach,
            DispatchSettings(),
            Costs.load(DeskSettings().costs_file),
            VisitKey(session_key),
            outreach.load_key(),
            providers_of(outreach),
        )


@dataclass(frozen=True, slots=True)
class Reception:
    """The parts of the running program."""

    parts: Parts
    pool: Pool
    master: MasterKey | None

    @property
    def settings(self) -> CustomerSettings:
        """The pages' settings."""
        return self.parts.settings

    @property
    def verifies(self) -> tuple[str, ...]:
        """The kinds of contact that can be verified here: those that a code can be sent to."""
        if self.master is None:
            return ()
        channels: tuple[tuple[str, Channel], ...] = (("email", "email"), ("phone", "sms"))
        return tuple(kind for kind, channel in channels if channel in self.parts.providers)

    async def count(self, connection: Connection, subject: str, at_most: int) -> None:
        """Count one try of a subject in the span that the settings name. TooOften: it was one too many.

        Subjects are kept as keyed hashes: an address or a contact is personal.
        """
        span = timedelta(minutes=self.settings.span_minutes)
        asked = {"subject": self.parts.key.subject(subject), "span": span, "at_most": at_most}
        row = await (await connection.execute(SQL["count_try"], asked)).fetchone()
        if row is None or not row[0]:
            raise TooOften(subject.partition(" ")[0])


def install(app: FastAPI, parts: Parts) -> None:
    """Keep the parts with the application."""
    app.state.customer = parts


def reception_of(request: Request) -> Reception:
    """The running program's parts, for a page."""
    context: WebContext = request.app.state.context
    return Reception(request.app.state.customer, context.pool, context.master_key)


def client_of(request: Request) -> str:
    """Who asks, for limits: the address; of IPv6 the network of 64 bits, of which one customer has all."""
    text = request.client.host if request.client else "unknown"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return text
