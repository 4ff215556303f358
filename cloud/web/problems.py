"""Errors of the API as problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger()


class ProblemBody(BaseModel):
    """The body of every error answer."""

    type: str = Field(description="Stable name of the kind of problem.", examples=["urn:firstcall:problem:not-found"])
    title: str = Field(description="What kind of problem, for a person.", examples=["Not found"])
    status: int = Field(description="The HTTP status, once more.", examples=[404])
    detail: str = Field(description="What was wrong here and what to do.", examples=["there is no ticket 7"])
    errors: list[dict[str, str]] | None = Field(
        default=None, description="For a refused request: each field (`at`) with what was wrong (`wrong`)."
    )


class Problem(Exception):
    """An answer other than success: `kind` is its stable name, `detail` says what was wrong and what to do."""

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers


def not_found(what: str) -> Problem:
    """There is no such thing."""
    return Problem(404, "not-found", f"there is no {what}")


def conflict(detail: str) -> Problem:
    """The thing is not in a state that allows this."""
    return Problem(409, "conflict", detail)


def unprocessable(detail: str) -> Problem:
    """The request is well formed and asks for something that cannot be."""
    return Problem(422, "invalid", detail)


def response(
    status: int,
    kind: str,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer for a problem."""
    body: dict[str, Any] = {
        "type": f"urn:firstcall:problem:{kind}",
        "title": kind.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        body["errors"] = errors
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.exception_handler(Problem)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(PoolTimeout)(_database_away)
    app.exception_handler(psycopg.OperationalError)(_database_away)
    app.exception_handler(Exception)(_unexpected)


async def _problem(_: Request, error: Problem) -> JSONResponse:
    return response(error.status, error.kind, error.detail, headers=error.headers)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    wrong = [{"at": ".".join(str(part) for part in e["loc"]), "wrong": str(e["msg"])} for e in error.errors()]
    where = "; ".join(f"{w['at']}: {w['wrong']}" for w in wrong)
    return response(422, "invalid", f"the request was not understood: {where}", errors=wrong)


async def _http(_: Request, error: HTTPException) -> JSONResponse:
    phrase = HTTPStatus(error.status_code).phrase
    kind = phrase.lower().replace(" ", "-")
    return response(error.status_code, kind, str(error.detail), headers=error.headers)


async def _database_away(request: Request, error: Exception) -> JSONResponse:
    state = getattr(error, "sqlstate", None)
    if state is not None and state[:2] not in {"08", "53", "57", "58"}:  # psycopg files states unknown to it here too
        return await _unexpected(request, error)
    log.warning("database.away", path=request.url.path, error=type(error).__name__)
    return response(
        503, "database-away", "the database does not answer; try again in a moment", headers={"Retry-After": "2"}
    )


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request.failed", path=request.url.path, exc_info=error)
    return response(500, "failed", "the request failed here; the log of the web program says why")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that may answer with these problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {s: {"description": HTTPStatus(s).phrase, "model": ProblemBody, "content": content} for s in statuses}
