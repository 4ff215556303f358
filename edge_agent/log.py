"""Logging of the command line: pretty on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import logging
import sys

if "structlog" not in sys.modules and "rich" not in sys.modules and not sys.stderr.isatty():
    # structlog loads rich wherever it is installed: 6 MiB that only a terminal has a use for
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog

    del sys.modules["rich"]
else:
    import structlog


def configure(level: str = "info") -> None:
    """Set structlog up, once a process. Logs go to standard error."""
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        processors.append(structlog.dev.ConsoleRenderer())
    else:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
