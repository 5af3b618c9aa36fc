#!/usr/bin/env python3
"""Sends an HL7 message to a destination of mllp-bridge, and says what became of it.

    python3 send.py DESTINATION FILE    (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)

Exit status: 0 accepted; 1 the destination has it and said no; 2 not sent, and it would not be; 3 not sent, try later;
4 not known: look at the destination.
"""

import hashlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BRIDGE = os.environ.get("MLLP_BRIDGE", "http://127.0.0.1:2580")
ATTEMPTS = int(os.environ.get("ATTEMPTS", "5"))
TIMEOUT = 90  # seconds: longer than queue.timeout and ack.timeout together

ACCEPTED, REFUSED, WRONG, LATER, UNKNOWN = range(5)

# The bridge is on this machine, whatever http_proxy says.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(destination, message):
    """The response's status, its Retry-After and its JSON."""
    headers = {
        "Content-Type": "application/hl7-v2",
        # The message's name: whoever sends it again under this name, this program after a crash say, gets the first one's answer.
        "Idempotency-Key": hashlib.sha256(message).hexdigest(),
    }
    url = f"{BRIDGE}/v1/destinations/{urllib.parse.quote(destination, safe='')}/messages"
    try:
        response = opener.open(urllib.request.Request(url, message, headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        response = error  # a response as well
    with response:
        return response.status, int(response.headers.get("Retry-After", 1)), json.load(response)


def complain(problem):
    print(f"{problem['title']}: {problem['detail']}", file=sys.stderr)
    # Not the errors' text: the destination may quote the message in it, and a log is no place for that.
    for error in problem.get("errors", []):
        print(f"  {error['location']}: {error['condition']}", file=sys.stderr)


def send(destination, message):
    lost = False
    for attempt in range(1, ATTEMPTS + 1):
        wait = attempt
        try:
            status, retry_after, answer = post(destination, message)
        except (OSError, http.client.HTTPException, ValueError) as error:
            print(f"no answer from {BRIDGE}: {error}", file=sys.stderr)
            # Unless nobody listens, the bridge may have the message. What became of it is asked with the same key.
            lost |= not isinstance(getattr(error, "reason", error), ConnectionRefusedError)
        else:
            if status == 200:
                print(answer["code"] or "sent", answer["control_id"])  # no code: the message asks for no acknowledgement
                return ACCEPTED
            complain(answer)
            if answer["may_have_arrived"]:
                return REFUSED if answer.get("code") else UNKNOWN
            if status not in (429, 503):
                return WRONG
            wait = retry_after  # nothing was sent, and it may be soon
        if attempt < ATTEMPTS:
            time.sleep(wait)
    return UNKNOWN if lost else LATER


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(WRONG)
    try:
        with open(sys.argv[2], "rb") as file:
            content = file.read()
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(WRONG)
    sys.exit(send(sys.argv[1], content))
