"""What the values of options look like: each function reads a text, and its ValueError says what would be right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_LEVELS = {"warn": "warning", "fatal": "critical", "notset": "debug", "trace": "debug"}
_DTYPES = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32"}


def size_text(size: float) -> str:
    """A number of bytes for people: 1.50 GB, 20.0 MB, 3.2 kB."""
    if size >= 10**9:
        return f"{size / 10**9:.2f} GB"
    return f"{size / 10**6:.1f} MB" if size >= 10**6 else f"{size / 10**3:.1f} kB"


def parse_size(text: str) -> int:
    """A number of bytes: 1073741824, 512MiB, 4G; units are powers of 1024."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?\s*", text.lower())
    if match is None:
        raise ValueError("it must be a number of bytes such as 512MiB or 4GiB")
    return int(float(match[1]) * UNITS[match[2]])


def parse_positive(text: str) -> int:
    """A whole number of at least 1."""
    if not re.fullmatch(r"\d+", text.strip()) or int(text) < 1:
        raise ValueError("it must be a whole number of at least 1")
    return int(text)


def parse_count(text: str) -> int:
    """A whole number, 0 included."""
    if not re.fullmatch(r"\d+", text.strip()):
        raise ValueError("it must be a whole number of at least 0")
    return int(text)


def parse_integer(text: str) -> int:
    """A whole number of either sign."""
    if not re.fullmatch(r"[+-]?\d+", text.strip()):
        raise ValueError("it must be a whole number")
    return int(text)


def parse_numbers(text: str) -> dict[str, float]:
    """A JSON object of numbers."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(type(number) in (int, float) for number in value.values()):
        raise ValueError('it must be a JSON object of numbers, as {"temperature": 0.5}')
    return value


def parse_switch(text: str) -> bool:
    """On or off."""
    if text.strip().lower() not in _SWITCH:
        raise ValueError("it must be true or false")
    return _SWITCH[text.strip().lower()]


def parse_port(text: str) -> int:
    """A TCP port; 0 lets the system choose."""
    if text.startswith("tcp://"):
        raise ValueError(
            "it must be a port; Kubernetes sets this for a service called portico: enableServiceLinks: false ends that"
        )
    if not re.fullmatch(r"\d+", text.strip()) or int(text) > 65535:
        raise ValueError("it must be a port from 0 to 65535")
    return int(text)


def parse_seconds(text: str) -> float:
    """A duration of at least 0 seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError("it must be a number of seconds, 0 or more")
    return value


def parse_share(text: str) -> float:
    """A share of something, above 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ValueError("it must be a share above 0 and at most 1, such as 0.8")
    return value


def parse_slowdown(text: str) -> float:
    """How many times as long something may take: above 1, or 0 for any number."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (value == 0 or 1 < value < float("inf")):
        raise ValueError("it must be a number above 1 such as 2.5, or 0")
    return value


def parse_list(text: str) -> list[str]:
    """Several strings: as a JSON list, or with commas between them."""
    if not text.lstrip().startswith("["):
        return [part for part in map(str.strip, text.split(",")) if part]
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError('it must be a JSON list of strings such as ["a", "b"], or a,b')
    return items


def parse_level(text: str) -> str:
    """A level of logging, in any case and by any server's name for it."""
    name = text.strip().lower()
    return _LEVELS.get(name, name)


def parse_dtype(text: str) -> str:
    """A number format by the names that it goes by."""
    name = text.strip().lower()
    return _DTYPES.get(name, name)


def parse_device(text: str) -> str:
    """A device as torch names it, from name or name:id; the names of other servers are understood."""
    name, colon, index = text.strip().lower().partition(":")
    if name in ("vulkan", "opencl", "webgpu"):
        raise ValueError(
            "Portico has no kernels for it: use cuda for NVIDIA, rocm for AMD and metal for Apple GPUs, else cpu"
        )
    kind = {"rocm": "cuda", "gpu": "cuda", "metal": "mps"}.get(name, name)  # torch calls AMD's GPUs cuda too
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and not index.isdecimal()):
        raise ValueError("it must be auto, cpu, cuda, rocm or metal; cuda and rocm also with an id, as cuda:1")
    if kind == "cuda" and colon:
        return f"cuda:{int(index)}"
    if colon and int(index):
        raise ValueError(f"{name} has no other device than 0; cuda and rocm take an id")
    return kind


def one_of(*values: str) -> Callable[[str], str]:
    """One of these words, in any case."""

    def parse(text: str) -> str:
        if text.strip().lower() not in values:
            raise ValueError(f"it must be one of {', '.join(values)}")
        return text.strip().lower()

    return parse


def only(there: Sequence[str], refusal: str, known: Sequence[str] = ()) -> Callable[[str], str]:
    """One of the values that are there; `refusal` is said of those that other servers know besides (all, if none)."""

    def parse(text: str) -> str:
        value = text.strip().lower()
        if value in there:
            return value
        if known and value not in known:
            raise ValueError(f"it must be one of {', '.join((*there, *known))}")
        raise ValueError(refusal)

    return parse


def translated(words: Mapping[str, str], parse: Callable[[str], T]) -> Callable[[str], T]:
    """What `parse` reads, after another server's words have been put into ours."""
    return lambda text: parse(words.get(text.strip().lower(), text))
