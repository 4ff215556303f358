"""What can be wrong with something that came over the wire. The docstring is the message's first half."""

from __future__ import annotations


class ProtocolError(ValueError):
    """A message does not keep the contract.

    `reason` is a short stable word for counting and for dead letters; the text says what was found and what
    was expected.
    """

    reason = "protocol"


class BadTopic(ProtocolError):
    """A topic is not of the form fc/1/{up|down}/{gateway}/{device|-}/{kind}."""

    reason = "bad-topic"


class BadIdentifier(ProtocolError):
    """An identifier is not 1-64 letters, digits, '_' or '-'."""

    reason = "bad-identifier"


class UnsupportedVersion(ProtocolError):
    """A message or topic carries a version that this program does not speak."""

    reason = "unsupported-version"


class Malformed(ProtocolError):
    """A payload cannot be read: cut short, wrong checksum, not JSON, a missing or ill-typed field."""

    reason = "malformed"


class Oversize(ProtocolError):
    """A payload or frame is larger than the contract allows."""

    reason = "oversize"


class NotFinite(ProtocolError):
    """A reading is infinite, or not a number where a number is required."""

    reason = "not-finite"


class AbsurdTime(ProtocolError):
    """An event time lies before 2000-01-01 or more than a day in the future."""

    reason = "absurd-time"
