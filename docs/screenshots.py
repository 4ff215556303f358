"""Take pictures of a running console: each screen at 1440 and 390 px, light and dark, in English or Chinese.

    python docs/screenshots.py http://127.0.0.1:8080 docs/images

The screens of one ticket and one device are those of the first ticket in the queue. Chinese text needs the font
fonts-noto-cjk on the machine that takes them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {1440: 900, 390: 844}
SCHEMES = ("light", "dark")


def screens(url: str, token: str | None) -> dict[str, str]:
    """Name and path of each screen, the ticket and device taken from the queue's head."""
    request = urllib.request.Request(f"{url}/api/v1/tickets?limit=1")  # noqa: S310 - the address that was asked for
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        tickets: list[dict[str, Any]] = json.load(answer)["items"]
    paths = {
        "live": "/",
        "queue": "/queue",
        "devices": "/devices",
        "fleet": "/fleet?by=lot",
        "map": "/fleet?by=region",
        "day": "/my-day",
        "trust": "/trust",
        "ingest": "/ingest",
    }
    if tickets:
        paths["ticket"] = f"/tickets/{tickets[0]['ticket_no']}"
        paths["device"] = f"/devices/{tickets[0]['device']}"
    return paths


def take(browser: Browser, url: str, paths: dict[str, str], folder: Path, asked: argparse.Namespace) -> list[str]:
    """Take them all; returns what went wrong in the browser: script errors, and requests to anywhere else."""
    wrong: list[str] = []
    for width, height in WIDTHS.items():
        for scheme in SCHEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1
            )
            context.add_cookies([{"name": "fc_language", "value": asked.language, "url": url}])
            page = context.new_page()
            page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
            page.on("request", lambda r: None if r.url.startswith((url, "data:")) else wrong.append(f"left: {r.url}"))
            for name, path in paths.items():
                page.goto(url + path)
                page.wait_for_selector("h1", timeout=15_000)
                page.wait_for_timeout(700)
                overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                if overflow > 0:
                    wrong.append(f"{name} at {width} px is {overflow} px too wide")
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=asked.whole)
            context.close()
    return wrong


def main() -> int:
    """Take the pictures; 1 when the browser complained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url", help="address of the running console")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--whole", action="store_true", help="the whole page, not only what the window shows")
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="which language the pages speak")
    parser.add_argument("--engineer", help="whose day to show; else that of whoever is signed in")
    parser.add_argument("--token", help="API token, where the console asks for one")
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    asked.folder.mkdir(parents=True, exist_ok=True)
    url = asked.url.rstrip("/")
    paths = screens(url, asked.token)
    if asked.engineer:
        paths["day"] += f"?engineer={asked.engineer}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            wrong = take(browser, url, paths, asked.folder, asked)
        finally:
            browser.close()
    for line in sorted(set(wrong)):
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
