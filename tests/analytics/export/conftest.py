"""A bucket on loopback, and settings that lead to it."""

import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from typing_extensions import override

from grabient_ops.settings import Settings


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as the exporter speaks; it asks nobody for a signature."""

    protocol_version = "HTTP/1.1"
    url: ClassVar[str]
    objects: ClassVar[dict[str, bytes]]
    """Contents by key."""
    writes: ClassVar[list[str]]
    """Keys in the order in which they were put or deleted."""
    parts: ClassVar[dict[tuple[str, int], bytes]]
    """What came of files that are sent in parts."""

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if not url.path.startswith("/lakes"):
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return
        prefix = parse_qs(url.query).get("prefix", [""])[0]
        listed = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(content)}</Size>"
            "<LastModified>2026-11-22T10:00:00.000Z</LastModified></Contents>"
            for key, content in self.objects.items()
            if key.startswith(prefix) and "/" not in key.removeprefix(prefix)
        )
        self._answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        part = parse_qs(urlsplit(self.path).query).get("partNumber")
        if part:
            self.parts[self._key(), int(part[0])] = body
        else:
            self._store(body)
        self._answer(200, b"", ETag='"0"')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = urlsplit(self.path).query
        if query.startswith("uploads"):
            self._answer(200, _upload(f"<UploadId>{self._key()}</UploadId>"))
            return
        if query.startswith("uploadId"):
            numbers = sorted(number for key, number in self.parts if key == self._key())
            self._store(b"".join(self.parts[self._key(), number] for number in numbers))
            self._answer(200, _upload('<ETag>"0"</ETag>', "Complete"))
            return
        keys = re.findall(r"<Key>(.*?)</Key>", body)
        for key in keys:
            del self.objects[key]
            self.writes.append(f"-{key}")
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/lakes/")

    def _store(self, content: bytes) -> None:
        self.objects[self._key()] = content
        self.writes.append(self._key())

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _upload(content: str, step: str = "Initiate") -> bytes:
    name = f"{step}MultipartUploadResult"
    return f"<{name}><Bucket>lakes</Bucket><Key>key</Key>{content}</{name}>".encode()


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("R2_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def bucket() -> Iterator[type[Bucket]]:
    class FreshBucket(Bucket):
        objects: ClassVar = {}
        writes: ClassVar = []
        parts: ClassVar = {}

    with ThreadingHTTPServer(("127.0.0.1", 0), FreshBucket) as server:
        FreshBucket.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield FreshBucket
        server.shutdown()
        thread.join()


@pytest.fixture
def r2(bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that lead to the bucket."""
    monkeypatch.setenv("R2_ENDPOINT", bucket.url)
    monkeypatch.setenv("R2_ACCESS_KEY_ID", "key-name")
    monkeypatch.setenv("R2_SECRET_ACCESS_KEY", "key-of-the-house")
    return Settings()
