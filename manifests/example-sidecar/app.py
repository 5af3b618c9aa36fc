#!/usr/bin/env python3
"""An app behind mllp-bridge: takes HL7 messages as CloudEvents and says what becomes of them.

    python3 app.py [PORT]        (or PORT in the environment; 0, the default, is a free one)

The HTTP status is the acknowledgement: 2xx is AA, and the sender forgets the message. So answer 2xx
only once it is safe, in your database say.
"""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 64 * 1024 * 1024

# What has been taken, by CloudEvent id. A resend has the same id: say yes to it again, and do nothing.
# In a real app this is a unique key, written in the transaction that stores the message.
seen: set[str] = set()
seen_lock = threading.Lock()


def component(message, segment, field, number="1"):
    """The first repetition's component, "" where there is none. PID-5.2 is component(m, "PID", 5, 2)."""
    for candidate in message["segments"]:
        if candidate["id"] == segment:
            repetitions = candidate["fields"].get(str(field)) or [{}]
            value = repetitions[0].get(str(number), "")
            # A component with subcomponents is an object: take its first.
            return value.get("1", "") if isinstance(value, dict) else value
    return ""


def read(body):
    """What this app needs of an envelope. Raises where it is none."""
    event = json.loads(body)
    message = event["data"]
    return {
        "id": event["id"],
        "type": event["type"],
        "control_id": event.get("hl7controlid", "?"),
        "patient_id": component(message, "PID", 3, 1),
        "family": component(message, "PID", 5, 1),
        "given": component(message, "PID", 5, 2),
    }


def take(message):
    """Stores a message, or returns what is wrong with it: each error becomes an ERR segment."""
    if message["type"].startswith("org.hl7.v2.ADT") and not message["patient_id"]:
        return [{"location": "PID-3", "detail": "a patient identifier is required", "condition": 101}]
    with seen_lock:
        if message["id"] not in seen:
            save(message["patient_id"], message["family"], message["given"])
            seen.add(message["id"])
    return []


def save(patient_id, family, given):
    """Your part."""


# Requests that are being answered, so that the end can wait for them.
working = 0
idle = threading.Condition()


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive: the bridge reuses its connections
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one write
    timeout = 120

    def do_POST(self):
        global working
        with idle:
            working += 1
        try:
            self.answer()
            self.wfile.flush()  # an answer counts as given when it has left, not while it is in a buffer
        finally:
            with idle:
                working -= 1
                idle.notify_all()

    def answer(self):
        try:
            length = int(self.headers["Content-Length"])
        except (TypeError, ValueError):
            length = -1
        if self.path != "/hl7" or not 0 <= length <= MAX_BODY:
            self.close_connection = True  # the body stays unread
            return self.problem(404 if self.path != "/hl7" else 413, "not taken here")
        try:
            message = read(self.rfile.read(length))
        except (ValueError, KeyError, TypeError, AttributeError):
            return self.problem(400, "not a CloudEvent with an HL7 message")
        try:
            errors = take(message)
        except Exception as error:
            print(f"failed: {type(error).__name__}", flush=True)  # its text may quote the message
            return self.problem(500, "an error of the application")
        # The control ID and the type may be logged; the message, a name or a patient's id may not.
        print("refused" if errors else "taken", message["type"], message["control_id"], flush=True)
        if errors:
            return self.problem(422, "the message cannot be used", errors=errors)
        self.send_response(204)
        self.end_headers()

    def problem(self, status, detail, **members):
        body = json.dumps({"title": "HL7 message refused", "status": status, "detail": detail, **members}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """No access log: answer() writes the one line that matters."""


def serve(port):
    server = ThreadingHTTPServer(("127.0.0.1", port), App)
    print(f"listening on http://127.0.0.1:{server.server_port}/hl7", flush=True)
    # The first process of a container has no default for SIGTERM: without this it would stay until it is killed.
    # shutdown() waits for serve_forever(), which runs in the thread that the signal interrupts.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    server.server_close()
    with idle:  # what came in is answered before this process ends
        idle.wait_for(lambda: working == 0, timeout=20)


if __name__ == "__main__":
    serve(int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PORT", "0")))
