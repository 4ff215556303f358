"""The agent that runs on an appliance gateway: drivers, sampler, fault monitor, spool, uplink."""
