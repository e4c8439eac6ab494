"""A stand-in for the Hugging Face hub in this process: repositories are folders."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
NOT_FOUND = 404, b"", {"X-Error-Code": "RepoNotFound"}

Answer = tuple[int, bytes, dict[str, str]]


@contextmanager
def serve(repositories: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serve repositories; gives the address and the list of what has been asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(path)
            answers = (_answer(path, name, folder) for name, folder in repositories.items())
            code, body, headers = next((a for a in answers if a is not None), NOT_FOUND)
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(path: str, name: str, folder: Path) -> Answer | None:
    files = sorted(entry for entry in folder.iterdir() if entry.is_file())
    if path.startswith(f"/api/models/{name}/tree/"):
        rows = [
            {"type": "file", "path": f.name, "oid": _oid(f), "size": f.stat().st_size}
            for f in files
        ]
        return 200, json.dumps(rows).encode(), {}
    if path.startswith(f"/api/models/{name}/"):
        siblings = [{"rfilename": file.name} for file in files]
        about = {"id": name, "sha": COMMIT, "siblings": siblings}
        return 200, json.dumps(about).encode(), {}
    file = folder / path.rsplit("/", 1)[-1]
    if path.startswith(f"/{name}/resolve/") and file in files:
        return 200, file.read_bytes(), {"ETag": f'"{_oid(file)}"', "X-Repo-Commit": COMMIT}
    return None


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
