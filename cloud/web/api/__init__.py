"""The HTTP API, version 1: REST under /api/v1, an event stream, health and metrics."""
