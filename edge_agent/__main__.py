"""`python -m edge_agent …`: the same commands as `firstcall edge …`."""

from edge_agent.cli import app

app(prog_name="python -m edge_agent")
