"""E-mail by SMTP (RFC 5321), from the standard library, in a thread.

A mail server does not know idempotency keys. The key becomes the Message-ID: the same message sent again after a crash
has the same one, and mailboxes and list software show it once.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape

from cloud.desk.outreach.ladder import Channel
from cloud.desk.outreach.providers import Accepted, Envelope, Refused, Unavailable
from cloud.desk.outreach.settings import OutreachSettings

_LINK = re.compile(r"https?://\S+")


class SmtpProvider:
    """A mail server. Opens a connection a message: outreach is a few messages a minute, not a campaign."""

    channel: Channel = "email"

    def __init__(self, settings: OutreachSettings) -> None:
        self._settings = settings

    async def send(self, envelope: Envelope) -> Accepted:
        """See Provider."""
        return await asyncio.to_thread(self._send, envelope)

    def _send(self, envelope: Envelope) -> Accepted:
        message = self.compose(envelope)
        try:
            with self._connect() as server:
                server.send_message(message, to_addrs=[envelope.to])
        except smtplib.SMTPRecipientsRefused as error:
            _code, _reply = next(iter(error.recipients.values()), (550, b""))
            raise _judged(_code, "the recipient was refused") from None
        except smtplib.SMTPResponseException as error:
            raise _judged(error.smtp_code, type(error).__name__) from None
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"mail server: {type(error).__name__}") from None
        return Accepted(str(message["Message-ID"]))

    def _connect(self) -> smtplib.SMTP:
        s = self._settings
        context = ssl.create_default_context(cafile=s.smtp_ca_file)
        server: smtplib.SMTP
        if s.smtp_security == "tls":
            server = smtplib.SMTP_SSL(s.smtp_host, s.smtp_port, timeout=s.provider_timeout_s, context=context)
        else:
            server = smtplib.SMTP(s.smtp_host, s.smtp_port, timeout=s.provider_timeout_s)
        try:
            if s.smtp_security == "starttls":
                server.starttls(context=context)
            if s.smtp_user and s.smtp_password is not None:
                server.login(s.smtp_user, s.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server

    def compose(self, envelope: Envelope) -> EmailMessage:
        """The e-mail: plain text and the same as HTML, where links can be tapped."""
        sender = self._settings.smtp_sender
        domain = parseaddr(sender)[1].partition("@")[2] or "localhost"
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, envelope.to, envelope.subject
        message["Message-ID"] = f"<{envelope.key}@{domain}>"
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        if envelope.stop_url:
            message["List-Unsubscribe"] = f"<{envelope.stop_url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        message.set_content(envelope.body)
        message.add_alternative(_as_html(envelope), subtype="html")
        message["Content-Language"] = envelope.locale.replace("_", "-")  # after the content, or it would go to a part
        return message


def _as_html(envelope: Envelope) -> str:
    lines = (_LINK.sub(lambda m: f'<a href="{m[0]}">{m[0]}</a>', escape(line)) for line in envelope.body.splitlines())
    language = escape(envelope.locale.replace("_", "-"))
    text = "<br>".join(lines)
    return f'<!doctype html><html lang="{language}"><body style="font: 16px/1.5 sans-serif">{text}</body></html>'


def _judged(code: int, text: str) -> Refused | Unavailable:
    """RFC 5321 4.2.1: 4xx is temporary, 5xx permanent; but 530, 534, 535 and 538 say that *we* are set up wrongly."""
    if 500 <= code < 600 and code not in (530, 534, 535, 538):
        return Refused(f"mail server said {code}: {text}")
    return Unavailable(f"mail server said {code}: {text}")
