"""`python -m benchmarks.evaluation`: lm-evaluation-harness through `portico serve`, held against transformers.

The harness runs the tasks of `benchmarks/lm_eval_tasks` on the bundled model in every way in which it can ask, and once
by itself with transformers on the same checkpoint. Every log-likelihood and every text must be the same, and what the
model knows must be right.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import http_load
from portico.demo import NAME, demo_folder

TASKS = Path(__file__).parent / "lm_eval_tasks"
CLOSE = 1e-2
"""How far a log-likelihood of a whole text may be from that of transformers."""
LEAST_RIGHT = 0.95
ASKED, WHOLE = ("portico_capitals", "portico_sums"), ("portico_sentences",)
"""Tasks that are put as questions, laid out by the chat template, and texts that are taken as they are."""
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
"""Nothing here needs a network; and the harness and the server share the cores."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which the harness asks a server."""

    name: str
    tasks: Sequence[str] = ASKED
    arguments: str = ""
    batch_size: int = 1
    chat: bool = False

    def flags(self, port: int) -> list[str]:
        """The harness's arguments; those of its model are the user's own."""
        route = "chat/completions" if self.chat else "completions"
        known = f"model={NAME},base_url=http://127.0.0.1:{port}/v1/{route},tokenizer={demo_folder()}"
        model = "local-chat-completions" if self.chat else "local-completions"
        return ["--model", model, "--model_args", known + self.arguments, "--batch_size", str(self.batch_size)]


WAYS = (
    Way("one by one"),
    Way("batches of 8", batch_size=8),
    Way("4 at once", arguments=",num_concurrent=4"),
    Way("chat", tasks=("portico_sums",), arguments=",num_concurrent=4", chat=True),
    Way("whole texts", tasks=WHOLE),
    Way("whole texts in batches", tasks=WHOLE, batch_size=8),
    Way("whole texts, not as tokens", tasks=WHOLE, arguments=",tokenized_requests=False"),
)

Samples = dict[tuple[str, int], dict[str, Any]]
"""What the harness wrote down, by task and number of the question."""


def run(tasks: Sequence[str], flags: Sequence[str]) -> Samples:
    """Run the harness as a person would, and read what it wrote down."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lm_eval", "run", *flags, "--tasks", ",".join(tasks)]
        command += ["--include_path", str(TASKS), "--output_path", folder, "--log_samples"]
        if tasks != WHOLE:
            command.append("--apply_chat_template")
        done = subprocess.run(
            command, cwd=TASKS.parents[1], env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        return dict(_samples(Path(folder)))


def _samples(folder: Path) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    for path in folder.rglob("samples_*.jsonl"):
        task = path.name.removeprefix("samples_").rsplit("_", 1)[0]
        for line in path.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            yield (task, sample["doc_id"]), sample


def differences(found: Samples, oracle: Samples) -> tuple[float, int]:
    """The largest difference of a log-likelihood, and how many texts or likeliest tokens are others."""
    largest, others = 0.0, 0
    for key, sample in found.items():
        for ours, theirs in zip(_answers(sample), _answers(oracle[key]), strict=True):
            if isinstance(ours, float) and isinstance(theirs, float):
                largest = max(largest, abs(ours - theirs))
            else:
                others += ours != theirs
    return largest, others


def _answers(sample: dict[str, Any]) -> list[float | str]:
    """Log-likelihoods as numbers, texts and whether they are the likeliest as they are."""
    flat = [part for (answer,) in sample["resps"] for part in (answer if isinstance(answer, list) else [answer])]
    return [_number(part) for part in flat]


def _number(part: str) -> float | str:
    try:
        return float(part)
    except ValueError:
        return part.strip()


def right(found: Samples) -> float | None:
    """The share of right answers; None where there is no right or wrong."""
    marks = [sample[name] for sample in found.values() for name in ("acc", "exact_match") if name in sample]
    return sum(marks) / len(marks) if marks else None


def main() -> int:
    oracle_flags = ["--model", "hf", "--model_args", f"pretrained={demo_folder()},dtype=float32", "--device", "cpu"]
    oracle = run(ASKED, oracle_flags) | run(WHOLE, oracle_flags)
    print(f"{'':28}{'questions':>10}{'right':>8}{'largest difference':>20}{'others':>8}{'seconds':>9}")
    wrong = 0
    with http_load.server(None, "--threads", "1", "--log-level", "warning", "--kv-cache-memory", "64MiB") as server:
        for way in WAYS:
            start = time.perf_counter()
            found = run(way.tasks, way.flags(server.port))
            seconds = time.perf_counter() - start
            largest, others = differences(found, oracle)
            share = right(found)
            good = bool(found) and largest <= CLOSE and not others and (share is None or share >= LEAST_RIGHT)
            wrong += not good
            shown = "" if share is None else f"{share:.1%}"
            end = "" if good else "   not as it should be"
            print(f"{way.name:28}{len(found):10}{shown:>8}{largest:20.1e}{others:8}{seconds:9.1f}{end}", flush=True)
    print("all is well" if not wrong else f"{wrong} ways went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
