"""Reading safetensors checkpoints, single or sharded, by memory map.

Format: 8 bytes little-endian header length, a JSON header {name: {dtype, shape, data_offsets}}, then the data
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from portico.errors import CheckpointError

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_MAX_HEADER = 100_000_000
"""The format's own limit on the header, in bytes."""


@dataclass(frozen=True, slots=True)
class _Entry:
    file: Path
    data: mmap.mmap
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Checkpoint:
    """The tensors of a folder by name; files stay mapped as long as a tensor that views them lives."""

    def __init__(self, folder: Path) -> None:
        """Open and check every file. Raises CheckpointError naming the file and tensor at fault."""
        self.folder = folder
        self._entries: dict[str, _Entry] = {}
        self._unread: set[str] = set()
        for file, listed in _files(folder).items():
            found = _read_header(file)
            if missing := sorted(listed - found.keys()):
                raise CheckpointError(f"{file} lacks the tensor {missing[0]}, which {_INDEX} says is in it.")
            self._entries.update(found)
        self._unread.update(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def get(self, name: str, shape: Sequence[int]) -> Tensor:
        """The tensor as a view of the file, in its dtype; CheckpointError if it isn't there or of another shape."""
        entry = self._entries.get(name)
        if entry is None:
            raise CheckpointError(f"{self.folder} has no tensor {name}; the model's config.json asks for it.")
        if entry.shape != tuple(shape):
            raise CheckpointError(
                f"{entry.file}: tensor {name} has shape {list(entry.shape)}; config.json makes it {list(shape)}."
            )
        dtype = _DTYPES.get(entry.dtype)
        if dtype is None:
            raise CheckpointError(
                f"{entry.file}: tensor {name} is of dtype {entry.dtype}; Portico reads {', '.join(_DTYPES)}."
            )
        self._unread.discard(name)
        flat = torch.frombuffer(entry.data, dtype=dtype, count=math.prod(entry.shape), offset=entry.offset)
        return flat.view(entry.shape)

    def leftover(self) -> list[str]:
        """Names that nobody has asked for, sorted."""
        return sorted(self._unread)

    def file_of(self, name: str) -> Path:
        """The file that holds a tensor of this checkpoint."""
        return self._entries[name].file


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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is not a safetensors index: {error!r}.") from error
    files: dict[Path, set[str]] = {}
    for file, name in pairs:
        files.setdefault(file, set()).add(name)
    for file in files:
        if not file.is_file():
            raise CheckpointError(f"{file} is missing; {index.name} lists {len(files[file])} tensors in it.")
    return files


def _read_header(file: Path) -> dict[str, _Entry]:
    size = file.stat().st_size
    if size < 8:
        raise CheckpointError(f"{file} is {size} bytes long and no safetensors file; fetch it again.")
    with file.open("rb") as stream:
        # ACCESS_COPY: private pages, so that torch sees writable memory while the file cannot change.
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    (length,) = struct.unpack_from("<Q", data, 0)
    if length > min(size - 8, _MAX_HEADER):
        raise CheckpointError(f"{file} is truncated or corrupt: its header of {length} bytes goes beyond its end.")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"))
        tensors = {name: value for name, value in header.items() if name != "__metadata__"}
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{file} is corrupt: its header is not JSON ({error}).") from error
    return {name: _entry(file, data, name, value, 8 + length) for name, value in tensors.items()}


def _entry(file: Path, data: mmap.mmap, name: str, value: Any, data_start: int) -> _Entry:
    try:
        dtype, shape = str(value["dtype"]), tuple(int(n) for n in value["shape"])
        start, end = (int(n) for n in value["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} is corrupt: the header's entry of tensor {name} is {value!r}.") from error
    if not 0 <= start <= end or data_start + end > len(data):
        raise CheckpointError(
            f"{file} is truncated: tensor {name} ends at byte {data_start + end}, the file at {len(data)}."
        )
    if dtype in _DTYPES and end - start != math.prod(shape) * _DTYPES[dtype].itemsize:
        raise CheckpointError(
            f"{file} is corrupt: tensor {name}, {dtype} {list(shape)}, has {end - start} bytes of data."
        )
    return _Entry(file, data, dtype, shape, data_start + start)
