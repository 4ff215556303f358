"""TLS with an authority made for the test, a client certificate, and a password from a file."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud.engines.nats_config import NatsOptions, Tls
from edge_agent.agent import Agent
from edge_agent.broker_client import read_password
from edge_agent.settings import BrokerSettings, EdgeSettings
from tests.edge.gateways import Counting, device, settings

NOW = datetime.datetime.now(datetime.UTC)


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(hours=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca, server, gateway and stranger (another authority's): .pem and .key each."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    basic = x509.BasicConstraints(ca=True, path_length=None)
    ca = _builder("test ca", "test ca", ca_key).add_extension(basic, critical=True).sign(ca_key, hashes.SHA256())
    _write(folder, "ca", ca, ca_key)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    for name in ("server", "gateway"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _builder(name, "test ca", key).add_extension(loopback, critical=False)
        _write(folder, name, certificate.sign(ca_key, hashes.SHA256()), key)
    other = ec.generate_private_key(ec.SECP256R1())
    stranger = _builder("stranger", "stranger", other).add_extension(basic, critical=True)
    _write(folder, "stranger", stranger.sign(other, hashes.SHA256()), other)
    return folder


def secure(port: int, authority: Path, **broker: Any) -> EdgeSettings:
    section = {"url": f"mqtts://127.0.0.1:{port}", "ca_file": authority / "ca.pem", "connect_timeout_s": 1, **broker}
    return settings(port, broker=section, devices=[device()])


async def connects(configured: EdgeSettings) -> bool:
    """Whether an agent gets a connection (True) or is refused three times (False)."""
    async with Agent(configured, drivers={"dev-1": Counting()}) as agent, asyncio.timeout(20):
        while agent.counters.connections == 0:
            if agent.counters.connect_failures >= 3:
                return False
            await asyncio.sleep(0.02)
    return True


async def test_nats_with_client_certificates(start_nats: Callable[[NatsOptions], Any], authority: Path) -> None:
    tls = Tls(certificate=authority / "server.pem", key=authority / "server.key", ca=authority / "ca.pem")
    server = start_nats(NatsOptions(tls=tls))
    own = {"certificate_file": authority / "gateway.pem", "key_file": authority / "gateway.key"}
    assert await connects(secure(server.mqtt_port, authority, **own))
    assert not await connects(secure(server.mqtt_port, authority))
    assert not await connects(secure(server.mqtt_port, authority, **own, ca_file=authority / "stranger.pem"))


@pytest.mark.mosquitto
async def test_mosquitto_with_tls_and_a_password_from_a_file(
    start_mosquitto: Callable[[str], Any], authority: Path, tmp_path: Path
) -> None:
    broker = (
        start_mosquitto(
            "listener {port} 127.0.0.1\nallow_anonymous true\n"
            f"certfile {authority}/server.pem\nkeyfile {authority}/server.key\n"
        )
        if _readable_by_all(authority)
        else None
    )
    assert broker is not None
    assert await connects(secure(broker.mqtt_port, authority))
    assert not await connects(secure(broker.mqtt_port, authority, ca_file=authority / "stranger.pem"))


def _readable_by_all(authority: Path) -> bool:
    """A broker started as root drops to its own account: let it read what this test made."""
    for parent in (authority, *authority.parents):
        if parent.name.startswith("pytest"):
            parent.chmod(0o755)
    for file in authority.iterdir():
        file.chmod(0o644)
    return True


def test_the_password_comes_from_the_first_line_of_its_file_and_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\nsecond line\n")
    assert read_password(BrokerSettings(password_file=file)) == "s3cret"
    given = BrokerSettings.model_validate({"password": "s3cret"})
    assert read_password(given) == "s3cret"
    assert "s3cret" not in repr(given)
    assert read_password(BrokerSettings()) is None


def test_old_tls_is_refused(authority: Path) -> None:
    from edge_agent.broker_client import tls_context

    context = tls_context(BrokerSettings(url="mqtts://example.org", ca_file=authority / "ca.pem"))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
