"""Puts the customer's pages under an application."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import FileResponse

from cloud.web.customer import pages_account, pages_answer, pages_product, pages_sign_in
from cloud.web.customer.guest import HERE
from cloud.web.customer.reception import Parts, install

PUBLIC = ("/01/", "/c/", "/a/")
"""Where these pages are: open to everybody, with sign-in and form tokens of their own."""


def mount(app: FastAPI, session_key: bytes) -> None:
    """Read the settings and add the pages. pydantic.ValidationError, NoOutreachKey: a setting is wrong."""
    install(app, Parts.read(session_key))

    @app.get("/c/customer.css", include_in_schema=False)
    async def style() -> FileResponse:
        return FileResponse(HERE / "customer.css", headers={"Cache-Control": "public, max-age=31536000, immutable"})

    for pages in (pages_product, pages_sign_in, pages_account, pages_answer):
        app.include_router(pages.router)
