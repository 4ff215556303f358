"""The API against the real database."""

from __future__ import annotations

import httpx


async def test_faults_carry_their_four_codes_and_name_what_is_missing(api: httpx.AsyncClient) -> None:
    faults = (await api.get("/api/v1/faults")).json()["items"]
    by_device = {(f["device"], f["problem"]): f for f in faults}
    whole = by_device["washer-0042", "5E"]
    assert (whole["user_id"], whole["model"], whole["severity"], whole["missing"]) == (
        "u_004c1f",
        "WM-8014",
        "high",
        [],
    )
    assert whole["meaning"]["en"] == "Water does not drain"
    assert by_device["washer-0043", "LE"]["missing"] == ["user"]
    assert by_device["fridge-0108", "Er-FS"]["missing"] == ["product"]
    assert by_device["ac-0312", "E9"]["missing"] == ["code"]
