"""How appliances fail: modes with onset and growth, their fault codes, and the plan of a device's life."""
