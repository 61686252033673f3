"""A process that compiles grammars to see what that costs: more than its limits end it, and nothing else with it.

Each line of standard input is a grammar as a JSON string; the answer to one that was compiled is an empty line.
"""

from __future__ import annotations

import json
import resource
import sys

from llguidance import LLMatcher, LLTokenizer

CPU_SECONDS = 2
"""For one grammar; those of real applications take some hundredths."""
MEMORY = 2**30
"""Bytes of address space beyond what the process has when it is ready."""


def main() -> None:
    """Work until standard input ends."""
    tokenizer = LLTokenizer("byte")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_AS, _address_space() + MEMORY)
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        # The kernel counts whole seconds.
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS)
        # Whether it is right has been looked at before, and of the model's special tokens nothing is known here.
        LLMatcher(tokenizer, json.loads(line), log_level=0)
        sys.stdout.write("\n")
        sys.stdout.flush()


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
