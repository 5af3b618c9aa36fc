#!/usr/bin/env python3
"""Sends an HL7 message to a destination of mllp-bridge, and says what became of it.

    python3 send.py DESTINATION FILE    (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)

KEY is the message's name, another one for each message. Without it the name is the message's SHA-256, where MSH-10 is filled.

Exit status: 0 accepted; 1 the destination has it and said no; 2 not sent, and it would not be; 3 not sent, try later;
4 not known: look at the destination.
"""

import hashlib
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BRIDGE = os.environ.get("MLLP_BRIDGE") or "http://127.0.0.1:2580"
ATTEMPTS = os.environ.get("ATTEMPTS") or "5"
KEY = os.environ.get("KEY")
TIMEOUT = 90  # seconds: longer than queue.timeout and ack.timeout together

ACCEPTED, REFUSED, WRONG, LATER, UNKNOWN = range(5)

# The bridge is on this machine, whatever http_proxy says.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def say(text):
    print(text, file=sys.stderr)


def is_named(message):
    """Whether MSH-10 is filled: without it two messages may have the same bytes."""
    fields = re.split(rb"[\r\n]", message, maxsplit=1)[0].split(message[3:4] or b"|")
    return fields[0] == b"MSH" and len(fields) > 9 and fields[9] != b""


def post(destination, message, key):
    """The response's status, its Retry-After and its JSON, where that is an object."""
    # Whoever sends the message again under this name, this program after a crash say, gets the first one's answer.
    headers = {"Content-Type": "application/hl7-v2", "Idempotency-Key": key}
    url = f"{BRIDGE}/v1/destinations/{urllib.parse.quote(destination, safe='')}/messages"
    try:
        response = opener.open(urllib.request.Request(url, message, headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        response = error  # a response as well
    with response:
        body = response.read()
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    seconds = response.headers.get("Retry-After", "")
    return response.status, int(seconds) if re.fullmatch("[0-9]{1,5}", seconds) else 1, answer if isinstance(answer, dict) else {}


def complain(status, problem):
    if not isinstance(problem.get("may_have_arrived"), bool):
        return say(f"status {status}, and not in the bridge's words")
    say(f"{problem.get('title')}: {problem.get('detail')}")
    # Of the errors the place and the code alone. The rest is the destination's words, which may quote the message.
    for error in problem.get("errors", []):
        place = re.fullmatch(r"[A-Z][A-Z0-9]{2}[-.()\[\]0-9]*", error["location"])
        code = re.match(r"[0-9]{3}(?= |$)", error["condition"])
        say(f"  {place[0] if place else '?'}: {code[0] if code else '?'}")


def send(destination, message, key):
    lost = False
    for attempt in range(1, int(ATTEMPTS) + 1):
        wait = attempt
        try:
            status, retry_after, answer = post(destination, message, key)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            say(f"no answer from {BRIDGE}: {type(reason).__name__}")  # its text may be of what came
            # Unless nobody listens, the bridge may have the message. What became of it is asked with the same key.
            lost |= not isinstance(reason, ConnectionRefusedError)
        else:
            if answer.get("replayed") is True:
                say("an earlier attempt's answer: with this key nothing was sent now")
            code, arrived = answer.get("code"), answer.get("may_have_arrived")
            if status == 200 and "code" in answer and isinstance(answer.get("control_id"), str):
                print(code or "sent", answer["control_id"])  # no code: the message asks for no acknowledgement
                return ACCEPTED
            complain(status, answer)
            if arrived is not False:  # also where it is not the bridge that answered
                return REFUSED if arrived is True and code else UNKNOWN
            if status not in (429, 503):
                return UNKNOWN if lost else WRONG
            wait = retry_after  # nothing was sent, and it may be soon
        if attempt < int(ATTEMPTS):
            time.sleep(wait)
    return UNKNOWN if lost else LATER


def main(arguments):
    if len(arguments) != 2:
        say(__doc__)
        return WRONG
    if not re.fullmatch("[1-9][0-9]{0,5}", ATTEMPTS):
        say("ATTEMPTS must be a number from 1")
        return WRONG
    if not re.fullmatch("https?://[^@]+", BRIDGE):
        say("MLLP_BRIDGE must be as http://127.0.0.1:2580, without a user")
        return WRONG
    destination, file = arguments
    try:
        with open(file, "rb") as opened:
            message = opened.read()
    except OSError as error:
        say(error)
        return WRONG
    if not KEY and not is_named(message):
        say("MSH-10 is empty, so that the same bytes may be another message: set KEY to a name of this one")
        return WRONG
    key = KEY or hashlib.sha256(message).hexdigest()
    if not re.fullmatch("[!-~]{1,255}", key):
        say("KEY must be 1 to 255 visible ASCII characters")
        return WRONG
    return send(destination, message, key)


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except Exception as error:  # whatever it was, it is no answer; 1 would be one
        say(f"{type(error).__name__}: what became of the message is not known")
        status = UNKNOWN
    sys.exit(status)
