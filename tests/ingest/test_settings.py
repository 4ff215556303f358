"""Settings: refused in plain words, secrets never shown, every field documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from cloud.ingest.jetstream import durable_name
from cloud.ingest.settings import IngestSettings, parse_partitions


@pytest.mark.parametrize("url", ["http://host", "nats://", "host:1883", ""])
def test_a_wrong_broker_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="expected nats://host"):
        IngestSettings(broker_url=url)  # type: ignore[arg-type]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("from-a-file\n")
    settings = IngestSettings(broker_url="mqtts://user:hush@broker:8883")  # type: ignore[arg-type]
    assert "hush" not in repr(settings)
    assert settings.broker_address() == "mqtts://broker:8883"
    assert settings.credentials() == ("user", "hush")
    assert IngestSettings(broker_user="u", broker_password_file=secret).credentials() == ("u", "from-a-file")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTCALL_INGEST_PARTITIONS", "0-2,63")
    monkeypatch.setenv("FIRSTCALL_INGEST_BATCH_MESSAGES", "7")
    settings = IngestSettings()
    assert settings.partitions == {0, 1, 2, 63}
    assert settings.batch_messages == 7


@pytest.mark.parametrize("text", ["64", "-1", "a", "5-3", ""])
def test_wrong_partitions_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        IngestSettings(partitions=text)  # type: ignore[arg-type]


def test_a_set_of_partitions_has_its_own_consumer() -> None:
    names = {durable_name(IngestSettings(partitions=parse_partitions(p))) for p in ("0-63", "0-31", "32-63")}
    assert len(names) == 3
    assert "ingest" in names
