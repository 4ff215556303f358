"""Signing in and out: two plain forms, without NiceGUI, so that nothing of the console is served before."""

from __future__ import annotations

import html
import time

import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from cloud.web import sessions
from cloud.web.console.words import _
from cloud.web.guard import Door
from cloud.web.metrics import Metrics

log = structlog.get_logger()

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · firstcall</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/assets/console.css">
<link rel="icon" href="/assets/mark.svg" type="image/svg+xml">
<script>if (matchMedia("(prefers-color-scheme: dark)").matches) addEventListener("DOMContentLoaded", () =>
document.body.classList.add("body--dark"));</script></head>
<body><main class="fc-door"><form method="post" action="/sign-in"><h1 class="fc">{title}</h1>{wrong}
<input type="hidden" name="next" value="{next}">
<label>{name}
<input name="operator" autocomplete="username" required maxlength="64" autofocus value="{operator}"></label>
<label>{password}<input name="password" type="password" autocomplete="current-password" required></label>
<button>{title}</button></form></main></body></html>"""


def router(door: Door, metrics: Metrics) -> APIRouter:
    """The routes, for the rules of `door`."""
    routes = APIRouter(include_in_schema=False)
    throttle = sessions.Throttle()

    @routes.get("/sign-in")
    async def form(next: str = "/") -> Response:
        if door.console_open:
            return RedirectResponse("/", status_code=303)
        return _page(next)

    @routes.post("/sign-in")
    async def sign_in(
        request: Request,
        operator: str = Form(min_length=1, max_length=64),
        password: str = Form(max_length=1024),
        next: str = Form(default="/"),
    ) -> Response:
        expected = door.settings.operator_password
        if expected is None:
            return RedirectResponse("/", status_code=303)
        if not throttle.allows(time.monotonic()):
            return _page(next, operator, _("Too many failed attempts. Wait a minute and try again."), 429)
        name = operator.strip()
        if not name or not name.isprintable() or not sessions.same_secret(password, expected.get_secret_value()):
            throttle.failed(time.monotonic())
            metrics.refused.inc()
            log.warning("sign_in.refused")
            return _page(next, operator, _("The name or the password is wrong."), 401)
        log.info("sign_in.accepted", operator=name)
        lasts = door.settings.session_hours * 3600
        answer = RedirectResponse(_local(next), status_code=303)
        answer.set_cookie(
            sessions.COOKIE,
            sessions.issue(door.key, name, time.time() + lasts),
            max_age=int(lasts),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @routes.post("/sign-out")
    async def sign_out() -> Response:
        answer = RedirectResponse("/sign-in", status_code=303)
        answer.delete_cookie(sessions.COOKIE)
        return answer

    return routes


def _local(target: str) -> str:
    """Only a path of our own: never another site after signing in."""
    ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if ours else "/"


def _page(target: str, operator: str = "", wrong: str = "", status: int = 200) -> HTMLResponse:
    said = f'<p class="fc-wrong" role="alert">{html.escape(wrong)}</p>' if wrong else ""
    return HTMLResponse(
        PAGE.format(
            title=_("Sign in"),
            name=_("Your name"),
            password=_("Password"),
            operator=html.escape(operator, quote=True),
            next=html.escape(_local(target), quote=True),
            wrong=said,
        ),
        status_code=status,
    )
