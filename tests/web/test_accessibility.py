"""No serious accessibility fault on any screen, at both widths, in light and dark, in both languages (axe-core)."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser
from psycopg import AsyncConnection

from tests.support.require import leave_out, require
from tests.web.history import add_history

pytestmark = pytest.mark.browser
Connection = AsyncConnection[Any]
AXE = "axe-core@4.10.3"
SCREENS = (
    "/", "/?show=shelved", "/queue", "/tickets/2", "/devices", "/devices/fridge-0107", "/fleet?by=lot",
    "/fleet?by=region", "/my-day?engineer=lena", "/trust", "/ingest",
)  # fmt: skip
LOOKS = ((1440, "light", "en"), (390, "dark", "zh"))


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, through npm."""
    npm = shutil.which("npm")
    require(npm, "no npm on this machine: axe-core cannot be had")
    folder = tmp_path_factory.mktemp("axe")
    try:
        packed = subprocess.run(
            [str(npm), "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, timeout=60, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        leave_out(f"npm does not give {AXE}")
    with tarfile.open(fileobj=io.BytesIO(Path(folder, packed.stdout.strip().splitlines()[-1]).read_bytes())) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


async def test_axe_finds_no_serious_fault(
    browser: Browser, axe: str, start_console: Callable[..., str], connection: Connection
) -> None:
    await add_history(connection)
    url, found = start_console(), list[str]()
    for width, scheme, language in LOOKS:
        context = await browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
        await context.add_cookies([{"name": "fc_language", "value": language, "url": url}])
        page = await context.new_page()
        for path in SCREENS:
            await page.goto(url + path)
            await page.wait_for_selector("h1", timeout=15_000)
            await page.wait_for_timeout(400)
            assert (await page.get_attribute("html", "lang") or "")[:2] == language
            too_wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert too_wide <= 0, f"{path} is {too_wide} px too wide at {width} px"
            await page.add_script_tag(content=axe)
            outcome = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            found += [
                f"{path} {width} {scheme}: {v['id']} ({v['impact']}) {v['nodes'][0]['html'][:140]}"
                for v in outcome["violations"]
                if v["impact"] in ("serious", "critical")
            ]
        await context.close()
    assert found == [], "\n".join(found)
