"""Populations of appliances, their ground truth, and their records in bulk."""
