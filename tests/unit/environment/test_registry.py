"""A registry, and what it is not believed. tests/doors/publish.bats talks to a real one."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from pressbox.environment import oci, registry
from pressbox.environment.passport import digest
from pressbox.environment.registry import Login, Registry
from pressbox.errors import PressboxError

MANIFEST = b'{"schemaVersion": 2}'


class Server(BaseHTTPRequestHandler):
    """Answers with what ``answers`` has for method and path: status, headers, content."""

    answers: ClassVar[dict] = {}
    asked: ClassVar[list] = []

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, self.headers.get("Authorization")))
        found = self.answers.get((self.command, self.path), (404, {}, b""))
        status, headers, content = found(self.headers) if callable(found) else found
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(content)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - so they are called

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def host():
    """Where a server listens that speaks no TLS; it forgets all answers."""
    Server.answers, Server.asked = {("GET", "/v2/"): (200, {}, b"{}")}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_what_is_served_has_the_digest_that_was_asked_for(host):
    right = digest(MANIFEST)
    Server.answers["GET", f"/v2/desk/manifests/{right}"] = (200, {}, MANIFEST)
    assert Registry(f"{host}/desk").manifest(right) == MANIFEST
    assert Registry(f"{host}/desk").manifest(digest(b"none")) is None
    for place in ("manifests", "blobs"):
        Server.answers["GET", f"/v2/desk/{place}/{right}"] = (200, {}, b'{"schemaVersion": 1}')
    for read in (Registry(f"{host}/desk").manifest, Registry(f"{host}/desk").blob):
        with pytest.raises(PressboxError, match="serves something else under the digest"):
            read(right)


def test_name_and_password_go_to_who_asks_for_them(host):
    right = Login("desk", "word").header

    def guarded(headers):
        if headers.get("Authorization") == right:
            return 200, {}, MANIFEST
        return 401, {"WWW-Authenticate": 'Basic realm="desk"'}, b""

    Server.answers["GET", "/v2/desk/manifests/1"] = guarded
    assert Registry(f"{host}/desk", Login("desk", "word")).manifest("1") == MANIFEST
    assert Server.asked[-2][2] is None
    for login in (None, Login("desk", "other")):
        with pytest.raises(PressboxError, match="lets nobody in as who we are"):
            Registry(f"{host}/desk", login).manifest("1")


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://elsewhere.example/", "ftp://x/"])
def test_an_upload_goes_nowhere_but_to_the_registry_or_under_tls(place, host):
    Server.answers["POST", "/v2/desk/blobs/uploads/"] = (202, {"Location": place}, b"")
    with pytest.raises(PressboxError, match="sends us to "):
        Registry(f"{host}/desk").push_content(b"{}", registry.EMPTY_TYPE)


def test_what_the_registry_has_is_not_sent_again(host):
    Server.answers["HEAD", f"/v2/desk/blobs/{digest(b'{}')}"] = (200, {}, b"")
    descriptor = Registry(f"{host}/desk").push_content(b"{}", registry.EMPTY_TYPE)
    assert descriptor == oci.Blob(registry.EMPTY_TYPE, digest(b"{}"), 2).descriptor()
    assert {method for method, *_ in Server.asked} == {"HEAD"}


def attachment(subject):
    content = b"signed"
    return json.dumps({"subject": {"digest": subject}, "layers": [{"digest": digest(content)}]})


@pytest.mark.parametrize("place", ["referrers/{}", "manifests/{}"])
def test_attachments_are_those_of_the_image_and_of_the_type(place, host):
    image, other = digest(b"image"), digest(b"other")
    listed = []
    for subject in (image, other):
        packed = attachment(subject).encode()
        listed.append({"artifactType": "statement", "digest": digest(packed)})
        Server.answers["GET", f"/v2/desk/manifests/{digest(packed)}"] = (200, {}, packed)
    listed.append({"artifactType": "else", "digest": other})
    Server.answers["GET", f"/v2/desk/blobs/{digest(b'signed')}"] = (200, {}, b"signed")
    where = place.format(image if place.startswith("referrers") else image.replace(":", "-"))
    Server.answers["GET", f"/v2/desk/{where}"] = (200, {}, oci.index(listed))
    assert Registry(f"{host}/desk").attached(image, "statement") == [b"signed"]


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"manifests": 1}'])
def test_a_list_that_cannot_be_read_is_one_error(content, host):
    Server.answers["GET", f"/v2/desk/referrers/{digest(b'')}"] = (200, {}, content)
    with pytest.raises(PressboxError, match="serves a list that cannot be read"):
        Registry(f"{host}/desk").attached(digest(b""), "statement")


def test_a_registry_that_is_down_or_confused_is_one_error(host):
    with pytest.raises(PressboxError, match="does not answer"):
        Registry("127.0.0.1:1/desk").manifest("1")
    Server.answers["GET", "/v2/desk/manifests/1"] = (500, {}, b'{"errors":[{"message":"no disk"}]}')
    with pytest.raises(PressboxError, match="answers 500 to GET, no disk"):
        Registry(f"{host}/desk").manifest("1")


KEPT = base64.b64encode(b"desk:pass:word").decode()


@pytest.mark.parametrize(
    ("host", "config", "answer", "expected"),
    [
        (
            "desk.example",
            {"auths": {"desk.example": {"auth": KEPT}}},
            "",
            Login("desk", "pass:word"),
        ),
        ("desk.example", {"auths": {"https://desk.example": {"auth": KEPT}}}, "", "same"),
        ("docker.io", {"auths": {registry.DOCKER_LOGIN: {"auth": KEPT}}}, "", "same"),
        ("desk.example", {"auths": {"other.example": {"auth": KEPT}}}, "", None),
        ("desk.example", {"auths": {"desk.example": {}}}, "", None),
        ("desk.example", {}, '{"Username": "desk", "Secret": "pass:word"}', "same"),
    ],
)
def test_a_login_is_that_of_docker_login(host, config, answer, expected):
    if expected == "same":
        expected = Login("desk", "pass:word")
    assert registry.login(host, json.dumps(config).encode(), answer.encode()) == expected


def test_a_login_is_not_shown():
    assert "word" not in repr(Login("desk", "word"))


@pytest.mark.parametrize("config", [b"[]", b"{", b'{"auths": {"desk.example": {"auth": "\xff"}}}'])
def test_a_login_that_cannot_be_read_is_one_error(config):
    with pytest.raises(PressboxError, match="what docker login has kept"):
        registry.login("desk.example", config, b"")
