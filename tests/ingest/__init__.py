"""Tests of ingest: pure rules, both subscribers against real brokers, the writer against real databases, kills."""
