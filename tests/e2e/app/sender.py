"""The hospital: senders that keep a connection, and make a new one when it ends, as interface engines do.

    python3 sender.py ADDRESS:PORT [--connections N] [--rate PER_SECOND] [--messages N] [--prefix P]

Each connection sends one message at a time and waits for its acknowledgement. Without AA it sends the same message
again, on a new connection if that one has ended. It runs until it has sent --messages in all, or until a line (or the
end) comes on standard input; then it finishes what it has begun, and prints one JSON object:

    messages  each with its control ID, the times of its attempts, and when it was acknowledged (null: never)
    answers   how many answers of each code
    breaks    connections that ended or failed
    gap       the longest time in which no connection had a positive answer, in seconds
"""

import argparse
import json
import socket
import sys
import threading
import time

VT, END = b"\x0b", b"\x1c\r"

arguments = argparse.ArgumentParser()
arguments.add_argument("address")
arguments.add_argument("--connections", type=int, default=4)
arguments.add_argument("--rate", type=float, default=50.0, help="messages a second, over all connections")
arguments.add_argument("--messages", type=int, default=0, help="stop after so many; 0: never")
arguments.add_argument("--prefix", default="E2E")
arguments.add_argument("--patience", type=float, default=60.0, help="seconds for one message, all attempts")
options = arguments.parse_args()
host, port = options.address.rsplit(":", 1)

stop = threading.Event()
lock = threading.Lock()
messages, answers, breaks, acknowledged = [], {}, {}, []


def count(table, key):
    with lock:
        table[key] = table.get(key, 0) + 1


def content(control_id):
    """Whose control ID begins with LF gets line feeds: a deviation that is counted."""
    end = "\n" if control_id.startswith("LF") else "\r"
    return end.join([
        f"MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500||ADT^A01^ADT_A01|{control_id}|P|2.5.1",
        "EVN|A01|20261122101459",
        "PID|1||4711^^^GENHOSP^MR||MUSTER^ERIKA||19700131|F",
        "PV1|1|I|WARD4^101^B",
    ]) + end


def exchange(link, control_id):
    """The acknowledgement's code, or an error where there is none."""
    link.sendall(VT + content(control_id).encode() + END)
    answer = b""
    while not answer.endswith(END):
        read = link.recv(65536)
        if not read:
            raise ConnectionError("closed")
        answer += read
    msa = next(s for s in answer.decode().split("\r") if s.startswith("MSA|")).split("|")
    if msa[2] != control_id:
        raise SystemExit(f"{control_id} was answered by an acknowledgement for {msa[2]}")
    return msa[1]


def send(number, link):
    """Sends one message until it is taken. Returns the connection, if it still stands."""
    message = {"control_id": f"{options.prefix}{number}", "attempts": [], "acked": None}
    with lock:
        messages.append(message)
    give_up = time.time() + options.patience
    while time.time() < give_up:
        try:
            if link is None:
                link = socket.create_connection((host, int(port)), timeout=2)
                link.settimeout(40)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            message["attempts"].append(time.time())
            code = exchange(link, message["control_id"])
            count(answers, code)
            if code == "AA":
                message["acked"] = time.time()
                with lock:
                    acknowledged.append(message["acked"])
                return link
            time.sleep(0.1)
        except OSError as error:
            count(breaks, type(error).__name__)
            if link is not None:
                link.close()
            link = None
            time.sleep(0.05)
    return link


def work(index):
    link, number = None, index
    interval = options.connections / options.rate
    due = time.time() + interval * index / options.connections
    while not stop.is_set() and not (options.messages and number >= options.messages):
        stop.wait(max(0.0, due - time.time()))
        link = send(number, link)
        number += options.connections
        due = max(due + interval, time.time() - interval)
    if link is not None:
        link.close()


threads = [threading.Thread(target=work, args=(index,)) for index in range(options.connections)]
for thread in threads:
    thread.start()
if not options.messages:
    sys.stdin.readline()
    stop.set()
for thread in threads:
    thread.join()
acknowledged.sort()
gaps = [later - earlier for earlier, later in zip(acknowledged, acknowledged[1:])]
print(json.dumps({
    "messages": messages, "answers": answers, "breaks": breaks, "gap": max(gaps, default=0.0),
    "seconds": (acknowledged[-1] - acknowledged[0]) if acknowledged else 0.0,
}))
