"""Settings: documented, and refused where they would leave a door open."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from cloud.web.settings import WebSettings, is_loopback

DOCS = Path(__file__).resolve().parents[2] / "docs/console.md"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "::1"])
def test_loopback_needs_no_secret(host: str) -> None:
    assert is_loopback(host)
    assert WebSettings(host=host).operator_password is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "desk.example.org"])
def test_beyond_loopback_both_secrets_are_demanded_by_name(host: str) -> None:
    with pytest.raises(
        ValidationError, match="FIRSTCALL_WEB_API_TOKEN and FIRSTCALL_WEB_OPERATOR_PASSWORD must be set"
    ):
        WebSettings(host=host)
    with pytest.raises(ValidationError, match="so FIRSTCALL_WEB_OPERATOR_PASSWORD must be set"):
        WebSettings(host=host, api_token="t" * 16)
    WebSettings(host=host, api_token="t" * 16, operator_password="p" * 10)


def test_secrets_are_never_printed() -> None:
    settings = WebSettings(api_token="t0ken-t0ken-t0ken", operator_password="a-long-password")
    assert "t0ken" not in repr(settings)
    assert "a-long" not in repr(settings)


def test_every_setting_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name in WebSettings.model_fields:
        assert f"`FIRSTCALL_WEB_{name.upper()}`" in text, f"docs/console.md lacks FIRSTCALL_WEB_{name.upper()}"
