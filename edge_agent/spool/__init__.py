"""Store-and-forward: messages wait in SQLite until the cloud's receipt says that it has committed them."""

from edge_agent.spool.opening import open_spool
from edge_agent.spool.store import Spool, SpoolBusy, SpoolCorrupt, Spooled

__all__ = ["Spool", "SpoolBusy", "SpoolCorrupt", "Spooled", "open_spool"]
