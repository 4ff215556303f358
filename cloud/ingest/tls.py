"""TLS towards the broker."""

from __future__ import annotations

import ssl

from cloud.ingest.settings import IngestSettings


def tls_context(settings: IngestSettings) -> ssl.SSLContext:
    """Verify the broker against `ca_file` (or the system's), show our certificate if there is one."""
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.certificate_file:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context
