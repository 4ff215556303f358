"""SMS, push and messaging apps by one signed HTTP request.

    POST <url>
    Content-Type: application/json
    Idempotency-Key: <key>                    the same for the same message, however often it is sent
    FirstCall-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA-256 of "<t>.<body>" under the shared secret>

    {"key": …, "channel": "sms", "to": …, "locale": "en", "subject": …, "body": …}

The receiver checks the signature and that `t` is recent, and delivers one key once. 2xx: it has it. 408, 409, 425, 429
and 5xx: later (Retry-After is obeyed). 401, 403 and 404: we are set up wrongly, later. Other 4xx: never.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import ssl
import time
from urllib.parse import urlsplit

from cloud.desk.outreach.ladder import Channel
from cloud.desk.outreach.providers import Accepted, Envelope, Refused, Unavailable

_LATER = frozenset({401, 403, 404, 408, 409, 425, 429})
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ANSWER_BYTES = 65_536


def sign(secret: bytes, at_s: int, body: bytes) -> str:
    """The value of FirstCall-Signature."""
    mac = hmac.new(secret, b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={mac}"


def signature_holds(secret: bytes, header: str, body: bytes, now_s: float, tolerance_s: float = 300.0) -> bool:
    """The receiver's side: whether a request is ours and recent."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp = parts.get("t", "")
    if not stamp.isdecimal() or abs(now_s - int(stamp)) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, int(stamp), body), f"t={stamp},v1={parts.get('v1', '')}")


class HttpProvider:
    """A provider behind a URL."""

    def __init__(self, channel: Channel, url: str, secret: bytes, timeout_s: float) -> None:
        """ValueError: the URL is not https (http is for loopback only)."""
        self.channel: Channel = channel
        self._url = urlsplit(url)
        if self._url.scheme != "https" and not (self._url.scheme == "http" and self._url.hostname in _LOOPBACK):
            raise ValueError(f"the {channel} provider needs an https:// URL: messages carry contacts and links")
        self._secret, self._timeout_s = secret, timeout_s

    async def send(self, envelope: Envelope) -> Accepted:
        """See Provider."""
        return await asyncio.to_thread(self._send, envelope)

    def _send(self, envelope: Envelope) -> Accepted:
        body = json.dumps(
            {
                "key": envelope.key,
                "channel": envelope.channel,
                "to": envelope.to,
                "locale": envelope.locale,
                "subject": envelope.subject,
                "body": envelope.body,
            },
            ensure_ascii=False,
        ).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": envelope.key,
            "FirstCall-Signature": sign(self._secret, int(time.time()), body),
        }
        connection = self._connection()
        try:
            target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            text = answer.read(_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self.channel} provider: {type(error).__name__}") from None
        finally:
            connection.close()
        return self._judge(answer.status, answer.getheader("Retry-After"), text)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _judge(self, status: int, retry_after: str | None, text: bytes) -> Accepted:
        if 200 <= status < 300:
            return Accepted(_reference(text))
        said = f"{self.channel} provider answered {status}"
        if status in _LATER or status >= 500 or status < 400:  # a redirect is not followed: contacts go where set
            raise Unavailable(said, float(retry_after) if retry_after and retry_after.isdecimal() else None)
        raise Refused(said)


def _reference(text: bytes) -> str:
    try:
        answer = json.loads(text)
    except ValueError:
        return ""
    return str(answer.get("reference", ""))[:200] if isinstance(answer, dict) else ""
