"""From gateway.toml and the environment to the settings object, and every mistake in plain words."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edge_agent.drivers import UnknownDriver, create, names
from edge_agent.settings import EdgeSettings

PASSWORD_VARIABLE = "FIRSTCALL_EDGE_PASSWORD"  # noqa: S105 - the variable's name, not a password
SECRET_KEYS = frozenset({"password"})
FILES = ("password_file", "ca_file", "certificate_file", "key_file")

EXPECTED = {
    "missing": "a value: this key is required",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text in quotes",
    "path_type": "a path in quotes",
    "dict_type": "a table, { key = value }",
    "tuple_type": "a list, written as [[devices]] tables",
    "finite_number": "a finite number",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a configuration: where, what is there, what was expected."""

    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: expected {self.expected}"


class BadConfiguration(Exception):
    """The configuration cannot be used; `mistakes` says every reason."""

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join([f"{source}: {len(mistakes)} mistake(s)", *(f"  {one}" for one in mistakes)]))


def load(path: Path, environment: Mapping[str, str] = os.environ) -> EdgeSettings:
    """The settings of a gateway.toml; relative paths in it are relative to its folder.

    FIRSTCALL_EDGE_PASSWORD in the environment stands for broker.password.

    Raises:
        BadConfiguration: with every mistake at once.
    """
    table = _read(path)
    broker = table.setdefault("broker", {})
    if PASSWORD_VARIABLE in environment and isinstance(broker, dict):
        broker["password"] = environment[PASSWORD_VARIABLE]
        broker.pop("password_file", None)
    _anchor(table, path.parent)
    settings, mistakes = _settings(table)
    if settings is not None:
        mistakes = _elsewhere(settings)
    if settings is None or mistakes:
        raise BadConfiguration(str(path), mistakes)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadConfiguration(str(path), [Mistake("the file", "missing", "a TOML file at this path")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(str(path), [Mistake("the file", str(error), "a readable UTF-8 file")]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(str(path), [Mistake("the file", str(error), "TOML, see toml.io")]) from None


def _anchor(table: dict[str, Any], folder: Path) -> None:
    """Make relative paths relative to the configuration's folder."""
    broker, spool = table.get("broker"), table.get("spool")
    if isinstance(broker, dict):
        for key in FILES:
            if isinstance(broker.get(key), str):
                broker[key] = str(folder / broker[key])
    if isinstance(spool, dict) and isinstance(spool.get("path"), str) and spool["path"] != ":memory:":
        spool["path"] = str(folder / spool["path"])
    elif spool is None:
        table["spool"] = {"path": str(folder / "spool.db")}
    elif isinstance(spool, dict):
        spool.setdefault("path", str(folder / "spool.db"))
    devices = table.get("devices")
    for device in devices if isinstance(devices, list) else ():
        options = device.get("options") if isinstance(device, dict) else None
        if isinstance(options, dict) and isinstance(options.get("file"), str):
            options["file"] = str(folder / options["file"])


def _settings(table: dict[str, Any]) -> tuple[EdgeSettings | None, list[Mistake]]:
    try:
        return EdgeSettings.model_validate(table), []
    except ValidationError as error:
        return None, [_explain(dict(problem)) for problem in error.errors(include_url=False)]


def _explain(problem: dict[str, Any]) -> Mistake:
    location, kind, context = problem["loc"], problem["type"], problem.get("ctx", {})
    key = _key(location)
    value = "missing" if kind == "missing" else _show(location, problem["input"])
    if kind == "extra_forbidden":
        return Mistake(key, value, _known_keys(location))
    if kind == "value_error":
        text = str(context["error"])
        return Mistake(key or "the file", value, text.rpartition("expected ")[2])
    if kind == "literal_error":
        return Mistake(key, value, str(context["expected"]))
    return Mistake(key, value, EXPECTED.get(kind) or problem["msg"][:1].lower() + problem["msg"][1:])


def _key(location: tuple[str | int, ...]) -> str:
    text = ""
    for step in location:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _show(location: tuple[str | int, ...], value: object) -> str:
    if SECRET_KEYS & set(location):
        return "(not shown)"
    if isinstance(value, Mapping):
        return "{" + ", ".join(map(str, value)) + "}"
    return repr(value)[:80]


def _known_keys(location: tuple[str | int, ...]) -> str:
    """What could have been meant by an unknown key."""
    model: type[BaseModel] = EdgeSettings
    for step in location[:-1]:
        found = model.model_fields.get(step) if isinstance(step, str) else None
        if found is not None:
            model = _model_of(found.annotation) or model
    names = sorted(model.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"no such key; did you mean {close[0]!r}?" if close else f"no such key; there is {', '.join(names)}"


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _elsewhere(settings: EdgeSettings) -> list[Mistake]:
    """What the types cannot see: files that are not there, drivers that do not exist or refuse their options."""
    mistakes = []
    for key in FILES:
        file = getattr(settings.broker, key)
        if file is not None and not file.is_file():
            mistakes.append(Mistake(f"broker.{key}", repr(str(file)), "a file that exists"))
    for place, device in enumerate(settings.devices, 1):
        try:
            create(device.driver, device.id, device.options)
        except UnknownDriver:
            known = f"an installed driver: {', '.join(names())}"
            mistakes.append(Mistake(f"devices[{place}].driver", repr(device.driver), known))
        except ValueError as error:
            mistakes.append(Mistake(f"devices[{place}].options", _show((), device.options), str(error)))
    if not settings.devices:
        mistakes.append(Mistake("devices", "none", "at least one [[devices]] table"))
    return mistakes
