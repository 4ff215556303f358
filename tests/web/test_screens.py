"""What the screens say, without a browser: words, charts, the banner about time. All pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloud.web.board import Picture
from cloud.web.console import charts
from cloud.web.console.frame import banner_words
from cloud.web.console.live import fault_row, shown_rows, storm_row
from cloud.web.console.words import duration, figure, in_language, percent, problem_name, size
from cloud.web.reads.devices import Clocks
from cloud.web.reads.faults import Fault
from cloud.web.reads.ingest import IngestHealth
from cloud.web.reads.series import Bucket, ChannelSeries, Series, UsualRange
from cloud.web.reads.service import Incident
from cloud.web.reads.shelves import Shelf

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def _health(**known: Any) -> IngestHealth:
    counts = dict.fromkeys(
        ("batches_last_minute", "frames_last_minute", "fault_reports_last_minute", "gateways", "gateways_online",
         "devices", "devices_with_faults", "gaps", "dropped", "dropped_bytes"), 0,
    )  # fmt: skip
    lists: dict[str, Any] = {"dead_letters": [], "programs": []}
    return IngestHealth(**{"last_commit_at": NOW, "newest_event_at": NOW, **counts, **lists, **known})


def _picture(reads: str = "wall", **health: Any) -> Picture:
    clocks = Clocks(wall_at=NOW, desk_at=NOW, reads=reads)
    return Picture((), (), (), {}, {}, _health(**health), clocks, 0.0)


def test_the_banner_tells_of_simulated_time_silence_and_clocks_ahead() -> None:
    assert banner_words(_picture(), 120) == ("", False)
    assert banner_words(_picture(last_commit_at=None, newest_event_at=None), 120) == ("", False)
    words, warns = banner_words(_picture(reads="event"), 120)
    assert words.startswith("Simulated or replayed time")
    assert not warns
    words, warns = banner_words(_picture(last_commit_at=NOW - timedelta(hours=3)), 120)
    assert "3.0 h" in words
    assert warns
    words, warns = banner_words(_picture(newest_event_at=NOW + timedelta(days=2)), 120)
    assert "2.0 d ahead" in words


@given(st.floats(0, 1))
def test_a_probability_is_never_falsely_certain(share: float) -> None:
    shown = percent(share)
    assert (shown == "0 %") == (share == 0)
    assert (shown == "100 %") == (share == 1)


def test_figures_for_people() -> None:
    assert figure(1234567) == "1\u202f234\u202f567"
    assert (size(2), size(512_000)) == ("2 B", "500.0 KiB")
    assert (duration(7), duration(5_400), duration(864_000)) == ("7 s", "1.5 h", "10 d")


def test_words_fall_back_to_english_then_to_any() -> None:
    texts = {"en": "Water", "zh": "水"}
    assert in_language(texts, "zh-CN") == "水"
    assert in_language(texts, "de") == "Water"
    assert in_language({"zh": ["一", "二"]}) == "一 二"
    assert in_language(None) == ""
    assert problem_name("anomaly", None) == "Unusual behaviour"
    assert problem_name("E9", None) == "Unexplained code E9"


def _fault(**known: Any) -> Fault:
    base: dict[str, Any] = dict.fromkeys(Fault.model_fields)
    base |= {"case_no": 1, "source": "reported", "problem": "5E", "device": "washer-1", "occurred_at": NOW}
    base |= {"last_at": NOW, "recorded_at": NOW, "raises": 1, "probability": 1.0, "missing": []}
    return Fault(**(base | known))


def test_a_row_leads_to_its_ticket_else_to_its_device_and_says_what_it_waits_for() -> None:
    assert fault_row(_fault(ticket_no=7, ticket_state="proposed"))["href"] == "/tickets/7"
    row = fault_row(_fault(missing=["user", "code"]))
    assert row["href"] == "/devices/washer-1?fault=1"
    assert row["cells"]["next"]["under"] == "no user bound, code not in the dictionary"
    assert row["cells"]["severity"]["value"] == "unknown"
    predicted = fault_row(_fault(source="predicted", probability=0.86, raises=3, cleared_at=NOW))["cells"]["fault"]
    assert (predicted["mark"], predicted["under"]) == ("predicted 86 %", "raised 3 times, cleared")


def test_a_storm_is_one_line_and_the_shelf_hides_what_it_holds() -> None:
    faults = tuple(_fault(case_no=n, device=f"washer-{n}") for n in range(1, 6))
    shelf = Shelf(shelf_no=1, problem="5E", device="washer-5", model=None, reason="known", person="mei",
                  shelved_at=NOW, until=NOW + timedelta(hours=1))  # fmt: skip
    picture = replace(_picture(), faults=faults, in_storms=frozenset({1, 2, 3}), shelves=(shelf,))
    assert [row["key"] for row in shown_rows(picture, lambda fault: True)] == ["4"]
    incident = Incident(incident_no=9, region="hills", cause="water main", began_at=NOW, last_at=NOW, devices=3,
                        region_devices=40, words={}, sentence={"en": "3 of 40 within an hour"}, standing=2,
                        customers=3, told=1, unreachable=0)  # fmt: skip
    cells = storm_row(incident)["cells"]
    assert cells["fault"]["text"] == "3 devices in hills: water main"
    assert cells["next"]["under"] == "1 of 3 customers told"
    unreached = incident.model_copy(update={"unreachable": 2})
    assert storm_row(unreached)["cells"]["next"]["under"] == "1 of 3 customers told, 2 not reachable"
    whole_model = shelf.model_copy(update={"device": None, "model": "WM"})
    assert whole_model.holds(_fault(model="WM"))
    assert not whole_model.holds(_fault(model="WX"))


def _series(*minutes: int, hold_ms: int = 0) -> Series:
    buckets = [Bucket(at=NOW + timedelta(minutes=m), low=1, mean=2, high=4, readings=1) for m in minutes]
    usual = UsualRange(channel="power", low=0, high=3, hours=30)
    power = ChannelSeries(channel="power", unit="W", role="measurement", hold_ms=hold_ms, usual=usual, buckets=buckets)
    mode = power.model_copy(update={"channel": "heating", "role": "mode", "usual": None})
    span = {"since": NOW, "until": NOW + timedelta(hours=1)}
    return Series(device="d", **span, step_s=60, source="frames", channels=[mode, power])


def test_silence_is_a_gap_and_a_standing_reading_is_a_line() -> None:
    def means(series: Series) -> list[Any]:
        options = charts.options(charts.choose(series, ()), series, [(NOW, "5E")])
        return list(options["series"][2]["data"])

    assert [value for _, value in means(_series(0, 1, 2, 30, 31))] == [2, 2, 2, None, 2, 2]
    assert [value for _, value in means(_series(0, 1, 2, 30, 31, hold_ms=900_000))] == [2, 2, 2, 2, 2]


def test_the_channels_of_the_evidence_come_first_and_the_usual_range_is_drawn() -> None:
    series = _series(0, 1)
    assert [c.channel for c in charts.choose(series, ())] == ["power", "heating"]
    assert [c.channel for c in charts.choose(series, ("heating",))] == ["heating", "power"]
    options = charts.options(charts.choose(series, ()), series, [(NOW, "5E")])
    assert options["series"][2]["markArea"]["data"] == [[{"yAxis": 0}, {"yAxis": 3}]]
    assert "markArea" not in options["series"][5]
    assert [line["name"] for line in options["series"][2]["markLine"]["data"]] == ["5E"]
