"""A registry of images, as the OCI describes it (distribution-spec 1.1).

What it sends is compared with the digest under which it was asked for, and believed no further.
"""

import base64
import ipaddress
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

from pressbox.environment import oci
from pressbox.environment.passport import digest
from pressbox.errors import PressboxError

TIMEOUT_S = 60  # without a byte
# Docker's registry has a name of its own, and another one in the file that docker login writes.
DOCKER, DOCKER_HOST, DOCKER_LOGIN = (
    "docker.io",
    "registry-1.docker.io",
    "https://index.docker.io/v1/",
)
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
ACCEPTED = f"{oci.MANIFEST_TYPE}, {oci.INDEX_TYPE}"
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
# Of what is read into memory: manifests, indices, bills of materials, statements.
MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Login:
    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


def login(host: str, config: bytes, answer: bytes) -> Login | None:
    """Who logs in to the host, if anybody does.

    config: the file that ``docker login`` writes. answer: what the credential helper that it names
    has printed. Raises PressboxError if one of them cannot be read.
    """
    try:
        if answer.strip():
            said = json.loads(answer)
            return Login(said["Username"], said["Secret"])
        auths = json.loads(config or EMPTY).get("auths", {})
        places = (DOCKER_LOGIN,) if host == DOCKER else (host, f"https://{host}")
        kept = next(
            (auths[place]["auth"] for place in places if auths.get(place, {}).get("auth")), ""
        )
        user, found, password = base64.b64decode(kept).decode().partition(":")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise PressboxError(
            f"what docker login has kept for {host} cannot be read", f"run docker login {host}"
        ) from error
    return Login(user, password) if found else None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    content: bytes


class Registry:
    """The repository ``name``, ``host[:port]/path``, of a registry.

    login: as whom. authority: a PEM file with certificates to trust besides the usual ones. Each
    method raises PressboxError if the registry does not answer as it should.
    """

    def __init__(self, name: str, login: Login | None = None, authority: Path | None = None):
        self.name = name
        self.host, _, self.repository = name.partition("/")
        self._login, self._authorization = login, ""
        host = self.host
        if host == DOCKER:
            host = DOCKER_HOST
            if "/" not in self.repository:
                self.repository = f"library/{self.repository}"
        context = ssl.create_default_context()
        if authority:
            context.load_verify_locations(authority)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        self._root = f"https://{host}/v2/"
        if _is_loopback(host) and not self._speaks_tls():
            self._root = f"http://{host}/v2/"
        self._base = f"{self._root}{self.repository}/"

    def push_blob(self, content: Path | bytes, blob: oci.Blob) -> dict:
        """Send a file, or what is in memory, unless the registry has it; its descriptor."""
        if self._ask("HEAD", f"blobs/{blob.digest}", known=(200, 404)).status != 200:
            started = self._ask("POST", "blobs/uploads/", known=(202,))
            place = urljoin(self._base, started.headers["Location"])
            place += f"{'&' if '?' in place else '?'}{urlencode({'digest': blob.digest})}"
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
            self._ask("PUT", place, headers, body=content, known=(201,))
        return blob.descriptor()

    def push_content(self, content: bytes, media_type: str) -> dict:
        """Send what is in memory; its descriptor."""
        return self.push_blob(content, oci.Blob(media_type, digest(content), len(content)))

    def push_manifest(self, content: bytes, media_type: str, reference: str = "") -> Answer:
        """Send a manifest or an index. reference: a tag; by default, its digest."""
        place = f"manifests/{reference or digest(content)}"
        return self._ask(
            "PUT", place, body=content, headers={"Content-Type": media_type}, known=(201,)
        )

    def manifest(self, reference: str) -> bytes | None:
        """A manifest or an index by its digest or tag; None if there is none."""
        answer = self._ask("GET", f"manifests/{reference}", {"Accept": ACCEPTED}, known=(200, 404))
        if answer.status == 404:
            return None
        return self._checked(answer.content, reference)

    def blob(self, reference: str) -> bytes:
        """What has this digest; at most MAX_BYTES."""
        return self._checked(
            self._ask("GET", f"blobs/{reference}", known=(200,)).content, reference
        )

    def attach(self, subject: dict, artifact_type: str, content: bytes, media_type: str) -> str:
        """Attach a document to the manifest with this descriptor; the digest of what was attached.

        Where the registry keeps no list of what refers to what, that list is a tag (distribution-
        spec 1.1, "Unavailable Referrers API").
        """
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci.MANIFEST_TYPE,
            "artifactType": artifact_type,
            "config": self.push_content(EMPTY, EMPTY_TYPE),
            "layers": [self.push_content(content, media_type)],
            "subject": subject,
        }
        packed = json.dumps(manifest).encode()
        answer = self.push_manifest(packed, oci.MANIFEST_TYPE)
        if not answer.headers.get("OCI-Subject"):
            entry = oci.Blob(oci.MANIFEST_TYPE, digest(packed), len(packed))
            tag = subject["digest"].replace(":", "-")
            others = [
                other
                for other in self._listed(self.manifest(tag))
                if other.get("artifactType") != artifact_type
            ]
            listed = [*others, entry.descriptor(artifactType=artifact_type)]
            self.push_manifest(oci.index(listed), oci.INDEX_TYPE, tag)
        return digest(packed)

    def attached(self, subject: str, artifact_type: str) -> list[bytes]:
        """The documents of this type that are attached to a manifest, by its digest."""
        answer = self._ask("GET", f"referrers/{subject}", known=(200, 404))
        listed = (
            answer.content if answer.status == 200 else self.manifest(subject.replace(":", "-"))
        )
        found = []
        for entry in self._listed(listed):
            if entry.get("artifactType") != artifact_type:
                continue
            packed = self.manifest(str(entry.get("digest")))
            try:
                manifest = json.loads(packed or b"")
                if manifest["subject"]["digest"] == subject:
                    found.append(self.blob(manifest["layers"][0]["digest"]))
            except (LookupError, TypeError, ValueError) as error:
                raise self._wrong("serves an attachment that cannot be read") from error
        return found

    def _listed(self, content: bytes | None) -> list[dict]:
        try:
            return list(json.loads(content)["manifests"]) if content else []
        except (LookupError, TypeError, ValueError) as error:
            raise self._wrong("serves a list that cannot be read") from error

    def _checked(self, content: bytes, reference: str) -> bytes:
        if reference.startswith("sha256:") and digest(content) != reference:
            raise self._wrong(f"serves something else under the digest {reference}")
        return content

    def _wrong(self, what: str) -> PressboxError:
        return PressboxError(f"the registry {self.host} {what}", "use another one")

    def _speaks_tls(self) -> bool:
        try:
            self._open(self._request(self._root))
        except urllib.error.HTTPError:
            return True
        except urllib.error.URLError as error:
            # A certificate that is not trusted is one.
            return not isinstance(error.reason, ssl.SSLError) or isinstance(
                error.reason, ssl.SSLCertVerificationError
            )
        return True

    def _ask(
        self,
        method: str,
        place: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | Path | None = None,
        known: tuple[int, ...],
    ) -> Answer:
        """What the registry answers, one of the statuses that are ``known``."""
        for again in (True, False):
            answer = self._send(method, urljoin(self._base, place), dict(headers or {}), body)
            if answer.status != 401 or not again:
                break
            self._authorize(answer.headers)
        if answer.status in known:
            return answer
        if answer.status in (401, 403):
            raise PressboxError(
                f"the registry {self.host} lets nobody in as who we are ({answer.status})",
                f"run docker login {self.host}",
            )
        said = re.search(rb'"message": ?"([^"]+)"', answer.content)
        detail = f", {said[1].decode(errors='replace')}" if said else ""
        raise self._wrong(f"answers {answer.status} to {method}{detail}")

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | Path | None
    ) -> Answer:
        with ExitStack() as opened:
            data = opened.enter_context(body.open("rb")) if isinstance(body, Path) else body
            request = self._request(url, data=data, headers=headers, method=method)
            # It is nobody else's, wherever the registry sends us.
            if self._authorization and url.startswith(self._root):
                request.add_unredirected_header("Authorization", self._authorization)
            try:
                return self._open(request)
            except urllib.error.HTTPError as error:
                with closing(error):
                    return Answer(error.code, error.headers, error.read(MAX_BYTES))
            except (OSError, ValueError) as error:
                raise self._unreachable(error) from error

    def _request(self, url: str, **options: Any) -> urllib.request.Request:
        """A request to the registry, or to where it sends us: never a file of this machine."""
        if not url.startswith(("https://", self._root)):
            raise self._wrong(f"sends us to {url}")
        return urllib.request.Request(url, **options)  # noqa: S310 - see above

    def _open(self, request: urllib.request.Request) -> Answer:
        with self._opener.open(request, timeout=TIMEOUT_S) as response:
            return Answer(response.status, response.headers, response.read(MAX_BYTES))

    def _unreachable(self, error: Exception) -> PressboxError:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return PressboxError(
                f"the certificate of {self.host} is not trusted ({reason.verify_message})",
                f"put its authority into /etc/docker/certs.d/{self.host}/ca.crt",
            )
        if isinstance(reason, ssl.SSLError):
            return PressboxError(f"{self.host} has no TLS", "serve it with TLS")
        detail = getattr(reason, "strerror", None) or reason
        return PressboxError(
            f"the registry {self.host} does not answer ({detail})",
            "check its name and the network",
        )

    def _authorize(self, headers: Message) -> None:
        """Do what a 401 asks for: name and password, or a token that is had for them."""
        scheme, _, rest = headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic":
            self._authorization = self._login.header if self._login else ""
            return
        told = dict(CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or not told.get("realm", "").startswith("https://"):
            raise self._wrong("asks for a login that is not known here")
        query = {
            "service": told.get("service", ""),
            "scope": f"repository:{self.repository}:pull,push",
        }
        request = self._request(f"{told['realm']}?{urlencode(query)}")
        if self._login:
            request.add_unredirected_header("Authorization", self._login.header)
        try:
            token = json.loads(self._open(request).content)
            self._authorization = f"Bearer {token.get('token') or token['access_token']}"
        except (OSError, LookupError, ValueError):
            # Whoever asks once more gets the refusal that says what to do.
            self._authorization = ""


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] or host
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
