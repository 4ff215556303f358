"""Drivers by name: those registered in this process, the agent's own, and those of installed packages.

A package offers a driver under the entry-point group `firstcall.drivers`: a callable that takes the device's id and
its options and returns a Driver. It raises ValueError, with plain words, when an option is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.ports import Driver

GROUP = "firstcall.drivers"

DriverFactory = Callable[[str, Mapping[str, Any]], Driver]

_registered: dict[str, DriverFactory] = {}


class UnknownDriver(ValueError):
    """No driver of that name is installed."""


def register(name: str, factory: DriverFactory) -> None:
    """Offer a driver in this process under a name; a name given twice takes the later one."""
    _registered[name] = factory


def create(name: str, device: str, options: Mapping[str, Any]) -> Driver:
    """The driver of that name for a device, not yet open.

    Raises:
        UnknownDriver: there is none of that name; the text lists those there are.
        ValueError: an option is wrong.
    """
    return _factory(name)(device, options)


def names() -> list[str]:
    """All driver names that `create` would find."""
    return sorted({"recorded", *_registered, *_installed()})


def _factory(name: str) -> DriverFactory:
    if name in _registered:
        return _registered[name]
    if name == "recorded":
        from edge_agent.drivers.recorded import RecordedDriver  # noqa: PLC0415 - only who plays a file pays for it

        return RecordedDriver.from_options
    installed = _installed()
    if name not in installed:
        raise UnknownDriver(f"no driver {name!r}; there is {', '.join(names())}")
    factory: DriverFactory = installed[name].load()
    return factory


def _installed() -> dict[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs 2 MiB, and only a foreign driver needs it

    return {point.name: point for point in entry_points(group=GROUP)}
