"""The registry's settings: where the master key is."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.registry.keys import MasterKey


class RegistrySettings(BaseSettings):
    """Settings of the registry. Each can be given as an environment variable FIRSTCALL_REGISTRY_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_REGISTRY_", frozen=True)

    master_key: SecretStr | None = Field(
        default=None, description="The key that wraps users' keys: 32 bytes in base64. Overrides master_key_file."
    )
    master_key_file: Path | None = Field(
        default=None, description="File that holds the master key in base64; only its owner should be able to read it."
    )

    def load_master_key(self) -> MasterKey | None:
        """The master key, or None where neither setting is given: then no personal data can be read or written.

        Raises:
            NoMasterKey: what is there is not a key. OSError: the file cannot be read.
        """
        if self.master_key is not None:
            return MasterKey.from_text(self.master_key.get_secret_value())
        return None if self.master_key_file is None else MasterKey.from_file(self.master_key_file)
