"""The vault itself, small: a real HTTP server on loopback that really copies files, moved step by step by a test."""

from __future__ import annotations

import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

API_KEY = "fv-key-4f1c9a77d0"
ENDED = ("kept", "broken", "withdrawn")


class Vault:
    """All copies by id. `step` moves one along waiting -> copying -> kept (or broken, when its source is missing).

    An `eager` vault does so by itself whenever it is asked about a copy.
    """

    def __init__(self, *, eager: bool = False) -> None:
        self.eager = eager
        self.copies: dict[str, dict[str, Any]] = {}
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            known = next((each for each in self.copies.values() if each["token"] == wanted["token"]), None)
            if known is None:
                known = {"copy": f"fv-{len(self.copies):06d}", "word": "waiting", "done": 0.0, **wanted}
                self.copies[known["copy"]] = known
            return dict(known)

    def step(self, native_id: str) -> None:
        film = self.copies[native_id]
        if film["word"] == "waiting":
            film.update(word="copying", done=0.5)
        elif film["word"] == "copying":
            source, target = (Path(unquote(urlsplit(film[end]).path)) for end in ("source", "target"))
            if source.is_file():
                shutil.copyfile(source, target)
                film.update(word="kept", done=1.0)
            else:
                film.update(word="broken", reason=f"{source.name} is not there")

    def withdraw(self, native_id: str) -> dict[str, Any]:
        film = self.copies.get(native_id, {"word": "unknown"})
        with self._lock:
            if film["word"] in ("waiting", "copying"):
                film["word"] = "withdrawn"
        return dict(film)

    def look(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        if "token" in query:
            return [dict(each) for each in self.copies.values() if each["token"] == query["token"][0]]
        asked = [each for each in query["ids"][0].split(",") if each in self.copies]
        for native_id in asked if self.eager else ():
            self.step(native_id)
        return [dict(self.copies[each]) for each in asked]


def _handler_of(vault: Vault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({"copies": vault.look(parse_qs(urlsplit(self.path).query))})

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/withdrawals":
                self._answer(vault.withdraw(sent["copy"]))
            elif isinstance(sent.get("target"), str):
                self._answer(vault.create(sent))
            else:
                self._answer({"error": "no target"}, 422)

        def _answer(self, content: dict[str, Any], status: int = 200) -> None:
            if self.headers["X-Api-Key"] != API_KEY:
                status, content = 401, {"error": "who are you?"}
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            """Say nothing: the default writes each request to standard error."""

    return Handler
