"""Hands out a task role's credentials on loopback, as the ECS agent does: none stand in a container's environment.

Source: AWS SDKs and Tools Reference Guide, "Container credential provider"; Amazon ECS Developer Guide, "Task IAM
role".
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self

__all__ = ["TaskRole"]

_LIFE = timedelta(hours=6)


class TaskRole:
    """Serves one role's keys to whoever has `environment`."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._keys = {"AccessKeyId": access_key, "SecretAccessKey": secret_key, "Token": secrets.token_hex(16)}
        word = secrets.token_hex(16)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(word))
        self._server.daemon_threads = True
        url = f"http://127.0.0.1:{self._server.server_address[1]}/credentials"
        self.environment: Mapping[str, str] = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": word,
        }
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self) -> bytes:
        """The keys, as the agent words them."""
        expires = datetime.now(timezone.utc) + _LIFE
        return json.dumps({**self._keys, "Expiration": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}).encode()

    def _handler(self, word: str) -> type[BaseHTTPRequestHandler]:
        role = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = secrets.compare_digest(self.headers.get("Authorization", ""), word)
                body = role.answer() if known else b""
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return None

        return Handler
