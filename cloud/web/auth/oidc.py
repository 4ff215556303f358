"""Signing in with an OpenID Connect provider: authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

The provider's description and keys are read when first needed and kept for a while; an unknown key is asked for anew.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from cloud.web.auth.permissions import ROLES
from cloud.web.settings import WebSettings

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
LEEWAY_S = 60
KEPT_S = 3600.0
TIMEOUT_S = 10.0
CALLBACK = "/sign-in/oidc/callback"


class ProviderTrouble(RuntimeError):
    """The provider does not answer, or not as it should; the message is for the log."""


class NotLetIn(ValueError):
    """The provider knows this person, and we do not let them in; the message is for them."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What has to be the same when the person comes back."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who the provider says that it is."""

    issuer: str
    subject: str
    name: str
    roles: tuple[str, ...]


def new_attempt() -> Attempt:
    """Fresh secrets for one sign-in."""
    return Attempt(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))


def challenge(verifier: str) -> str:
    """The S256 code challenge of RFC 7636, 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


class Provider:
    """The provider of the settings. Opens a connection only while it asks."""

    def __init__(self, settings: WebSettings) -> None:
        if settings.oidc_issuer is None or settings.public_url is None:
            raise ValueError("no OpenID Connect provider is set")
        self._settings = settings
        self._issuer = settings.oidc_issuer
        self._redirect = settings.public_url.rstrip("/") + CALLBACK
        self._description: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = float("-inf")

    async def address(self, attempt: Attempt) -> str:
        """Where to send the person. ProviderTrouble: see there."""
        await self._read()
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self._redirect,
            "scope": "openid profile",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._description['authorization_endpoint']}?{urlencode(query)}"

    async def person(self, code: str, attempt: Attempt) -> Person:
        """Who came back with this code.

        Raises:
            ProviderTrouble: see there. NotLetIn: the person has no role here.
        """
        await self._read()
        claims = await self._claims(await self._exchange(code, attempt.verifier), attempt.nonce)
        return _person(self._settings, self._issuer, claims)

    async def _exchange(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
            "client_id": self._settings.oidc_client_id,
        }
        secret = self._settings.oidc_client_secret
        login = (self._settings.oidc_client_id, secret.get_secret_value()) if secret else None
        answer = await _ask("POST", self._description["token_endpoint"], data=form, auth=login)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderTrouble("the provider's answer has no ID token")
        return token

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            decoded = self._decode(token)
        except (JoseError, ValueError):
            await self._read(anew=True)  # its keys may have been replaced
            try:
                decoded = self._decode(token)
            except (JoseError, ValueError) as error:
                raise ProviderTrouble(f"the ID token is not signed by the provider: {error}") from error
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._settings.oidc_client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            rules.validate(decoded)
        except JoseError as error:
            raise ProviderTrouble(f"the ID token is not for this sign-in: {error}") from error
        return decoded

    def _decode(self, token: str) -> dict[str, Any]:
        if self._keys is None:
            raise ValueError("no keys")
        return dict(jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims)

    async def _read(self, *, anew: bool = False) -> None:
        if not anew and time.monotonic() - self._read_at < KEPT_S:
            return
        description = await _ask("GET", self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if description.get("issuer") != self._issuer:
            raise ProviderTrouble(f"the provider calls itself {description.get('issuer')}, not {self._issuer}")
        if not {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= description.keys():
            raise ProviderTrouble("the provider's description lacks an endpoint")
        keys = await _ask("GET", description["jwks_uri"])
        try:
            self._keys = KeySet.import_key_set(keys)  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError) as error:
            raise ProviderTrouble(f"the provider's keys cannot be read: {error}") from error
        self._description, self._read_at = description, time.monotonic()


async def _ask(method: str, url: str, **options: Any) -> dict[str, Any]:
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            answer = await client.request(method, url, **options)
            answer.raise_for_status()
            found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ProviderTrouble(f"{method} {url.partition('?')[0]}: {error or type(error).__name__}") from error
    if not isinstance(found, dict):
        raise ProviderTrouble(f"{url.partition('?')[0]} answered something else than an object")
    return found


def _person(settings: WebSettings, issuer: str, claims: Mapping[str, Any]) -> Person:
    subject = str(claims["sub"])
    name = "".join(str(claims.get(settings.oidc_name_claim) or subject).split())[:64]
    named = claims.get(settings.oidc_roles_claim) or []
    groups = [named] if isinstance(named, str) else [str(group) for group in named if isinstance(group, str)]
    wanted = {settings.oidc_roles.get(group, "") if settings.oidc_roles else group for group in groups}
    roles = tuple(sorted(role for role in wanted if role in ROLES))
    if not roles:
        raise NotLetIn(f"{name}, you have no role here; ask whoever runs this service")
    if not name.isprintable():
        raise NotLetIn("the provider gave no usable name")
    return Person(issuer, subject, name, roles)
