"""The database of the tests: keeps every record that the apps write, in order, in memory.

    python3 store.py PORT        POST /records, one JSON object; GET /records, all of them as a list
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

records = []
lock = threading.Lock()


class Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        record = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        record["at"] = time.time()
        with lock:
            records.append(record)
        self.send_response(204)
        self.end_headers()

    def do_GET(self):
        with lock:
            body = json.dumps(records).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("0.0.0.0", int(sys.argv[1])), Store).serve_forever()
