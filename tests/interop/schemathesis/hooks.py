"""What schemathesis cannot know of an API whose bodies are HL7: SCHEMATHESIS_HOOKS names this module.

The document says what has the shape of a body: a text, an envelope. Not every text is a message, and no schema can say which is: the
bodies that are meant to be taken become messages here, with what was generated inside. Those that are meant to be refused stay as they
are.
"""

import base64
import copy
import json
import os
import re
import zlib

import schemathesis
from schemathesis.core.parameters import ParameterLocation

# Of each destination the status that a message gets, and the acknowledgement's code or null.
EXPECTED = json.loads(os.environ["EXPECTED"])
DESTINATIONS = list(EXPECTED)
ER7 = ["application/hl7-v2", "x-application/hl7-v2+er7", "application/hl7-v2+er7"]
XML = ["application/hl7-v2+xml", "application/hl7-v3+xml", "application/xml", "text/xml"]
ACCEPTED = ["*/*", "application/json", "application/hl7-v2", "text/html, application/hl7-v3+xml;q=0.5"]


@schemathesis.serializer(*ER7, *XML)
def serialize(_, value):
    return str(value).encode(errors="replace")


@schemathesis.hook
def map_case(_, case):
    """The destination is one that there is, mostly; the body a message; the key the message's own."""
    # Everything is replaced, nothing changed in its place: other cases are made of the same parts.
    body = None if case.media_type is None else case.body
    if "name" in case.path_parameters and is_meant(case, ParameterLocation.PATH):
        name = case.path_parameters["name"]
        choices = [*DESTINATIONS, name]
        case.path_parameters = {**case.path_parameters, "name": choices[number([name, body]) % len(choices)]}
    if case.media_type is None:
        return case
    if is_meant(case, ParameterLocation.BODY):
        # What is XML the bridge does not fill in.
        is_named = case.path_parameters["name"] != "filled" or case.media_type in XML
        case.body = message(case.media_type, copy.deepcopy(body), f"{number(body):08x}" if is_named else "")
    headers = case.headers.copy()
    sent = number(case.body)
    headers["Accept"] = ACCEPTED[sent % len(ACCEPTED)]
    key = headers.get("Idempotency-Key", "")
    if re.fullmatch("[!-~]{1,255}", key):
        # The message's own: with another message a key is refused, as it must be. The same message comes twice often enough.
        headers["Idempotency-Key"] = (key + f"{sent:08x}")[-255:]
    case.headers = headers
    return case


@schemathesis.check
class AnswersAsItsServer:
    """What is meant to be taken gets what its destination's server makes of it, and each destination is seen to do so."""

    def __init__(self):
        self.seen = set()

    def after_response(self, _, response, case):
        name = (case.path_parameters or {}).get("name")
        is_message = case.method.upper() == "POST" and case.operation.path.endswith("/messages")
        if not is_message or name not in EXPECTED or not all(is_meant(case, part) for part in ParameterLocation):
            return
        got = [response.status_code, code(response)]
        if got != EXPECTED[name]:
            raise AssertionError(f"{name}: {got} instead of {EXPECTED[name]}")
        self.seen.add(name)

    def after_run(self, _):
        unseen = EXPECTED.keys() - self.seen
        if unseen:
            raise AssertionError(f"never answered as expected: {', '.join(sorted(unseen))}")


def code(response):
    """The acknowledgement's code, from JSON about it or from itself."""
    media_type = response.headers["content-type"][0]
    if media_type in ("application/json", "application/problem+json"):
        return json.loads(response.content).get("code")
    found = re.search(rb'(?:MSA\||<MSA\.1>|<typeCode code=")([A-Z]{2})', response.content)
    return found and found[1].decode()


def is_meant(case, location):
    """Whether this part of the request is as the document wants it."""
    part = case.meta.components.get(location)
    return part is None or part.mode.is_positive


def number(value):
    """One that is the same in every run with the same seed."""
    return zlib.crc32(json.dumps(value, default=str).encode())


def message(media_type, body, control_id):
    if media_type in ER7:
        return er7(body, control_id)
    if media_type == "application/hl7-v3+xml":
        return v3(body, control_id)
    if media_type in XML:
        return v2_xml(body, control_id)
    data = body.get("data", body)
    if "rawbase64" in data:
        data["rawbase64"] = base64.b64encode(er7(data["rawbase64"], control_id).encode()).decode()
    elif "raw" in data:
        data["raw"] = er7(data["raw"], control_id)
    else:
        with_header(data, control_id)
    if not json.dumps(data, ensure_ascii=False).isascii():
        data.pop("charset", None)  # not every set has every character
    return body


def er7(text, control_id):
    """A message with this text in a comment."""
    value = "".join({"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\"}.get(c, c) for c in plain(text))
    header = f"MSH|^~\\&|TEST|HERE|EHR|THERE|20261122101500+0000||ADT^A08^ADT_A01|{control_id}|P|2.5.1||||||UNICODE UTF-8"
    return f"{header}\rPID|1||4711\rNTE|1||{value}\r"


def references(text):
    """A text in XML."""
    return "".join(f"&#{ord(c)};" for c in plain(text) if ord(c) not in (0xFFFE, 0xFFFF))


def v3(text, control_id):
    """A v3 message with this text."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><PRPA_IN201301UV02 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0">'
        f'<id root="1.2.3" extension="{control_id}"/><acceptAckCode code="AL"/><controlActProcess>'
        f"<text>{references(text)}</text></controlActProcess></PRPA_IN201301UV02>"
    )


def v2_xml(text, control_id):
    """A message in v2.xml with this text."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2>'
        "<MSH.9><MSG.1>ADT</MSG.1><MSG.2>A08</MSG.2><MSG.3>ADT_A01</MSG.3></MSH.9>"
        f"<MSH.10>{control_id}</MSH.10><MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>2.5.1</VID.1></MSH.12></MSH>"
        f"<NTE><NTE.3>{references(text)}</NTE.3></NTE></ADT_A01>"
    )


def with_header(data, control_id):
    """A header before the segments, which are none of their own message then."""
    for segment in data["segments"]:
        segment["id"] = "Z" + re.sub(r"[^A-Z0-9]", "Z", segment["id"])[:2]
        cleaned(segment.get("fields", {}))
    delimiters = data.get("delimiters", "")
    if len(set(delimiters)) < 5 or len(set(delimiters)) < len(delimiters):
        data.pop("delimiters", None)  # no schema says that each is another one, and not every message does with fewer
    fields = {"9": [{"1": "ADT", "2": "A08", "3": "ADT_A01"}], "10": [{"1": control_id}], "11": [{"1": "P"}]}
    data["segments"].insert(0, {"id": "MSH", "fields": {**fields, "12": [{"1": "2.5.1"}]}})


def cleaned(value):
    """Without control characters in any of its texts."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, str):
            value[key] = plain(inner)
        else:
            cleaned(inner)


def plain(text):
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", str(text))
