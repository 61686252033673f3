"""The wire format of protocol buffers, as far as reading needs it: numbered fields, no schema.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | float | bytes
"""A varint, a 32-bit float, or bytes (a string, or another message); 64-bit fields come as the 8 bytes they are."""


def fields(data: bytes | memoryview) -> Iterator[tuple[int, Value]]:
    """Each field's number and value, in order; ValueError if the bytes are no message."""
    view = memoryview(data)
    place = 0
    while place < len(view):
        key, place = _varint(view, place)
        match key & 7:
            case 0:
                value, place = _varint(view, place)
                yield key >> 3, value
            case 1:
                yield key >> 3, bytes(_slice(view, place, 8))
                place += 8
            case 2:
                size, place = _varint(view, place)
                yield key >> 3, bytes(_slice(view, place, size))
                place += size
            case 5:
                yield key >> 3, float(struct.unpack("<f", _slice(view, place, 4))[0])
                place += 4
            case kind:
                raise ValueError(f"a field of the unknown kind {kind} at byte {place}")


def _slice(view: memoryview, place: int, size: int) -> memoryview:
    if place + size > len(view):
        raise ValueError(f"a field goes past the end at byte {place}")
    return view[place : place + size]


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(view) or shift > 63:
            raise ValueError(f"a broken number at byte {place}")
        byte = view[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
