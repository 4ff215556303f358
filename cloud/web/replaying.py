"""Dead letters read again at a person's word, by ingest's own reader."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from cloud.db.pool import Pool
from cloud.db.settings import DatabaseSettings
from cloud.ingest.dead_letters import Replayed, replay


async def replay_letters(pool: Pool, numbers: Sequence[int]) -> Replayed:
    """Read these dead letters again in the database of this pool; stored ones are marked. Others stay as they are."""
    settings = DatabaseSettings().model_copy(update={"url": SecretStr(str(pool.conninfo))})
    return await replay(settings, list(numbers), None)
