"""Settings of the customer's pages, read once from the environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CustomerSettings(BaseSettings):
    """Settings of the product's own pages. Each can be given as an environment variable FIRSTCALL_CUSTOMER_<NAME>.

    Sending (mail server, SMS provider) and the company's name are those of outreach, FIRSTCALL_OUTREACH_…. The limits
    are judgement [K]; docs/customer.md says what each is against.
    """

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_CUSTOMER_", frozen=True)

    session_days: float = Field(default=30.0, gt=0, le=366, description="Days until a customer has to sign in again.")
    country_code: str = Field(
        default="",
        pattern=r"^(\+[1-9][0-9]{0,3})?$",
        description="Put before phone numbers typed without one, e.g. +86. Empty: such numbers are refused.",
    )
    time_zone: str = Field(default="UTC", description="Time zone of a new customer until they choose another.")
    code_minutes: float = Field(default=10.0, gt=0, description="Minutes for which a one-time code works.")
    code_tries: int = Field(default=5, ge=1, description="Wrong entries after which a one-time code is void.")
    handover_days: float = Field(default=14.0, gt=0, description="Days for which a transfer code works.")
    span_minutes: float = Field(default=15.0, gt=0, description="Span over which the limits below are counted.")
    lookups: int = Field(default=60, ge=1, description="Products that one client may look up in a span.")
    codes_to_contact: int = Field(default=4, ge=1, description="One-time codes sent to one phone or e-mail in a span.")
    codes_by_client: int = Field(default=12, ge=1, description="One-time codes that one client may ask for in a span.")
    entries_by_client: int = Field(default=30, ge=1, description="One-time codes that one client may enter in a span.")
    takings: int = Field(
        default=10, ge=1, description="Appliances that one account may try to register or take over in a span."
    )
