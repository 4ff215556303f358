"""The `firstcall` command: one name for the edge agent, the cloud programs and the simulator.

Only the extras that are installed are mounted, so that a gateway with the `edge` extra alone needs
neither FastAPI nor psycopg nor river.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pydantic import ValidationError

app = typer.Typer(
    name="firstcall",
    help="Call the customer before the customer calls you: telemetry, faults and proactive service.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

# room -> (module with its commands, a package without which it cannot run, the extra that brings it)
ROOMS = {
    "edge": ("edge_agent.cli", "aiomqtt", "edge"),
    "sim": ("device_sim.cli", "numpy", "sim"),
}
CLOUD = ("cloud.cli", "psycopg", "cloud")
DEMO = ("firstcall_demo", "nicegui", "cloud,sim")


def _installed(distribution: str) -> bool:
    return importlib.util.find_spec(distribution) is not None


def _mount(command: typer.Typer, asked: str = "") -> None:
    """Mount what is installed; where `asked`, the first word, is one room, that room alone: a gateway is small."""
    for name, (module, needs, _extra) in ROOMS.items():
        if _installed(needs) and asked not in ROOMS.keys() - {name}:
            command.add_typer(importlib.import_module(module).app, name=name)
    if asked in ROOMS:
        return
    if _installed(CLOUD[1]):
        command.add_typer(importlib.import_module(CLOUD[0]).app)  # no name: its commands stand at the top
    if _installed(DEMO[1]) and _installed(ROOMS["edge"][1]):
        command.command("demo")(importlib.import_module(DEMO[0]).demo)


def _missing_extra(arguments: list[str]) -> str | None:
    """The extra that the asked-for command needs and that is not installed, if so."""
    if not arguments:
        return None
    _module, needs, extra = ROOMS.get(arguments[0], ("", "typer", ""))
    return None if _installed(needs) else extra


def configure_logging() -> None:
    """Log to standard error: for people on a terminal, as JSON lines elsewhere."""
    import structlog

    pretty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if pretty else [structlog.processors.dict_tracebacks]),
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def explain_settings(error: ValidationError) -> str:
    """One line for each setting that is missing or wrong, by the name of its environment variable."""
    from pydantic_settings import BaseSettings

    prefix = next(
        (c.model_config.get("env_prefix", "") for c in BaseSettings.__subclasses__() if c.__name__ == error.title), ""
    )
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = prefix + "__".join(str(step) for step in problem["loc"]).upper()
        lines.append(f"{name}: {problem['msg']}")
    return "\n".join(lines)


def main() -> None:
    """Entry point of the console script."""
    from pydantic import ValidationError

    extra = _missing_extra(sys.argv[1:])
    if extra:
        sys.exit(f"firstcall {sys.argv[1]} needs the extra '{extra}': pip install 'firstcall[{extra}]'")
    configure_logging()
    _mount(app, sys.argv[1] if len(sys.argv) > 1 else "")
    try:
        app()
    except ValidationError as error:
        sys.exit(f"these settings are not right:\n{explain_settings(error)}")


if __name__ == "__main__":
    main()
