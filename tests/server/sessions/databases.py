"""Real database servers for tests, where the machine has their programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis
from fakeredis import TcpFakeServer

PG_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def program(name: str) -> str | None:
    """Where a program is; Debian keeps those of PostgreSQL out of the path."""
    return shutil.which(name) or next((found for folder in PG_FOLDERS if (found := shutil.which(folder / name))), None)


@contextmanager
def redis_server() -> Iterator[str]:
    """A URL of an empty Redis; where there is none on the machine, of one that speaks its protocol."""
    if program("redis-server") is None:
        server = TcpFakeServer(("127.0.0.1", 0))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
        return
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/redis.sock"
        command = [program("redis-server") or "", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        with _running(command, lambda: redis.Redis.from_url(f"unix://{socket}").ping()):
            yield f"unix://{socket}"


@contextmanager
def postgresql_server() -> Iterator[str]:
    """A URL of an empty database; the server refuses to run as root."""
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        if user is not None:
            shutil.chown(folder, user)
        data = f"{folder}/data"
        subprocess.run(
            [program("initdb") or "", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            cwd=folder,
        )
        command = [program("postgres") or "", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        url = f"postgresql://tester@/postgres?host={folder}"
        with _running(command, lambda: psycopg.connect(url).close(), user, folder):
            yield url


@contextmanager
def _running(
    command: list[str], try_it: Callable[[], object], user: str | None = None, folder: str | None = None
) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=folder)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                try_it()
                break
            except (OSError, redis.RedisError, psycopg.Error):
                assert process.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < deadline, f"{command[0]} does not answer"
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(30)
