"""The fleet's registry as import files: regions, users, devices with their products and gateways, bindings.

Each file is a list of objects in JSON, of the kind that the first word of its name says. A few devices are left
incomplete on purpose, as in life: no product scanned, no user bound, or a product whose GTIN no catalogue knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device_sim.fleet.models import check_digit
from device_sim.fleet.population import Appliance
from device_sim.fleet.truth import iso

INCOMPLETE_EVERY = 14
"""One device in so many lacks one of its codes."""

LACKS = ("product", "user", "model")
UNKNOWN_GTIN = "0952999999999" + check_digit("0952999999999")


REGIONS = (
    ("north coast", 54.7, 8.9), ("harbour", 53.5, 10.0), ("lakes", 53.6, 13.2), ("heath", 52.3, 8.4),
    ("river bend", 50.9, 6.9), ("old town", 51.1, 13.6), ("hills", 50.2, 10.4), ("foothills", 47.8, 11.2),
)  # fmt: skip
"""Name, latitude and longitude of each of the simulator's regions (weather, water pressure, hardness), made up."""


def lacks(appliance: Appliance) -> str:
    """Which code a device lacks on purpose: product, user, model, or nothing (empty)."""
    if appliance.number % INCOMPLETE_EVERY != INCOMPLETE_EVERY - 1:
        return ""
    return LACKS[appliance.number // INCOMPLETE_EVERY % len(LACKS)]


def write_registry(folder: Path, appliances: Sequence[Appliance], contacts: bool = False) -> list[Path]:
    """Write regions, users, devices and bindings of a fleet; returns the files.

    contacts: give each user a made-up name and an example.org address, so that outreach has somebody to write to
    (the import then needs the key for personal data).
    """
    users = {appliance.user: _user(appliance, contacts) for appliance in appliances}
    return [
        _write(
            folder / "regions.fleet.json",
            ({"region": name, "latitude": latitude, "longitude": longitude} for name, latitude, longitude in REGIONS),
        ),
        _write(folder / "users.fleet.json", users.values()),
        _write(folder / "devices.fleet.json", (_device(appliance) for appliance in appliances)),
        _write(folder / "bindings.fleet.json", (_binding(one) for one in appliances if lacks(one) != "user")),
    ]


def _user(appliance: Appliance, contacts: bool) -> dict[str, Any]:
    user, (region, _latitude, _longitude) = appliance.user, REGIONS[appliance.household.region]
    row: dict[str, Any] = {"user_id": user, "locale": "en", "time_zone": "UTC", "region": region}
    if contacts:
        row |= {"name": f"Household {user.removeprefix('u-')[:4]}", "email": f"{user}@example.org"}
    return row


def _device(appliance: Appliance) -> dict[str, Any]:
    row: dict[str, Any] = {"device": appliance.device, "gateway": appliance.gateway}
    lacking = lacks(appliance)
    if lacking == "product":
        return row
    gtin = UNKNOWN_GTIN if lacking == "model" else appliance.model.gtin
    made = datetime.fromtimestamp(appliance.produced_at, UTC).date()
    return row | {
        "product": f"(01){gtin}(21){appliance.serial}",
        "produced_on": made.isoformat(),
        "lot": appliance.lot,
        "fitted_since": iso(appliance.produced_at),
    }


def _binding(appliance: Appliance) -> dict[str, Any]:
    return {"user_id": appliance.user, "device": appliance.device, "since": iso(appliance.born_at)}


def write_machines(folder: Path, machines: Iterable[Mapping[str, str]], codes: Iterable[str]) -> list[Path]:
    """Write a whole small registry for recorded machines: families, models, fault codes, users, devices, bindings.

    machines: device, gateway, model, family and since (ISO 8601) of each. codes: all fault codes they may show.
    """
    machines = list(machines)
    models = sorted({(one["model"], one["family"]) for one in machines})
    gtins = {model: _machine_gtin(number) for number, (model, _family) in enumerate(models)}
    files = [
        _write(folder / "families.machines.json", (
            {"family": family, "name": {"en": family.replace("_", " ").capitalize()}}
            for family in sorted({family for _model, family in models})
        )),
        _write(folder / "models.machines.json", (
            {"model": model, "family": family, "name": model, "price_band": "middle", "warranty_months": 12,
             "gtins": [gtins[model]]}
            for model, family in models
        )),
        _write(folder / "users.machines.json", (
            {"user_id": f"owner-{one['device']}"} for one in machines
        )),
        _write(folder / "devices.machines.json", (
            {"device": one["device"], "gateway": one["gateway"],
             "product": f"(01){gtins[one['model']]}(21){one['device'][-20:]}", "fitted_since": one["since"]}
            for one in machines
        )),
        _write(folder / "bindings.machines.json", (
            {"user_id": f"owner-{one['device']}", "device": one["device"], "since": one["since"]}
            for one in machines
        )),
    ]  # fmt: skip
    definitions = [
        {
            "models": [model for model, _family in models], "code": code, "severity": "medium", "stops": False,
            "meaning": {"en": f"Recorded code {code}; its meaning was not recorded"},
            "customer_words": {"en": "Your machine reports something that we should look at."},
            "confirmation_rule": "person", "source": "recorded data, without a dictionary",
        }
        for code in sorted(set(codes))
    ]  # fmt: skip
    if definitions:
        files.append(_write(folder / "faults.machines.json", definitions))
    return files


def _machine_gtin(number: int) -> str:
    body = f"0952{900_000_000 + number:09d}"
    return body + check_digit(body)


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(rows), indent=1) + "\n", encoding="utf-8")
    return path
