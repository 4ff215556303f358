"""The person behind a ticket as an agent needs them, pseudonymous: tier, tags, stage, complaints, products at home."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.rows import Shape, many, one

Stage = Literal["new", "in_warranty", "out_of_warranty", "former", "erased"]
NEW = timedelta(days=90)  # [K] so long somebody is new to an appliance


class HomeProduct(Shape):
    """An appliance that a user has, or had."""

    device: str
    gtin: str | None
    serial: str | None
    model: str | None
    model_name: str | None
    family: str | None
    since: datetime | None
    until: datetime | None
    produced_on: date | None
    warranty_months: int | None
    warranty_until: datetime | None = Field(description="Of the whole appliance, counted from the binding.")


class Customer(Shape):
    """A user as the service knows them."""

    user_id: str
    locale: str
    time_zone: str
    erased_at: datetime | None
    tier: Literal["standard", "high"]
    tags: list[str]
    region: str
    now: datetime
    owner_since: datetime | None
    noticed: int = Field(description="Tickets of a year in which the customer noticed the fault: complaints.")
    open_tickets: int
    tickets: int = Field(description="Of a year, but for dismissed ones.")
    consents: list[str] = Field(description="Channels on which they may be reached.")


class Profile(Shape):
    """A user with what is at home."""

    customer: Customer
    products: list[HomeProduct]

    @property
    def stage(self) -> Stage:
        """Where in their life with the appliances they stand: the newest purchase, then the warranty."""
        held = [p for p in self.products if p.until is None]
        if self.customer.erased_at:
            return "erased"
        if not held:
            return "former"
        if any(p.since and self.customer.now - p.since < NEW for p in held):
            return "new"
        covered = any(p.warranty_until and p.warranty_until > self.customer.now for p in held)
        return "in_warranty" if covered else "out_of_warranty"


async def profile(pool: Pool, user_id: str) -> Profile | None:
    """One user; None when there is none."""
    which = {"user_id": user_id}
    customer = await one(pool, Customer, "customer", which)
    if customer is None:
        return None
    return Profile(customer=customer, products=await many(pool, HomeProduct, "customer_products", which))
