"""llama.cpp: built here from the source package of llama-cpp-python, with all that this machine's cores can do."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.peers.common import (
    HOME,
    LIMIT,
    Measured,
    Peer,
    Sample,
    Setting,
    Shape,
    UnavailableError,
    cores,
    environment,
    free_port,
    run,
    seconds_to_healthy,
)

NAME = "llama.cpp"
FOLDER = HOME / "llama.cpp-build"
BINARIES = ("llama-bench", "llama-batched-bench", "llama-quantize", "llama-server")
CMAKE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)


def install() -> str:
    """An interrupted build goes on where it was."""
    python = environment(NAME, "scikit-build-core", "cmake", "ninja", "gguf", "numpy")
    stamp = FOLDER / "version"
    if stamp.exists():
        return stamp.read_text()
    source = _source(python)
    tools = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    build = FOLDER / "build"
    run(NAME, str(python.parent / "cmake"), "-S", str(source), "-B", str(build), "-G", "Ninja", *CMAKE, env=tools)
    command = ("cmake", "--build", str(build), "-j", str(len(cores())), "--target", *BINARIES)
    run(NAME, "nice", "-n", "19", *command, env=tools)
    stamp.write_text(f"of llama-cpp-python {_package_version()}")
    return stamp.read_text()


def _source(python: Path) -> Path:
    """The folder of llama.cpp inside the unpacked source package."""
    packages = FOLDER / "package"
    if not list(packages.glob("*.tar.gz")):
        options = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation")
        run(NAME, str(python), "-m", "pip", "download", *options, "llama-cpp-python", "-d", str(packages))
    unpacked = FOLDER / "source"
    if not unpacked.exists():
        partial = FOLDER / "source.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(next(packages.glob("*.tar.gz"))) as archive:
            archive.extractall(partial, filter="data")
        partial.rename(unpacked)
    found = list(unpacked.glob("*/vendor/llama.cpp"))
    if not found:
        raise UnavailableError("the source package of llama-cpp-python holds no llama.cpp")
    return found[0]


def _package_version() -> str:
    return next((FOLDER / "package").glob("*.tar.gz")).name.removesuffix(".tar.gz").rpartition("-")[2]


def prepare(checkpoint: Path, form: str) -> Path:
    whole = checkpoint / "llama.cpp" / "bf16.gguf"
    whole.parent.mkdir(exist_ok=True)
    if not whole.exists():
        partial = whole.with_suffix(".partial")
        run(
            NAME, str(HOME / NAME / "bin" / "python"), "-m", "benchmarks.peers.gguf_file", str(checkpoint), str(partial)
        )
        partial.rename(whole)
    if form == "bf16":
        return whole
    packed = whole.with_name(f"{form}.gguf")
    if not packed.exists():
        partial = packed.with_suffix(".partial")
        run(NAME, _binary("llama-quantize"), str(whole), str(partial), form.upper(), str(len(cores())))
        partial.rename(packed)
    return packed


def measure(model: Path, form: str, setting: Setting, shapes: Sequence[Shape]) -> Measured:
    port = free_port()
    ready = seconds_to_healthy(
        NAME,
        *(_binary("llama-server"), "-m", str(model), "--port", str(port), "--host", "127.0.0.1"),
        *("-c", "2048", *_options(setting)),
        port=port,
    )
    samples: dict[str, Sample] = {}
    whole = [shape for shape in shapes if shape.new_tokens > 1]
    for shape in shapes:
        if shape.new_tokens == 1:
            samples[shape.name] = _prompt_only(model, setting, shape)
    for (prompt, tokens), group in groupby(whole, lambda shape: (shape.prompt, shape.new_tokens)):
        samples |= _batches(model, setting, prompt, tokens, list(group))
    return Measured(ready, samples)


def _prompt_only(model: Path, setting: Setting, shape: Shape) -> Sample:
    """llama-bench warms up by itself."""
    if shape.sequences != 1:
        raise UnavailableError(f"llama-bench reads one prompt at a time, not {shape.sequences}")
    options = ("-p", str(shape.prompt), "-n", "0", "-r", "1", "-o", "json")
    printed = run(NAME, _binary("llama-bench"), "-m", str(model), *options, *_options(setting), limit=LIMIT)
    return Sample(json.loads(printed)[0]["avg_ns"] / 1e9, None)


def _batches(model: Path, setting: Setting, prompt: int, tokens: int, shapes: Sequence[Shape]) -> dict[str, Sample]:
    numbers = [shape.sequences for shape in shapes]
    context = max(numbers) * (prompt + tokens + 64)  # rounded up for each sequence
    options = ("-npp", str(prompt), "-ntg", str(tokens), "-npl", ",".join(map(str, numbers)), "-c", str(context))
    printed = run(
        NAME,
        *(_binary("llama-batched-bench"), "-m", str(model), *options, *_options(setting), "--output-format", "jsonl"),
        limit=LIMIT,
    )
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    if len(lines) != len(shapes):
        raise UnavailableError(f"llama-batched-bench gave {len(lines)} figures, not {len(shapes)}")
    return {shape.name: Sample(line["t_pp"], line["speed_tg"]) for shape, line in zip(shapes, lines, strict=True)}


def _options(setting: Setting) -> tuple[str, ...]:
    threads = str(len(cores()))
    return ("-t", threads, "-b", "2048", "-ub", str(setting["ubatch"]), "-fa", str(setting["flash-attn"]))


def _binary(name: str) -> str:
    return str(FOLDER / "build" / "bin" / name)


PEER = Peer(
    NAME,
    {"bf16": 16, "q8_0": 8, "q4_0": 4},
    (
        {"flash-attn": "on", "ubatch": 512},
        {"flash-attn": "off", "ubatch": 512},
        {"flash-attn": "on", "ubatch": 1024},
    ),
    "llama-server answers /health",
    install,
    prepare,
    measure,
)
