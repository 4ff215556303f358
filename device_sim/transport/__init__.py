"""Simulated fleets on real agents: drivers, clocks, bad networks, raw load, recorded machines."""
