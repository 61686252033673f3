"""Where mind and hands meet: builds an engine around a runner, in this process or as a process of its own.

`python -m portico.build ENDPOINT` is the engine process: its configuration comes as one line of JSON on standard input,
which then stays open as the sign that the front is alive.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import zmq

from portico import logs
from portico.config.engine import EngineConfig
from portico.engine.engine import Engine
from portico.engine.process import end_with_parent, serve
from portico.engine.scheduler import Limits
from portico.errors import PorticoError
from portico.protocol import messages

log = logging.getLogger(__name__)

Tell = Callable[[str, float], None]
"""Takes what is being done, and how much of the checkpoint is in place (0 to 1)."""
Announce = Callable[[messages.Loaded], None]
"""Takes what was loaded."""


def build_engine(
    config: EngineConfig, tell: Tell = lambda stage, progress: None, announce: Announce = lambda loaded: None
) -> tuple[Engine, messages.Loaded]:
    """Load the model and make an engine for it, telling how far that is; raises CheckpointError or ConfigError.

    What was loaded is announced as soon as the engine can work.
    """
    tell("importing torch", 0.0)
    from portico.run.build import build_runner

    runner, loaded = build_runner(config, tell)
    limits = Limits(
        loaded.max_model_len,
        loaded.max_num_seqs,
        loaded.max_num_batched_tokens,
        loaded.max_prefill_beside_decodes,
        config.reuse_prefixes,
        config.prefill_slowdown,
    )
    engine = Engine(runner, limits, num_blocks=loaded.num_blocks, block_size=loaded.block_size, ready=runner.ready)
    announce(loaded)
    runner.prepare()  # not before: it takes Python's lock away from what is still to be done
    return engine, loaded


def main(endpoint: str) -> int:
    """Be the engine process; returns its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the front decides
    end_with_parent()
    line = sys.stdin.readline()
    if not line:  # the front was gone before it could say anything
        return 1
    config = msgspec.json.decode(line, type=EngineConfig)
    logs.set_up(config.log_level, config.log_format, "engine")
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.set_hwm(0)  # the engine must never block on a slow front
    socket.connect(endpoint)
    gc.disable()  # while only what stays is made
    try:
        engine, _ = build_engine(
            config,
            tell=lambda stage, progress: socket.send(messages.encode(messages.Loading(stage, progress))),
            announce=lambda loaded: socket.send(messages.encode(loaded)),
        )
        gc.freeze()  # what is there now stays: a step need not wait while all of torch is looked through for garbage
        gc.enable()
        serve(engine, socket)
        return 0
    except PorticoError as error:
        socket.send(messages.encode(messages.Died(str(error))))
        return 1
    except Exception as error:
        log.exception("the engine failed")
        socket.send(messages.encode(messages.Died(f"{type(error).__name__}: {error}")))
        return 1
    finally:
        socket.close(linger=1000)
        context.term()
        _remove_socket(Path(endpoint.removeprefix("ipc://")))


def _remove_socket(path: Path) -> None:
    """Clear away the socket and its folder; a front that was killed could not."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
