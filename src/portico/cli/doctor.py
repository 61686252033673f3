"""`portico doctor [MODEL]`: what this machine has for Portico, and whether a model fits, before it is loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portico.cli.parser import LineParser, add_options, given_flags
from portico.cli.serve import locate
from portico.config.cache import weights_cache_folder
from portico.config.given import Given
from portico.config.serve import ServeOptions, serve_options, settle_serve
from portico.config.values import size_text
from portico.errors import ConfigError, PorticoError

WIDTH = 80
LABEL = 15
FORMAT_NAMES = {"none": "", "int8": "int8", "int4": "int4"}


def run(arguments: Sequence[str]) -> int:
    """Tell the facts; returns 0 if all is well, 1 if something stands in the way."""
    parser = _parser()
    parsed = parser.parse_args(list(arguments))
    flags = given_flags(parsed, serve_options())
    try:
        if parsed.position is not None:
            flags["model"] = Given("MODEL", (parsed.position,))
        options = settle_serve(flags, os.environ).options
    except ConfigError as error:
        parser.error(str(error))
    facts = _facts(options)
    print(json.dumps(facts, indent=2, ensure_ascii=False) if parsed.json else "\n".join(_lines(facts)))
    return 1 if facts["problems"] else 0


def _parser() -> LineParser:
    parser = LineParser(
        prog="portico doctor",
        usage="portico doctor [MODEL] [--json] [options of portico serve]",
        description="Tell what this machine has, and what a model would need in memory, without loading it.",
        epilog="The exit status is 0 if all is well, 1 if something stands in the way of serving.",
    )
    parser.add_argument("position", nargs="?", metavar="MODEL", help="as for portico serve; of a model on the hub only "
                        "the small files are fetched")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    add_options(parser, serve_options())
    return parser


def _facts(options: ServeOptions) -> dict[str, Any]:
    problems: list[str] = []
    config = None
    if options.model.model is not None:
        try:
            config = options.engine(str(locate(options, options.model.model, weights=False)))
        except PorticoError as error:
            problems.append(str(error))
    facts = _examined(msgspec.json.encode(config))
    problems += facts.pop("problems", [])
    facts["cache"] = _cache(options)
    if "kernels" in facts and facts["kernels"]["active"] == "torch" and options.compute.device in ("auto", "cpu"):
        facts["advice"] = "The native kernels are not in use: computing on the CPU is several times slower."
    if (model := facts.get("model")) is not None:
        model["name"] = options.model.model
        problems += [model["problem"]] if model["problem"] else []
    return {**facts, "problems": problems}


def _examined(question: bytes) -> dict[str, Any]:
    """What a process that may load torch finds out."""
    done = subprocess.run(
        [sys.executable, "-m", "portico.run.examine"], input=question + b"\n", capture_output=True, check=False
    )
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason was given"])[-1]
        return {"problems": [f"The engine cannot start here: {last}"]}
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def _cache(options: ServeOptions) -> dict[str, Any] | None:
    """The folder for packed weights; None where it is off."""
    folder = weights_cache_folder(options.model.weights_cache, os.environ)
    if folder is None:
        return None
    files = [file for file in Path(folder).glob("*") if file.is_file()]
    there = next(place for place in (Path(folder), *Path(folder).parents) if place.exists())
    return {
        "folder": folder,
        "files": len(files),
        "size": sum(file.stat().st_size for file in files),
        "free": shutil.disk_usage(there).free,
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    versions = facts.get("versions", {})
    yield f"Portico {versions.get('portico', '')} on this machine".replace("  ", " ")
    yield ""
    if "processor" in facts:
        yield from _machine(facts)
    cache = facts["cache"]
    if cache is None:
        yield from _entry("weights cache", "off")
    else:
        held = f"{size_text(cache['size'])} in {cache['files']} files, {size_text(cache['free'])} free"
        yield from _entry("weights cache", f"{cache['folder']}: {held}")
    if versions:
        yield from _entry(
            "versions", ", ".join(f"{name} {said}" for name, said in versions.items() if name != "portico")
        )
    if "advice" in facts:
        yield from _entry("advice", facts["advice"])
    model = facts.get("model")
    if model is not None and "weights" in model:
        yield ""
        yield from _model(model)
    yield ""
    for problem in facts["problems"]:
        yield from textwrap.wrap(f"Problem: {problem}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    if not facts["problems"]:
        yield "All is well." if model is None else f"All is well: {model['name']} can be served as asked."


def _machine(facts: dict[str, Any]) -> Iterator[str]:
    processor, memory, kernels = facts["processor"], facts["memory"], facts["kernels"]
    quota = "" if processor["quota"] is None else f", {processor['quota']:g} by the control group"
    yield from _entry("processor", processor["name"])
    yield from _entry(
        "cores",
        f"{processor['cores_to_use']} to compute with ({processor['allowed_threads']} of "
        f"{processor['hardware_threads']} hardware threads allowed{quota})",
    )
    yield from _entry("instructions", " ".join(processor["instructions"]) or "none of those that kernels are made for")
    yield from _entry("kernels", kernels["active"])
    for name, why in kernels["others"].items():
        yield from _entry("", f"not {name}: {why}")
    limit = "" if memory["limit"] is None else f" (the control group allows {size_text(memory['limit'])})"
    yield from _entry("memory", f"{size_text(memory['available'])} available of {size_text(memory['total'])}{limit}")
    pages = memory["huge_pages"]
    yield from _entry("huge pages", f"transparent: {pages['transparent']}; reserved: {pages['reserved']}")
    gpus = [f"{gpu['name']}, {size_text(gpu['available'])} of {size_text(gpu['total'])} free" for gpu in facts["gpus"]]
    yield from _entry("GPUs", "; ".join(gpus) or "none that torch sees")


def _model(model: dict[str, Any]) -> Iterator[str]:
    size = f"{model['parameters'] / 1e6:.1f} million weights"
    yield f"{model['name']}: {model['architecture']}, {size}, {model['device']}"
    yield from ("", "  weights in              take  longest context that fits")
    for name, found in model["formats"].items():
        mark = "*" if name == model["quantization"] else " "
        fits = f"{found['longest']} tokens" if found["fits"] else "does not fit"
        yield f"{mark} {FORMAT_NAMES[name] or model['dtype']:<16}{size_text(found['weights']):>12}  {fits}"
    rest = model["steps"] + model["tables"] + model["first"]
    yield ""
    yield from _entry("weights", f"{size_text(model['weights'])} ({model['why']})")
    yield from _entry(
        "steps",
        f"{size_text(rest)} at most, for activations, logits and the vocabulary",
    )
    yield from _entry(
        "keys, values", f"{size_text(1000 * model['kv_bytes_per_token'])} for 1000 tokens in {model['kv_cache_dtype']}"
    )
    if model["problem"] is None:
        yield from _entry(
            "", f"{size_text(model['kv_cache'])} at most, taken as it is used: {model['kv_cache_tokens']} tokens"
        )
    yield from _entry("the process", f"{size_text(model['process'])} before the model")
    if model["problem"] is None:
        at_start = model["process"] + model["weights"] + model["tables"] + model["first"]
        most = at_start + model["steps"] + model["kv_cache"]
        yield from _entry("together", f"{size_text(at_start)} at the start, {size_text(most)} at most")
        less = (
            "" if model["context"] == model["wanted_context"] else f", less than the model's {model['wanted_context']}"
        )
        yield from _entry("context", f"{model['context']} tokens{less}")


def _entry(label: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, WIDTH - LABEL - 2, break_on_hyphens=False, break_long_words=False) or [""]
    for place, line in enumerate(lines):
        yield f"  {label if place == 0 else '':<{LABEL}}{line}"
