"""Simulated appliances, people and networks, with ground truth."""
