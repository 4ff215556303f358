"""Pictures of pages for whoever wants to see them: FIRSTCALL_PICTURES names the folder; without it none are made."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.async_api import Page

WIDTHS = {390: 844, 1440: 900}

_CONSOLE_SCHEME = """scheme => document.body.dataset.scheme === "auto" &&
    document.body.classList.toggle("body--dark", scheme === "dark")"""
"""My day looks at the system's choice when it is loaded."""


async def keep_pictures(page: Page, name: str) -> None:
    """The page as it is now, on a phone and on a screen, in light and in dark."""
    folder = os.environ.get("FIRSTCALL_PICTURES")
    if folder is None:
        return
    was = page.viewport_size
    for width, height in WIDTHS.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.evaluate(_CONSOLE_SCHEME, scheme)
            await page.screenshot(
                path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True, animations="disabled"
            )
    await page.emulate_media(color_scheme="null")
    if was is not None:
        await page.set_viewport_size(was)
