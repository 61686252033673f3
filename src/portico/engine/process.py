"""The engine process's loop: take messages, run one step, send tokens; never wait for the front while there is work."""

from __future__ import annotations

import sys

import zmq

from portico.engine.engine import Engine
from portico.protocol import messages

IDLE_MILLISECONDS = 1000
AWAITING_MILLISECONDS = 5
"""Between two looks at whether a request has become ready, while nothing else is to be done."""


def serve(engine: Engine, socket: zmq.Socket[bytes]) -> None:
    """Run the engine until a Stop message, or until the front is gone (end of file on standard input)."""
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while True:
        ready = dict(poller.poll(_patience(engine)))
        if sys.stdin.fileno() in ready:
            return
        if socket in ready and not _take_messages(engine, socket):
            return
        engine.admit()
        if engine.has_work:
            socket.send(messages.encode(engine.step()), copy=False)
        elif socket in ready:  # a cancel may have emptied the engine: let the front see the blocks come back
            socket.send(messages.encode(messages.StepDone([], engine.stats())), copy=False)


def _patience(engine: Engine) -> int:
    """Milliseconds to wait for a message."""
    if engine.has_work:
        return 0
    return AWAITING_MILLISECONDS if engine.awaits else IDLE_MILLISECONDS


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
