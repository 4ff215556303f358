"""The `firstcall` command: one name for the edge agent, the cloud programs and the simulator.

Only the extras that are installed are mounted, so that a gateway with the `edge` extra alone needs
neither FastAPI nor psycopg nor river.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer

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


def _mount(command: typer.Typer) -> None:
    for name, (module, needs, _extra) in ROOMS.items():
        if _installed(needs):
            command.add_typer(importlib.import_module(module).app, name=name)
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


def main() -> None:
    """Entry point of the console script."""
    extra = _missing_extra(sys.argv[1:])
    if extra:
        sys.exit(f"firstcall {sys.argv[1]} needs the extra '{extra}': pip install 'firstcall[{extra}]'")
    _mount(app)
    app()


if __name__ == "__main__":
    main()
