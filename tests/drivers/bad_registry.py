"""A registry that lies (serves something else under each digest) or hangs (never answers).

Run: bad_registry.py lies|hangs. It prints the port on loopback on which it listens.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FORGED = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'


class Registry(BaseHTTPRequestHandler):
    def do_GET(self):
        if sys.argv[1] == "hangs":
            threading.Event().wait()
        forged = FORGED if "/manifests/" in self.path else b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        self.send_header("Docker-Content-Digest", self.path.rpartition("/")[2])
        self.send_header("Content-Length", str(len(forged)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(forged)

    do_HEAD = do_GET  # noqa: N815 - so it is called


server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print("port", server.server_address[1], flush=True)
server.serve_forever()
