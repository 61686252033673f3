"""Reading safetensors checkpoints, single or sharded, by memory map."""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from portico.errors import CheckpointError

_DTYPES = ("F64", "F32", "F16", "BF16")
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


class Checkpoint:
    """The tensors of a folder by name; files stay mapped as long as a tensor that views them lives."""

    def __init__(self, folder: Path) -> None:
        """Open and check every file. Raises CheckpointError naming the file and tensor at fault."""
        self.folder = folder
        self._files: dict[str, tuple[Path, Any]] = {}
        for file, listed in _files(folder).items():
            opened = _open(file)
            names = set(opened.keys())
            if missing := sorted(listed - names):
                raise CheckpointError(f"{file} lacks the tensor {missing[0]}, which {_INDEX} says is in it.")
            self._files.update(dict.fromkeys(names, (file, opened)))
        self._unread = set(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def get(self, name: str, shape: Sequence[int]) -> Tensor:
        """The tensor as a view of the file, in its dtype; CheckpointError if it isn't there or of another shape."""
        self.expect(name, shape)
        tensor: Tensor = self._files[name][1].get_tensor(name)
        return tensor

    def expect(self, name: str, shape: Sequence[int]) -> None:
        """Check all that `get` checks, and count the tensor as read, without reading it."""
        if name not in self._files:
            raise CheckpointError(f"{self.folder} has no tensor {name}; the model's config.json asks for it.")
        file, opened = self._files[name]
        entry = opened.get_slice(name)
        if tuple(entry.get_shape()) != tuple(shape):
            raise CheckpointError(
                f"{file}: tensor {name} has shape {entry.get_shape()}; config.json makes it {list(shape)}."
            )
        if entry.get_dtype() not in _DTYPES:
            raise CheckpointError(
                f"{file}: tensor {name} is of dtype {entry.get_dtype()}; Portico reads {', '.join(_DTYPES)}."
            )
        self._unread.discard(name)

    def identity(self) -> list[list[str | int]]:
        """What changes when a file does: for each its path, size, times of change in ns, and a hash of its header."""
        return [_identity(file) for file in sorted({file for file, _ in self._files.values()})]

    def leftover(self) -> list[str]:
        """Names that nobody has asked for, sorted."""
        return sorted(self._unread)

    def file_of(self, name: str) -> Path:
        """The file that holds a tensor of this checkpoint."""
        return self._files[name][0]


def _files(folder: Path) -> dict[Path, set[str]]:
    """The checkpoint's files, each with the tensors that the index puts in it."""
    index = folder / _INDEX
    if not index.is_file():
        single = folder / _SINGLE
        if not single.is_file():
            raise CheckpointError(
                f"{folder} holds neither {_SINGLE} nor {_INDEX}; Portico reads safetensors checkpoints."
            )
        return {single: set()}
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        pairs = [(folder / file, name) for name, file in weight_map.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{index} is not a safetensors index: {error!r}.") from error
    # Only the name: in the hub's cache the file itself is a link to elsewhere.
    for file, _ in pairs:
        if file.parent != folder:
            raise CheckpointError(f"{index} names {file}, which lies outside of its folder.")
    files: dict[Path, set[str]] = {}
    for file, name in pairs:
        files.setdefault(file, set()).add(name)
    for file in files:
        if not file.is_file():
            raise CheckpointError(f"{file} is missing; {index.name} lists {len(files[file])} tensors in it.")
    return files


def _open(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is truncated or no safetensors file ({error}); fetch it again.") from error


def _identity(file: Path) -> list[str | int]:
    real = file.resolve()
    status = real.stat()
    with real.open("rb") as opened:
        header = opened.read(int.from_bytes(opened.read(8), "little"))
    return [str(real), status.st_size, status.st_mtime_ns, status.st_ctime_ns, hashlib.sha256(header).hexdigest()]


def release(tensor: Tensor) -> None:
    """Let the pages of a tensor that is a view of a file leave this process's memory; a later look reads them again."""
    if sys.platform != "linux":
        return
    page = mmap.PAGESIZE
    begin = -(-tensor.data_ptr() // page) * page
    length = (tensor.data_ptr() + tensor.nbytes) // page * page - begin
    if length > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
