"""A real HTTP receiver of webhooks on loopback, which can refuse."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """What came, in order: (delivery number, signature, body). The next `refusals` answers are taken from the list."""

    taken: list[tuple[str, str, bytes]] = field(default_factory=list)
    refused: list[tuple[str, str, bytes]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)

    def __enter__(self) -> Receiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                came = (self.headers["FirstCall-Delivery"], self.headers["FirstCall-Signature"], body)
                status = receiver.refusals.pop(0) if receiver.refusals else 204
                (receiver.taken if status < 300 else receiver.refused).append(came)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if status in (301, 302):
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
