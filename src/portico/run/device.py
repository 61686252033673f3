"""Which device, dtype and number of threads to run with."""

from __future__ import annotations

import ctypes
import logging
import sys

import torch

from portico.config.engine import DtypeName, KVDtypeName
from portico.errors import ConfigError
from portico.kernels.linear import cpu_has_bf16

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """The device of this name (auto, cpu, cuda, cuda:i, mps); raises ConfigError if it isn't there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cpu" and not index:
        return torch.device("cpu")
    if kind == "mps" and not index:
        if not torch.backends.mps.is_available():
            raise ConfigError("device is mps; this machine or this build of torch has no MPS. Use cpu or auto.")
        return torch.device("mps")
    if kind == "cuda" and (not index or index.isdecimal()):
        return _cuda(int(index or 0))
    raise ConfigError(f"device is {name}; it must be auto, cpu, cuda, cuda:i or mps.")


def _cuda(index: int) -> torch.device:
    if not torch.cuda.is_available():
        raise ConfigError("device is cuda; torch sees no CUDA device here. Use cpu or auto, or a CUDA build of torch.")
    if index >= torch.cuda.device_count():
        raise ConfigError(f"device is cuda:{index}; this machine has {torch.cuda.device_count()} CUDA devices, from 0.")
    return torch.device("cuda", index)


def resolve_dtype(wanted: DtypeName, checkpoint: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in; "auto" is the checkpoint's, unless the device would only emulate it."""
    dtype = DTYPES[checkpoint if wanted == "auto" else wanted]
    if device.type != "cpu" or dtype is torch.float32:
        return dtype
    native = torch.bfloat16 if cpu_has_bf16() else torch.float32
    if wanted == "auto":
        if dtype is not native:
            log.info(
                "The checkpoint is %s; this CPU computes faster in %s, so that is used.", checkpoint, _name(native)
            )
        return native
    if dtype is torch.float16:
        log.warning("dtype float16 is emulated slowly on CPUs; %s is used instead.", _name(native))
        return native
    if native is torch.float32:
        log.warning("This CPU has no bfloat16 arithmetic; float32 is used instead.")
    return native


def resolve_kv_dtype(wanted: KVDtypeName, dtype: torch.dtype) -> torch.dtype:
    """What keys and values are kept in beside computations in `dtype`; raises ConfigError if there is no such way."""
    if wanted == "int8":
        return torch.int8
    if wanted == "auto" or DTYPES.get(wanted) is dtype:
        return dtype
    raise ConfigError(
        f"kv_cache_dtype is {wanted}; keys and values are kept in the dtype of the computation, here "
        f"{_name(dtype)} (auto; dtype sets it), or in int8."
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def no_threads_between_operations() -> None:
    """Torch runs one operation at a time; what waits between them would only take a core."""
    if torch.get_num_interop_threads() != 1:
        try:
            torch.set_num_interop_threads(1)
        except RuntimeError:  # torch has begun to work in this process: only a waste, nothing wrong
            log.debug("the number of interop threads was already fixed")


def return_freed_memory() -> None:
    """Give back what loading has taken and freed in between, which glibc keeps for a process that has been told to.

    Hundreds of megabytes for a small model. Elsewhere than on glibc this does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def keep_freed_memory() -> None:
    """Tell glibc to keep big freed buffers instead of returning them to the system.

    A step frees and allocates the same megabytes again and again; fresh pages for them cost more than the arithmetic of
    the small operations. Elsewhere than on glibc this does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_mmap_threshold = -1, -3
        mallopt(m_mmap_threshold, 32 << 20)  # the most that glibc takes
        mallopt(m_trim_threshold, 1 << 30)
