"""A bucket on loopback that checks signatures, and stores of pictures in it and in a folder."""

import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit
from xml.sax.saxutils import escape

import pytest
from typing_extensions import override

from benchmarks.postgres import database_env, store_url
from grabient_ops.images.objects import PictureStore, open_pictures
from grabient_ops.settings import Settings
from grabient_ops.store.engine import Store, open_store

NAME, SECRET = "key-name", "key-of-the-house"


@dataclass
class Bucket:
    """What a bucket called `colours` holds, and how it misbehaves.

    Attributes:
        objects: contents by key.
        headers: what was kept with them, by key.
        puts: keys in the order in which they were put.
        page: most objects in one page of a list.
        refuse_after: puts after which every other is refused; None for none.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    puts: list[str] = field(default_factory=list)
    lists: int = 0
    page: int = 1000
    refuse_after: int | None = None


class Handler(BaseHTTPRequestHandler):
    """S3 as far as pictures need it, and under `/public/` what the world may read."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path.startswith("/public/"):
            # Like many servers, this one takes a plus for a blank.
            self._give(unquote_plus(path).removeprefix("/public/"))
        elif self._may_enter(b""):
            if "list-type" in query:
                self._list({name: values[0] for name, values in query.items()})
            else:
                self._give(self._key())

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._may_enter(body):
            return
        bucket, key = self.bucket, self._key()
        if bucket.refuse_after is not None and len(bucket.puts) >= bucket.refuse_after:
            self._refuse(400, "EntityTooMean")
            return
        bucket.puts.append(key)
        bucket.objects[key] = body
        bucket.headers[key] = {name.lower(): value for name, value in self.headers.items()}
        self._answer(200, b"", ETag='"0"')

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/colours/")

    def _give(self, key: str) -> None:
        content = self.bucket.objects.get(key)
        if content is None:
            self._refuse(404, "NoSuchKey")
        else:
            modified = "Sun, 22 Nov 2026 10:00:00 GMT"
            self._answer(200, content, **{"Last-Modified": modified, "ETag": '"0"'})

    def _list(self, query: dict[str, str]) -> None:
        self.bucket.lists += 1
        after = query.get("continuation-token", "")
        keys = sorted(key for key in self.bucket.objects if key.startswith(query["prefix"]))
        rest = [key for key in keys if key > after]
        shown, is_cut = rest[: self.bucket.page], len(rest) > self.bucket.page
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.bucket.objects[key])}</Size>"
            "<LastModified>2026-11-22T10:00:00.000Z</LastModified></Contents>"
            for key in shown
        )
        more = (
            f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if is_cut else ""
        )
        cut = f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>"
        self._answer(200, f"<ListBucketResult>{entries}{more}{cut}</ListBucketResult>".encode())

    def _may_enter(self, body: bytes) -> bool:
        if not self._is_signed(body):
            self._refuse(403, "SignatureDoesNotMatch")
            return False
        if urlsplit(self.path).path.split("/")[1] != "colours":
            self._refuse(404, "NoSuchBucket")
            return False
        return True

    def _is_signed(self, body: bytes) -> bool:
        """Check the signature of the fourth version over everything that it covers."""
        fields = dict(
            part.strip().split("=", 1)
            for part in self.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
        )
        name, *scope = fields["Credential"].split("/")
        covered = fields["SignedHeaders"].split(";")
        url, digest = urlsplit(self.path), hashlib.sha256(body).hexdigest()
        canonical = "\n".join(
            [self.command, url.path, "&".join(sorted(filter(None, url.query.split("&"))))]
            + [f"{header}:{self.headers[header]}" for header in covered]
            + ["", ";".join(covered), digest]
        )
        key = f"AWS4{SECRET}".encode()
        for step in scope:
            key = hmac.digest(key, step.encode(), "sha256")
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self.headers['x-amz-date']}\n{'/'.join(scope)}\n{hashed}"
        expected = hmac.digest(key, text.encode(), "sha256").hex()
        return name == NAME and expected == fields["Signature"]

    def _refuse(self, status: int, code: str) -> None:
        # Servers put the reason on a line of its own.
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'
        self._answer(status, text.encode())

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    held = Bucket()

    class Ours(Handler):
        bucket = held

    with ThreadingHTTPServer(("127.0.0.1", 0), Ours) as server:
        held.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield held
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that leads to this home, and to no bucket."""
    for variable in list(os.environ):
        if variable.startswith(("R2_", "AWS_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("GRABIENT_OPS_HOME", str(tmp_path / "home"))
    for name, value in database_env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"


@pytest.fixture
def r2(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment that leads to the bucket; the variables, for other processes."""
    variables = {
        "R2_ENDPOINT": bucket.url,
        "R2_ACCESS_KEY_ID": NAME,
        "R2_SECRET_ACCESS_KEY": SECRET,
        "R2_BUCKET": "colours",
        "R2_PUBLIC_URL": f"{bucket.url}/public/",
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return variables


@pytest.fixture(params=["folder", "bucket"])
def pictures(request: pytest.FixtureRequest) -> PictureStore:
    """Pictures in a folder, and in a bucket."""
    if request.param == "bucket":
        request.getfixturevalue("r2")
    return open_pictures(Settings())


@pytest.fixture
def in_bucket(r2: dict[str, str]) -> PictureStore:
    """Pictures in the bucket."""
    assert r2
    return open_pictures(Settings())


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(store_url(home))
    yield opened
    opened.close()


Opener = Callable[..., PictureStore]


@pytest.fixture
def opened_with(monkeypatch: pytest.MonkeyPatch) -> Opener:
    """Open pictures with further variables, given by their names in lower case."""

    def open_with(**variables: str) -> PictureStore:
        for name, value in variables.items():
            monkeypatch.setenv(name.upper(), value)
        return open_pictures(Settings())

    return open_with
