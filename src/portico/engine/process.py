"""The engine process's loop: take messages, run one step, send tokens; never wait for the front while there is work."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time

import zmq

from portico.engine.engine import Engine
from portico.protocol import messages

IDLE_MILLISECONDS = 1000
_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.5


def end_with_parent() -> None:
    """See to it that this process ends when its parent does, also while it loads a model or a step hangs.

    On Linux the kernel kills it with the thread that started it. Elsewhere a thread looks whether the parent is still
    there, which a step that never gives the interpreter back can hold up.
    """
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
        pipe = select.poll()
        pipe.register(sys.stdin.fileno(), select.POLLHUP)
        if pipe.poll(0):  # it went before the kernel was asked
            os._exit(1)
        return
    threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def serve(engine: Engine, socket: zmq.Socket[bytes]) -> None:
    """Run the engine until a Stop message, or until the front is gone (end of file on standard input)."""
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while True:
        ready = dict(poller.poll(0 if engine.has_work else IDLE_MILLISECONDS))
        if sys.stdin.fileno() in ready:
            return
        if socket in ready and not _take_messages(engine, socket):
            return
        if engine.has_work:
            socket.send(messages.encode(engine.step()), copy=False)
        elif socket in ready:  # a cancel may have emptied the engine: let the front see the blocks come back
            socket.send(messages.encode(messages.StepDone([], engine.stats())), copy=False)


def _take_messages(engine: Engine, socket: zmq.Socket[bytes]) -> bool:
    """Hand over all messages that have arrived; False when one of them was Stop."""
    while True:
        try:
            raw = socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return True
        message = messages.decode_to_engine(raw)
        match message:
            case messages.Add():
                engine.add(message)
            case messages.Cancel():
                engine.cancel(message)
            case messages.Stop():
                return False
