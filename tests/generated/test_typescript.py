"""A client of openapi-fetch with the types that openapi-typescript makes: checked by tsc, run by Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.ts")
MODULES = Path(os.environ.get("PORTICO_NODE_MODULES", ".venv-generated/node_modules"))


def test_a_whole_answer_a_stream_and_an_error(document: Path, url: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(MODULES.resolve())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(PROGRAM, tmp_path)

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    binaries = tmp_path / "node_modules" / ".bin"
    run(binaries / "openapi-typescript", document, "--output", "portico.d.ts")
    run(binaries / "tsc", "--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "program.ts")
    told = json.loads(run("node", "program.js", url))
    assert "Paris" in told["whole"]
    assert "Paris" in told["streamed"]
    assert told["pieces"] > 2
    assert told["error"] == "model_not_found"
