"""Confirm before calling: evidence, verdicts, storms, defective lots, and the order of the day."""
