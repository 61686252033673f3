"""The front process never needs torch: every front room imports without it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import importlib, pkgutil, sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
EXTRAS = ("gradio", "matplotlib", "opentelemetry")
import portico
for room in ("cli", "client", "config", "engine", "protocol", "server", "text"):
    package = importlib.import_module(f"portico.{room}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:
            if missing.name not in EXTRAS:
                raise
importlib.import_module("portico.weights.hub")
importlib.import_module("portico.demo")
"""


def test_the_front_imports_without_torch() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=60)
