"""Dead letters read again at a person's word, by ingest's own reader."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from cloud.db.pool import Pool
from cloud.db.settings import DatabaseSettings
from cloud.ingest.dead_letters import Replayed, replay
from cloud.web.auth.identity import require
from cloud.web.auth.permissions import Permission


async def replay_letters(pool: Pool, numbers: Sequence[int]) -> Replayed:
    """Read these dead letters again in the database of this pool; stored ones are marked. Others stay as they are.

    Raises:
        Problem: whoever acts here may not send again what failed.
    """
    require(Permission.WEBHOOKS)
    settings = DatabaseSettings().model_copy(update={"url": SecretStr(str(pool.conninfo))})
    return await replay(settings, list(numbers), None)
