"""20 Newsgroups: fetched once over https, checked each time, read without pickle or network."""

import codecs
import hashlib
import http.server
import io
import pickle
import ssl
import subprocess
import tarfile
import threading
import urllib.request

import pytest
from sklearn.datasets import _twenty_newsgroups, load_files
from sklearn.datasets._base import RemoteFileMetadata
from support import ROOT
from support.processes import assert_refused, python

from pressbox.data import newsgroups
from pressbox.data.corpus import load_corpus
from pressbox.errors import PressboxError

PARTS = {"train": 5, "test": 2}


def archive(parts):
    """The bytes of an archive with the layout of the real one: articles by part and category."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as members:
        for part, articles in parts.items():
            for number, (text, category) in enumerate(articles):
                member = tarfile.TarInfo(f"20news-bydate-{part}/{category}/{10000 + number}")
                member.size = len(text)
                members.addfile(member, io.BytesIO(text))
    return content.getvalue()


@pytest.fixture(scope="session")
def articles():
    return archive(
        {
            part: [
                (f"{part} article {number} in {category}, caf\xe9\n".encode("latin-1"), category)
                for category in (*newsgroups.CATEGORIES, "sci.space")
                for number in range(count)
            ]
            for part, count in PARTS.items()
        }
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESSBOX_DATA_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def known(articles, monkeypatch):
    """Say that these bytes, at this address, are the archive."""

    def known(url="https://localhost:9/", content=articles):
        digest = hashlib.sha256(content).hexdigest()
        known = RemoteFileMetadata("20news-bydate.tar.gz", url, digest)
        monkeypatch.setattr(_twenty_newsgroups, "ARCHIVE", known)

    return known


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve bytes over https on the loopback, with a certificate that is trusted here."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    make += ["-nodes", "-days", "2", "-keyout", key, "-out", certificate, *subject]
    subprocess.run(make, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    # It keeps the certificates that it saw first.
    monkeypatch.setattr(urllib.request, "_opener", None)
    servers = []

    def served(content, status=200, length=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                servers[0].asked += 1

        server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        server.asked = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server, f"https://localhost:{server.server_port}/archive"

    yield served
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_is_fetched_is_trained_on_without_a_network(articles, home, known, served, capsys):
    server, url = served(articles)
    known(url)
    assert newsgroups.fetch()
    assert [file.name for file in home.iterdir()] == ["20news-bydate.tar.gz"]
    known()
    corpus = load_corpus("newsgroups")
    assert corpus.labels == list(newsgroups.CATEGORIES)
    assert (len(corpus.train), len(corpus.test)) == (10, 4)
    assert corpus.train[0] == ("train article 0 in rec.sport.baseball, café\n", corpus.labels[0])
    assert server.asked == 1


def test_what_is_there_is_not_fetched_again(articles, home, known, served):
    server, url = served(articles)
    known(url)
    assert newsgroups.fetch()
    assert not newsgroups.fetch()
    assert server.asked == 1


def test_what_is_there_and_damaged_is_fetched_again(articles, home, known, served):
    _, url = served(articles)
    known(url)
    home.mkdir()
    (home / "20news-bydate.tar.gz").write_bytes(articles[:-1])
    assert newsgroups.fetch()
    assert (home / "20news-bydate.tar.gz").read_bytes() == articles


BAD_ANSWERS = {
    "another file": (lambda content: (content + b"\0",), "SHA-256"),
    "half of it": (lambda content: (content[:-9], 200, len(content)), "(SHA-256|IncompleteRead)"),
    "none": (lambda content: (b"gone", 404), "404"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_leaves_what_was_there(name, articles, home, known, served):
    answer, saying = BAD_ANSWERS[name]
    _, url = served(*answer(articles))
    known(url)
    home.mkdir()
    (home / "20news-bydate.tar.gz").write_bytes(b"an earlier one")
    with pytest.raises(PressboxError, match=f"{saying}.*; "):
        newsgroups.fetch()
    assert [file.read_bytes() for file in home.iterdir()] == [b"an earlier one"]


def test_a_server_with_an_unknown_certificate_is_not_believed(
    articles, home, known, served, monkeypatch
):
    _, url = served(articles)
    known(url)
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    with pytest.raises(PressboxError, match="CERTIFICATE_VERIFY_FAILED"):
        newsgroups.fetch()
    assert list(home.iterdir()) == []


def test_a_cache_of_scikit_learn_is_never_unpickled(home, earlier, untouched):
    class Evil:
        def __reduce__(self):
            return (open, (str(home / "run"), "w"))

    home.mkdir()
    cache = _twenty_newsgroups._pkl_filepath(home, _twenty_newsgroups.CACHE_NAME)
    with open(cache, "wb") as file:
        file.write(codecs.encode(pickle.dumps(Evil()), "zlib_codec"))
    done = python("train.py", str(earlier), "--data", "newsgroups")
    assert_refused(done, 1, "20 Newsgroups is not in ")
    assert not (home / "run").exists()
    untouched()


ODD = {
    "empty": lambda path: path.write_bytes(b""),
    "another archive": lambda path: path.write_bytes(archive({"train": [(b"x", "y")]})),
    "a folder": lambda path: path.mkdir(),
    "closed": lambda path: (path.write_bytes(b"x"), path.chmod(0)),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_cache_is_one_line_that_says_to_fetch(name, home, earlier, untouched):
    home.mkdir()
    ODD[name](home / "20news-bydate.tar.gz")
    done = python("train.py", str(earlier), "--data", "newsgroups")
    assert_refused(done, 1, "20news-bydate.tar.gz")
    assert newsgroups.FETCH in done.stderr
    assert done.stdout == ""
    untouched()


def test_a_place_that_cannot_be_used_is_one_line(home, earlier, untouched):
    home.write_text("no folder")
    done = python("train.py", str(earlier), "--data", "newsgroups")
    assert_refused(done, 1, "Not a directory")
    untouched()
    assert_refused(python("-m", "pressbox", "fetch", "newsgroups"), 1, "could not be fetched")


def test_without_a_network_fetching_is_one_line(home):
    nowhere = {"https_proxy": "http://127.0.0.1:9"}
    done = python("-m", "pressbox", "fetch", "newsgroups", env=nowhere)
    assert_refused(done, 1, "20 Newsgroups could not be fetched")


def test_only_known_sources_are_fetched():
    assert_refused(python("-m", "pressbox", "fetch", "tennis"), 2, "invalid choice")


@pytest.mark.real_data
def test_the_rows_and_the_digest_are_those_that_scikit_learn_gives(real_data, home, known):
    parts = {part: load_files(real_data / part, encoding="latin1") for part in PARTS}
    content = archive(
        {
            part: [
                (text.encode("latin-1"), bunch.target_names[target])
                for text, target in zip(bunch.data, bunch.target, strict=True)
            ]
            for part, bunch in parts.items()
        }
    )
    known(content=content)
    home.mkdir()
    (home / "20news-bydate.tar.gz").write_bytes(content)
    corpus = load_corpus("newsgroups")
    assert corpus.labels == list(newsgroups.CATEGORIES)
    assert corpus.digest == load_corpus(str(real_data)).digest
    assert corpus.digest == (
        "sha256:1470d07c8b641d227205e4381d3c274a88ec276e27335a0e198681d41e2f7248"
    )


def test_no_address_is_written_in_this_repository():
    host = newsgroups.archive().url.split("/")[2]
    mine = [*ROOT.glob("pressbox/**/*.py"), *ROOT.glob("scripts/**/*"), *ROOT.glob("docs/*.md")]
    assert [file for file in mine if file.is_file() and host in file.read_text()] == []
