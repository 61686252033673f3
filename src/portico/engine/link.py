"""An engine process and the socket to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import zmq
import zmq.asyncio

from portico.config.engine import EngineConfig
from portico.engine.memory import let_go_first, out_of_memory_kills
from portico.errors import ConfigError
from portico.protocol import messages

EXIT_SECONDS = 5.0
SOCKET = "engine.sock"


class EngineProcess:
    """A running engine process and the address it talks at; it ends with the thread that made this object.

    `module` is what the process runs: `portico.build`, or a stand-in that speaks the same messages.
    """

    def __init__(self, config: EngineConfig, module: str = "portico.build") -> None:
        self.config = config
        self.module = module
        self.folder = _private_folder()
        self.endpoint = f"ipc://{self.folder / SOCKET}"
        self._memory_kills = out_of_memory_kills()
        self.popen = subprocess.Popen([sys.executable, "-m", module, self.endpoint], stdin=subprocess.PIPE, text=False)
        let_go_first(self.popen.pid)
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # an engine that died at once is reported by its exit status
            self.popen.stdin.write(msgspec.json.encode(config) + b"\n")
            self.popen.stdin.flush()

    def hide(self) -> None:
        """Remove the address: who is connected stays so, nobody else can come, and a killed front leaves nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def out_of_memory(self) -> bool:
        """Whether the system has killed a process for want of memory since this one began; likely this one."""
        return out_of_memory_kills() > self._memory_kills

    def again(self) -> EngineProcess:
        """Another process for the same engine."""
        return EngineProcess(self.config, self.module)

    def close(self) -> None:
        """End the process, by force if it does not go by itself, and remove its socket."""
        self.popen.terminate()  # it holds nothing that could be lost
        try:
            self.popen.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        if self.popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.popen.stdin.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _private_folder() -> Path:
    """A new folder of mode 0700, so that nobody else can reach the socket in it; ConfigError if there can be none."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="portico-"))
    except OSError as error:
        raise ConfigError(f"No folder for the engine's socket can be made: {error.strerror} (TMPDIR).") from None
    if len(os.fsencode(folder / SOCKET)) > zmq.IPC_PATH_MAX_LEN:
        folder.rmdir()
        raise ConfigError(
            f"The folder for temporary files, {folder.parent}, has too long a name for the engine's socket in it, of "
            f"{zmq.IPC_PATH_MAX_LEN} characters at most; set TMPDIR to a shorter one, as TMPDIR=/tmp."
        )
    return folder


class Link:
    """The front's end of the way to one engine process; belongs to an event loop."""

    def __init__(self, process: EngineProcess, context: zmq.asyncio.Context) -> None:
        self.process = process
        self._socket = context.socket(zmq.DEALER)
        self._socket.set_hwm(0)
        self._socket.bind(process.endpoint)

    def send(self, message: messages.ToEngine) -> None:
        """Send without waiting: the socket's queue is unbounded, so generators that are being closed can send too.

        What is sent after `close` is dropped, as it is when the engine has gone.
        """
        if self._socket.closed:
            return
        self._socket.send(messages.encode(message))

    async def receive(self) -> messages.FromEngine:
        """The engine's next message."""
        raw: bytes = await self._socket.recv()
        message: messages.FromEngine = messages.decode_from_engine(raw)
        return message

    def close(self, linger: int) -> None:
        """Give the socket up, what is unsent after `linger` milliseconds."""
        self._socket.close(linger=linger)
