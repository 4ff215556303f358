"""/api: the API's reference as one page, made from the OpenAPI description. Nothing is loaded from elsewhere."""

from __future__ import annotations

import html
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>API · firstcall</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/assets/console.css">
<script>if (matchMedia("(prefers-color-scheme: dark)").matches) addEventListener("DOMContentLoaded", () =>
document.body.classList.add("body--dark"));</script></head>
<body><main class="fc-main"><h1 class="fc">API</h1>
<p class="fc-sub">The full description for programs:
<a href="/api/openapi.json">openapi.json</a></p>{body}</main></body></html>"""


@router.get("/api")
async def reference(request: Request) -> HTMLResponse:
    """The page."""
    description: dict[str, Any] = request.app.openapi()
    routes = [
        _route(method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return HTMLResponse(PAGE.format(body="".join(routes)))


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<dt class='mono'>{html.escape(p['name'])}</dt><dd>{html.escape(p.get('description', ''))}</dd>"
        for p in operation.get("parameters", [])
    )
    said = html.escape(operation.get("description", "")).replace("\n", " ")
    return (
        f"<section class='fc-card fc-route'><h2 class='fc'><span class='tag act'>{method.upper()}</span> "
        f"<span class='mono'>{html.escape(path)}</span></h2><p>{said}</p><dl class='fc-facts'>{rows}</dl></section>"
    )
