"""Ingest: what gateways send, committed to the database once, acknowledged afterwards, and receipted."""
