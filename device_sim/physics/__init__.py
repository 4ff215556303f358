"""How appliances behave: pure functions of time, device, habits and the severity of their faults."""
