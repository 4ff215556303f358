"""Writes docs/settings.md from the settings objects of the programs: `make docs`."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

PAGE = Path(__file__).with_name("settings.md")
ROOMS = ("cloud", "edge_agent", "device_sim")
GATEWAY_FILE = ("edge_agent.settings", "EdgeSettings")
HEAD = """\
# Settings

Written by `make docs` from the settings objects; do not edit by hand. Each program reads its settings once, when it
starts, and refuses to start when one is wrong. Secrets are never logged.

The cloud programs and the simulator read environment variables. The gateway reads one TOML file (last section).
"""


def settings_classes() -> list[type[BaseSettings]]:
    """Every settings class of the project that reads the environment, by its prefix."""
    found = set()
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if module.name.endswith(".__main__"):
                continue  # importing it would run it
            members = vars(importlib.import_module(module.name)).values()
            found.update(m for m in members if isinstance(m, type) and issubclass(m, BaseSettings))
    ours = (m for m in found if m.__module__.split(".")[0] in ROOMS)
    return sorted(ours, key=lambda m: (m.model_config.get("env_prefix", ""), m.__name__))


def keys_of(model: type[BaseModel], prefix: str, joint: str, shape: str = "{}") -> Iterator[tuple[str, FieldInfo]]:
    """Each key with its field, nested models flattened: `prefix` + name, levels joined by `joint`."""
    for name, field in model.model_fields.items():
        key = prefix + name
        inner = model_inside(field)
        if inner is None:
            yield shape.format(key), field
        else:
            yield from keys_of(inner, key + joint, joint, shape)


def model_inside(field: FieldInfo) -> type[BaseModel] | None:
    """The pydantic model that a field holds, alone or in a list or tuple; None for plain values."""
    candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def environment_keys(settings: type[BaseSettings]) -> Iterator[tuple[str, FieldInfo]]:
    """The environment variables of one settings class."""
    joint = settings.model_config.get("env_nested_delimiter") or "__"
    for key, field in keys_of(settings, settings.model_config.get("env_prefix", ""), joint):
        yield key.upper(), field


def gateway_keys() -> Iterator[tuple[str, FieldInfo]]:
    """The keys of the gateway's TOML file, dotted."""
    module, name = GATEWAY_FILE
    yield from keys_of(getattr(importlib.import_module(module), name), "", ".")


def page() -> str:
    """The text of docs/settings.md."""
    parts = [HEAD]
    for settings in settings_classes():
        prefix = settings.model_config.get("env_prefix", "")
        about = first_line(settings)
        parts.append(f"\n## {prefix}…\n\n" + (f"{about}\n\n" if about else "") + table(environment_keys(settings)))
    parts.append(f"\n## The gateway's file\n\n{table(gateway_keys())}")
    return "".join(parts)


def first_line(settings: type[BaseModel]) -> str:
    """What the class says of itself."""
    text = (settings.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
    return re.sub(r" ?Each (field )?can be given as an environment variable FIRSTCALL_\w+<NAME>\.", "", text)


def table(keys: Iterator[tuple[str, FieldInfo]]) -> str:
    """A Markdown table of keys, defaults and descriptions."""
    rows = [f"| `{key}` | {shown_default(field)} | {escape(field.description or '')} |\n" for key, field in keys]
    return "| Key | Default | Meaning |\n|---|---|---|\n" + "".join(rows)


def shown_default(field: FieldInfo) -> str:
    """The default as one would write it; what depends on the machine is named, not shown."""
    if field.default_factory is not None:
        return "computed"
    value = field.default
    if value is PydanticUndefined:
        return "**required**"
    if value is None:
        return "–"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, set | frozenset):
        value = sorted(value)
    text = str(value) if isinstance(value, str | Path) else json.dumps(value, default=str)
    return f"`{escape(text)}`" if text and len(text) <= 60 else "see the meaning" if text else "empty"


def escape(text: str) -> str:
    """Fit for a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
