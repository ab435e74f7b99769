"""A company's network: a server that asks who is there, and the only proxy that leads to it.

``company.py FOLDER`` writes into FOLDER an authority (``ca.crt``, ``ca.key``), one that has expired
and what it serves with, serves what lies in FOLDER/files over HTTPS to "reader" (and knows
"stranger", whom it lets in nowhere), and proxies for "walker". The password of each is in the
variable PASSWORD. It prints the ports of both, and then the target of each connection through the
proxy. Only the proxy knows where mirror.pressbox.example is.
"""

import base64
import functools
import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

NAME = "mirror.pressbox.example"
# A long-running read ends when either side closes.
CHUNK = 65536


def basic(user: str) -> str:
    """What a client sends that says who it is."""
    credentials = f"{user}:{os.environ['PASSWORD']}"
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


class Files(http.server.SimpleHTTPRequestHandler):
    """Files, to those who may read them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """401 to whom it does not know, 403 to the stranger."""
        known = self.headers.get("Authorization")
        if known == basic("reader"):
            return super().do_GET()
        status = 403 if known == basic("stranger") else 401
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def log_message(self, *_):
        """Silent."""


class Proxy(http.server.BaseHTTPRequestHandler):
    """A tunnel, for those who may use it."""

    def do_CONNECT(self):
        """407 to whom it does not know; the mirror's name leads here."""
        if self.headers.get("Proxy-Authorization") != basic("walker"):
            self.send_error(407, "Proxy Authentication Required")
            return
        print(f"CONNECT {self.path}", flush=True)
        host, port = self.path.split(":")
        there = socket.create_connection(("127.0.0.1" if host == NAME else host, int(port)))
        self.send_response(200)
        self.end_headers()
        back = threading.Thread(target=relay, args=(there, self.connection), daemon=True)
        back.start()
        relay(self.connection, there)
        back.join()

    def log_message(self, *_):
        """Silent."""


def relay(source: socket.socket, target: socket.socket) -> None:
    """Hand on what the source says until it has ended."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()


def openssl(*arguments: str) -> None:
    """Run openssl. Raises CalledProcessError if it fails."""
    subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL)


def certify(folder: Path) -> None:
    """An authority, an expired one, and a certificate of the first for the server."""
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    for name, dates in {
        "ca": ["-days", "30"],
        "expired": ["-not_before", "20200101000000Z", "-not_after", "20200201000000Z"],
    }.items():
        files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"]
        openssl(*new, *usage, *dates, *files, "-subj", "/CN=Company")
    issuer = ["-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key", "-days", "30"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"]
    names += ["-addext", "basicConstraints=CA:FALSE"]
    files = ["-keyout", f"{folder}/server.key", "-out", f"{folder}/server.crt"]
    openssl(*new, *issuer, *names, *files)


def main(folder: Path) -> None:
    """Serve until somebody ends this."""
    certify(folder)
    handler = functools.partial(Files, directory=folder / "files")
    files = http.server.ThreadingHTTPServer(("", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    files.socket = context.wrap_socket(files.socket, server_side=True)
    threading.Thread(target=files.serve_forever, daemon=True).start()
    proxy = http.server.ThreadingHTTPServer(("", 0), Proxy)
    print(f"ports {files.server_port} {proxy.server_port}", flush=True)
    proxy.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
