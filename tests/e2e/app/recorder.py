"""The example app with a database: each message is in the store before it is answered.

    python3 recorder.py      STORE=http://address:port  PORT=8080  TAKES=seconds  LEAVES=at-once|in-order

TAKES makes it slow. LEAVES=at-once makes it leave at SIGTERM as many do: without finishing what it has begun. A message
whose control ID begins with RESET breaks its connection, the first time.
"""

import http.client
import json
import os
import socket
import threading
import time
import urllib.parse

import app

store = urllib.parse.urlsplit(os.environ["STORE"])
pod = os.environ.get("HOSTNAME", "?")
here = threading.local()
broken = set()


def log(event):
    print(f"{time.time():.3f} app {event}", flush=True)


def connection():
    if not hasattr(here, "store"):
        here.store = http.client.HTTPConnection(store.hostname, store.port, timeout=5)
        here.store.connect()
        here.store.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return here.store


def take(message):
    """No duplicate is left out: what comes twice shall be seen twice."""
    if message["control_id"].startswith("RESET") and message["control_id"] not in broken:
        broken.add(message["control_id"])
        here.connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError
    time.sleep(float(os.environ.get("TAKES", "0")))
    record = {"id": message["id"], "key": here.key, "control_id": message["control_id"], "pod": pod}
    try:
        connection().request("POST", "/records", json.dumps(record))
        answer = connection().getresponse()
        answer.read()
    except Exception:
        del here.store
        raise
    if answer.status != 204:
        raise RuntimeError(f"the store answers {answer.status}")
    return []


class Recorder(app.App):
    def do_POST(self):
        here.connection = self.connection
        here.key = self.headers["Idempotency-Key"]
        super().do_POST()


class Server(app.ThreadingHTTPServer):
    def shutdown(self):
        log("has SIGTERM")
        if os.environ.get("LEAVES") == "at-once":
            os._exit(0)
        super().shutdown()


if __name__ == "__main__":
    app.take, app.App, app.ThreadingHTTPServer = take, Recorder, Server
    log("starts")
    app.serve(int(os.environ.get("PORT", "8080")))
    log("leaves")
