"""A real SMTP server and a real HTTP server on loopback: what alerts are sent to."""

import json
import socket
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Webhook:
    """What was posted to it: `titles` in their order. `status` is what it answers; `on_post` may do more."""

    def __init__(self, port: int | None = None):
        self.port = port or free_port()
        self.posts: list[dict] = []
        self.status = 200
        self.on_post: Callable[[], None] = lambda: None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.on_post()
                if hook.status == 200:
                    hook.posts.append(body)
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}"

    @property
    def titles(self) -> list[str]:
        return [post["title"] for post in self.posts]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Mailbox:
    """An SMTP server that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self._controller.start()

    async def handle_DATA(self, server: object, session: object, envelope) -> str:
        mail = message_from_bytes(envelope.content)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        text = parts[-1].get_payload(decode=True).decode()
        self.mails.append((str(make_header(decode_header(mail["Subject"]))), text))
        return "250 OK"

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self._controller.port}?to=data@example.com&from=alerts@example.com&mode=insecure"

    def close(self) -> None:
        self._controller.stop()
