"""An S3 server on loopback, and a proxy before it that fails on purpose."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from moto.server import ThreadedMotoServer

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The address of an empty server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class Faults:
    """What the proxy does to requests, one after the other: nothing, or one of the faults, every ``every``-th time."""

    KINDS = ("error 500", "reset before the answer", "answer cut off", "slow")

    def __init__(self, every: int) -> None:
        self.every = every
        self.given = dict.fromkeys(self.KINDS, 0)
        self._count = itertools.count(1)
        self._kinds = itertools.cycle(self.KINDS)
        self._lock = threading.Lock()

    def next(self) -> str:
        with self._lock:
            if next(self._count) % self.every:
                return ""
            kind = next(self._kinds)
            self.given[kind] += 1
            return kind


@contextlib.contextmanager
def failing_proxy(target: str, faults: Faults) -> Iterator[str]:
    """The address of a proxy to ``target``."""
    host, port = target.removeprefix("http://").split(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults.next()
            if fault == "reset before the answer":
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            if fault == "error 500":
                self.answer(500, {}, b"")
                return
            if fault == "slow":
                time.sleep(0.5)
            upstream = http.client.HTTPConnection(host, int(port), timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP - {"host"}}
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            content = response.read()
            upstream.close()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP}
            length = response.getheader("Content-Length") if self.command == "HEAD" else None
            cut = len(content) // 2 if fault == "answer cut off" and content else None
            self.answer(response.status, kept, content, length, cut)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

        def answer(
            self,
            status: int,
            headers: dict[str, Any],
            content: bytes,
            length: str | None = None,
            cut: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
