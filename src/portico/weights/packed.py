"""Weights as the kernels want them, kept in files from one start to the next and mapped by all processes that use them.

A file is a prefix (magic, checksum and length of the header), the header in JSON (whose weights these are, where each
lies), and their bytes. It is written under another name first, so that nobody sees half of it. Nothing in it is run.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import mmap
import os
import re
import stat
import struct
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

_PREFIX = struct.Struct("<16s32sQ")
_MAGIC = b"portico packed 1"
_ALIGNMENT = 4096
"""Of the first weight; of the others it is what the sizes leave, whole cache lines for all formats of the kernels."""
_SUFFIX, _PARTIAL = ".packed", ".partial"
_ABANDONED = 3600
"""Seconds after which a file that nobody has finished is taken for one that nobody will."""


@dataclass(frozen=True, slots=True)
class Key:
    """Whose packed weights, and of which state."""

    name: str
    """For people: the beginning of the file's name."""
    place: tuple[str, ...]
    """What names the file beside that: a later state of the same replaces it."""
    state: Mapping[str, Any]
    """What must be the same, of JSON's types, for the file to be of use."""

    def file_name(self) -> str:
        """Of letters, digits and a few signs alone."""
        digest = hashlib.sha256(json.dumps(self.place).encode()).hexdigest()[:16]
        return re.sub(r"[^\w.-]", "_", self.name)[:64] + f"-{digest}{_SUFFIX}"


class PackedWeights:
    """The packed weights of one model: those that a file holds, and those that have to be made."""

    def __init__(self, folder: Path | None = None, key: Key | None = None, most_bytes: int = 0) -> None:
        """Map what there is for this key in a folder that holds `most_bytes`; without a folder nothing is kept."""
        self._file: Path | None = None
        self._state: Mapping[str, Any] = {}
        self._most_bytes = most_bytes
        self._mapped: dict[str, Tensor] = {}
        self._used: dict[str, Tensor] = {}
        self._made_any = False
        if folder is not None and key is not None and _is_private(folder):
            self._file, self._state = folder / key.file_name(), key.state
            self._mapped = _map(self._file, key.state)

    def get(self, name: str, size: int, make: Callable[[], Tensor]) -> Tensor:
        """The bytes [size] of a packed weight; what `make` gives where no file holds them."""
        if name in self._used:
            return self._used[name]
        found = self._mapped.get(name)
        if found is None or len(found) != size:
            found, self._made_any = make(), True
        self._used[name] = found
        return found

    @property
    def all_mapped(self) -> bool:
        """Whether nothing had to be made."""
        return bool(self._mapped) and not self._made_any

    @property
    def mapped_bytes(self) -> int:
        """Bytes in use that a file holds."""
        return sum(len(weight) for name, weight in self._used.items() if weight is self._mapped.get(name))

    def keep(self) -> None:
        """Write down what was made, once all is; where that cannot be, this only warns."""
        if self._file is None:
            return
        if self.all_mapped:
            with contextlib.suppress(OSError):  # a read-only folder
                os.utime(self._file)
            return
        try:
            _write(self._file, self._state, self._used, self._most_bytes)
        except OSError as error:
            log.warning("The packed weights are not kept for the next start: %s.", error)


def _is_private(folder: Path) -> bool:
    """Whether the folder, made if need be, is this user's and nobody else's: what lies there is trusted."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        log.warning("The packed weights are not kept for the next start: %s.", error)
        return False
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077:
        return True
    log.warning("%s is open to others or belongs to another user: packed weights are not kept there.", folder)
    return False


def _map(file: Path, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a file as views of it; none if it isn't there, isn't whole or is of another state."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return {}
    except OSError as error:
        log.warning("Packed weights cannot be read: %s.", error)
        return {}
    with open(descriptor, "rb") as opened:
        header = _read_header(opened, os.fstat(descriptor).st_size)
        if header is None:
            log.warning("%s is damaged; the weights are packed again.", file)
            return {}
        if header["state"] != state:
            log.info("The model, Portico or this machine has changed since %s was written.", file)
            return {}
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_WILLNEED"):
        mapped.madvise(mmap.MADV_WILLNEED)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")  # nor does anybody write
        return {
            name: torch.frombuffer(mapped, dtype=torch.uint8, offset=header["begin"] + offset, count=size)
            for name, (offset, size) in header["weights"].items()
        }


def _read_header(opened: Any, file_size: int) -> dict[str, Any] | None:
    prefix = opened.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    magic, checksum, length = _PREFIX.unpack(prefix)
    if magic != _MAGIC or length > file_size:
        return None
    text = opened.read(length)
    if hashlib.sha256(text).digest() != checksum:
        return None
    header: dict[str, Any] = json.loads(text)
    header["begin"] = _begin(text)
    return header if header["begin"] + header["bytes"] == file_size else None


def _begin(header: bytes) -> int:
    """Where the weights begin."""
    return -(-(_PREFIX.size + len(header)) // _ALIGNMENT) * _ALIGNMENT


def _write(file: Path, state: Mapping[str, Any], weights: Mapping[str, Tensor], most_bytes: int) -> None:
    """Write a file beside its place and move it there; raises OSError, leaving nothing behind."""
    places, size = {}, 0
    for name, weight in weights.items():
        places[name] = (size, len(weight))
        size += len(weight)
    text = json.dumps({"state": state, "bytes": size, "weights": places}).encode()
    begin = _begin(text)
    if not _make_room(file, begin + size, most_bytes):
        return
    began = time.perf_counter()
    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=file.stem, suffix=_PARTIAL)
    try:
        with open(descriptor, "wb") as out:
            _reserve(descriptor, begin + size)
            out.write(_PREFIX.pack(_MAGIC, hashlib.sha256(text).digest(), len(text)) + text)
            out.seek(begin)
            for weight in weights.values():
                out.write(weight.numpy().data)
            out.flush()
            os.fsync(descriptor)  # a name must not outlive a power cut that its bytes do not
        os.replace(partial, file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    log.info("Kept %d MB of packed weights for the next start in %s (%.1f s).",
             size // 10**6, file, time.perf_counter() - began)  # fmt: skip


def _reserve(descriptor: int, size: int) -> None:
    """Let a disk without room say so before anything is written, where the file system can tell."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise


def _make_room(file: Path, needed: int, most_bytes: int) -> bool:
    """Remove what was not used for longest until `needed` bytes more are within the bounds; whether they can be."""
    if needed > most_bytes:
        log.info("The packed weights are not kept: %d bytes, and the cache holds %d.", needed, most_bytes)
        return False
    kept = []
    for other in file.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process makes room too
            status = other.lstat()
            if other.suffix == _PARTIAL and time.time() - status.st_mtime > _ABANDONED:
                other.unlink()
            elif other.suffix == _SUFFIX and other != file:
                kept.append((status.st_mtime_ns, status.st_size, other))
    room = most_bytes - needed - sum(size for _, size, _ in kept)
    for _, size, other in sorted(kept):
        if room >= 0:
            break
        other.unlink(missing_ok=True)
        room += size
    return True
