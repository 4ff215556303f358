"""The fleet's map: every region is on it or beside it, in proportion; a click on a bubble filters to the region."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, radians
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import Browser, expect
from psycopg import AsyncConnection

from cloud.web.console.fleet_map import ASPECT, extent, located, options, told
from cloud.web.reads.fleet import Member, Place
from tests.web.history import add_history

Connection = AsyncConnection[Any]
NAMES = ["north", "harbour", "old town", "hills"]


def _member(name: str | None, devices: int = 4, faults: int = 2, years: float = 2.0) -> Member:
    return Member(member=name, name=None, devices=devices, faults=faults, affected=faults, faults_before=0,
                  years=years, years_before=years)  # fmt: skip


places = st.lists(
    st.builds(Place, region=st.sampled_from(NAMES), latitude=st.floats(-89, 89), longitude=st.floats(-180, 180)),
    min_size=1, max_size=4, unique_by=lambda place: place.region,
)  # fmt: skip


@given(places, st.lists(st.sampled_from([*NAMES, None]), unique=True))
def test_every_region_is_on_the_map_or_beside_it(where: list[Place], names: list[str | None]) -> None:
    found = [_member(name) for name in names]
    spots, rest = located(found, where)
    assert sorted([str(m.member) for m, _ in spots] + [str(m.member) for m in rest]) == sorted(map(str, names))
    assert {m.member for m, _ in spots} == {p.region for p in where} & set(names)


@given(places)
def test_the_net_holds_every_place_in_the_drawings_proportions(where: list[Place]) -> None:
    west, east, south, north = extent(where)
    assert all(west < p.longitude < east and south < p.latitude < north for p in where)
    squeeze = max(cos(radians((max(p.latitude for p in where) + min(p.latitude for p in where)) / 2)), 0.1)
    assert (east - west) * squeeze / (north - south) == pytest.approx(ASPECT)


def test_a_bubble_tells_its_rate_with_its_uncertainty_and_names_are_text() -> None:
    assert told(_member("hills")) == [
        "hills", "devices: 4", "100.0 faults per 100 appliance-years", "with 95 %: 20.8 to 320.8"
    ]  # fmt: skip
    assert told(_member("hills", years=0.0))[-1].startswith("no rate")
    spots, _ = located(
        [_member("<b>{c}", devices=1), _member("hills")],
        [Place(region="<b>{c}", latitude=48, longitude=9), Place(region="hills", latitude=49, longitude=9)],
    )
    large, small = options(spots)["series"][0]["data"]
    assert large["symbolSize"] == 2 * small["symbolSize"], "twice as wide: four times as many"
    assert small["tooltip"]["formatter"].startswith("&lt;b&gt;&#123;c}<br>devices: 1")


@pytest.mark.browser
async def test_a_click_on_a_region_filters_to_it(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    await add_history(connection)
    await connection.execute("DELETE FROM region WHERE region = 'hills'")
    url = start_console()
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    await page.goto(f"{url}/fleet?by=region")
    beside = page.locator(".fc-unplaced")
    await expect(beside.get_by_role("link", name="hills")).to_be_visible()
    await expect(beside.get_by_text("region not known")).to_be_visible()
    await expect(page.locator(".fc-map svg text", has_text="harbour")).to_be_visible()
    await page.locator(".fc-map svg text", has_text="harbour").click()  # the words of a bubble belong to it
    await expect(page.get_by_text("Only this region:")).to_be_visible()
    assert "by=model" in page.url
    region = page.url.rpartition("region=")[2].replace("+", " ")
    devices = await connection.execute(
        "SELECT count(*) FROM binding JOIN customer_profile USING (user_id) JOIN fitting USING (device_no)"
        " WHERE region = %s AND upper_inf(binding.valid)", [region],
    )  # fmt: skip
    counted = sum([int(words) for words in await page.locator("table").first.locator("td.told").all_inner_texts()])
    assert (counted,) == await devices.fetchone()
    await page.get_by_role("link", name="Show all regions").click()
    await expect(page.get_by_text("Only this region:")).to_have_count(0)
