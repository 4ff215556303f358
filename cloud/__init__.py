"""The cloud programs: ingest, registry, detection, desk and web, on one database."""
