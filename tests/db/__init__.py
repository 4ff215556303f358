"""Tests of migrations, named queries and the telemetry schema."""
