"""Checkpoints: the engine's whole state as bytes, and back bit for bit.

A header (magic, version, SHA-256 of the body) guards against a truncated or foreign file; the body is a
pickle that may name only this package's own classes and those of numpy and the standard containers, so
that a tampered checkpoint cannot call anything else.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct

MAGIC = b"FCDT"
VERSION = 5
_HEADER = struct.Struct("<4sI32s")
_ROOTS = ("cloud.detection.", "numpy", "collections", "river.")
_BUILTINS = {
    "set",
    "frozenset",
    "complex",
    "slice",
    "range",
    "bytearray",
    "object",
    "dict",
    "list",
    "tuple",
    "float",
    "int",
}


class CheckpointError(ValueError):
    """The bytes are no checkpoint of this version: take an older one, or replay."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if module == "builtins" and name in _BUILTINS:
            return super().find_class(module, name)
        if any(module == root.rstrip(".") or module.startswith(root) for root in _ROOTS):
            return super().find_class(module, name)
        raise CheckpointError(f"a checkpoint may not name {module}.{name}")


def pack(state: object) -> bytes:
    """Header and body."""
    body = pickle.dumps(state, protocol=5)
    return _HEADER.pack(MAGIC, VERSION, hashlib.sha256(body).digest()) + body


def unpack(blob: bytes) -> object:
    """The state; :class:`CheckpointError` says what is wrong with the bytes."""
    if len(blob) < _HEADER.size:
        raise CheckpointError(f"a checkpoint has at least {_HEADER.size} bytes, got {len(blob)}")
    magic, version, digest = _HEADER.unpack_from(blob)
    if magic != MAGIC:
        raise CheckpointError(f"not a detector's checkpoint: it begins with {magic!r}")
    if version != VERSION:
        raise CheckpointError(f"checkpoint version {version}, this program reads version {VERSION}")
    body = memoryview(blob)[_HEADER.size :]
    if hashlib.sha256(body).digest() != digest:
        raise CheckpointError("the checkpoint is damaged: its digest does not match")
    return _Unpickler(io.BytesIO(body)).load()
