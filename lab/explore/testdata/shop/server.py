"""A shop that keeps its sessions in Redis, with a race that the explorer finds: it writes back whole sessions."""

import http.cookies
import http.server
import json
import os
import secrets
import socket
import threading
import time
import urllib.parse

connection = threading.local()


def redis(*args):
    """Sends a command to the store and returns its reply: text, or None."""
    if not hasattr(connection, "file"):
        url = urllib.parse.urlparse(os.environ["STORE_URL"])
        connection.file = socket.create_connection((url.hostname, url.port)).makefile("rwb")
    parts = [part.encode() for part in args]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    try:
        connection.file.write(request)
        connection.file.flush()
        reply = connection.file.readline().rstrip(b"\r\n")
        if not reply or reply.startswith(b"-"):
            raise OSError(f"the store failed: {reply.decode()}")
        if reply.startswith(b"$") and reply != b"$-1":
            return connection.file.read(int(reply[1:]) + 2)[:-2].decode()
    except OSError:
        del connection.file
        raise
    return None if reply == b"$-1" else reply[1:].decode()


class Handler(http.server.BaseHTTPRequestHandler):
    away = False  # from the store, for good: sessions are empty

    def do_GET(self):
        self.session = {}
        if self.path != "/healthz" and not self.away:
            self.load()
        broken = str(self.session.get("visits")) == os.environ.get("UNREADABLE_VISITS")
        self.answer(500 if broken else 200, self.session)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        try:
            self.change(form)
        except OSError as error:
            Handler.away = "STAYS_AWAY" in os.environ
            self.answer(503, {"error": str(error)})

    def change(self, form):
        if self.away:
            return self.answer(200, {})
        self.load()
        time.sleep(float(os.environ.get("THINK", 0)))  # seconds
        session = self.session
        if self.path == "/logout":
            redis("DEL", "session:" + self.id)
            return self.answer(200, {}, "")
        if self.path == "/login":
            redis("DEL", "session:" + self.id)
            self.id, session["user"] = secrets.token_hex(16), form["user"]
        elif self.path == "/api/visits":
            session["visits"] = session.get("visits", 0) + 1
        else:
            cart = session.setdefault("cart", {})
            sku = self.path.rpartition("/")[2]
            cart[sku] = cart.get(sku, 0) + int(form["quantity"])
        redis("SET", "session:" + self.id, json.dumps(session))
        self.answer(200, session, self.id)

    def load(self):
        cookies = http.cookies.SimpleCookie(self.headers.get("Cookie"))
        self.id = cookies["id"].value if "id" in cookies else ""
        text = redis("GET", "session:" + self.id) if self.id else None
        self.session = json.loads(text or "{}")
        if text is None:
            self.id = secrets.token_hex(16)

    def answer(self, status, document, cookie=None):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if cookie is not None:
            age = "" if cookie else "; Max-Age=0"
            self.send_header("Set-Cookie", f"id={cookie}; Path=/; HttpOnly{age}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
