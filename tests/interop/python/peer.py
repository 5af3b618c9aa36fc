"""The Python peers: `hl7` as two clients, `hl7apy` as a parser of acknowledgements.

    python peer.py asyncio APP_PORT DOWN_PORT     hl7.mllp.open_hl7_connection
    python peer.py mllp_send APP_PORT DOWN_PORT   the command that hl7 installs
    python peer.py serve ENCODING [TLS]           hl7.mllp.start_hl7_server; a line for its port, and for each message
    python peer.py parse                          acknowledgements on stdin, `name TAB base64` a line

One JSON object a line on stdout, as tests/interop/README.md says.
"""

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
import tempfile

import hl7
import hl7.mllp
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import get_message_info, parse_message, parse_segments
from hl7apy.validation import Validator

LIMIT = 30  # seconds for one answer
BIG = 1 << 20


def message(control_id, *, accept="", application="", charset="", kind="ADT^A01^ADT_A01", pid3="4711^^^GENHOSP^MR", note=""):
    """An ADT^A01 of 2.5.1 by default. Without PID-3 the app answers 422, and SIU^S12 it does not take."""
    segments = [
        rf"MSH|^~\&|PYTHON|GENHOSP|BRIDGE|CLOUD|20261122101500+0100||{kind}|{control_id}|P|2.5.1|||{accept}|{application}||{charset}".rstrip("|"),
        "EVN|A01|20261122101459",
        f"PID|1||{pid3}||MÜSTER^ERIKA||19700131|F" if charset else f"PID|1||{pid3}||MUSTER^ERIKA||19700131|F",
        "PV1|1|I|WARD4^101^B",
    ]
    if note:
        segments.append(f"NTE|1|L|{note}")
    return "\r".join(segments) + "\r"


def batch(control_id):
    return (
        rf"BHS|^~\&|PYTHON|GENHOSP|BRIDGE|CLOUD|20261122101500||||{control_id}"
        + "\r"
        + message(control_id + "-1")
        + message(control_id + "-2")
        + "BTS|2\r"
    )


def tell(case, sent, answers=(), failed=None):
    """`answers` are hl7.Message or the text of an acknowledgement."""
    line = {"case": case, "sent": sent, "answers": [a for answer in answers for a in seen(answer)]}
    if failed is not None:
        line["failed"] = failed
    print(json.dumps(line), flush=True)


def seen(answer):
    """What the hl7 library finds in an answer: one entry for each MSA, with the ERR of the answer."""
    parsed = hl7.parse(answer) if isinstance(answer, str) else answer
    entries = []
    for segment in parsed:
        name = str(segment[0])
        if name == "MSA":
            entries.append({"code": str(segment(1)), "id": str(segment(2))})
        elif name == "ERR" and entries:
            err = [str(segment(field)) if len(segment) > field else "" for field in (2, 3, 8)]
            entries[-1].setdefault("err", err)
    return entries


# hl7.mllp


async def talk(port, texts, *, answers=1, encoding="utf-8"):
    """Sends each message and reads so many answers to it, all on one connection."""
    reader, writer = await hl7.mllp.open_hl7_connection("127.0.0.1", port, encoding=encoding)
    got = []
    try:
        for text in texts:
            # Not writemessage(hl7.parse(text)), for a large message is slow to parse.
            writer.writeblock(text.encode(encoding))
            await writer.drain()
            for _ in range(answers):
                got.append(await asyncio.wait_for(reader.readmessage(), LIMIT))
    finally:
        writer.close()
        await writer.wait_closed()
    return got


async def ahead(port, texts):
    """Sends everything before it reads the first answer."""
    reader, writer = await hl7.mllp.open_hl7_connection("127.0.0.1", port, encoding="utf-8")
    for text in texts:
        writer.writeblock(text.encode())
    got = [await asyncio.wait_for(reader.readmessage(), LIMIT) for _ in texts]
    writer.close()
    await writer.wait_closed()
    return got


async def asyncio_client(app, down):
    async def one(case, port, text, control_id, **how):
        try:
            tell(case, [control_id], await talk(port, [text], **how))
        except Exception as error:  # whatever it is, it is what this client makes of the answer
            tell(case, [control_id], failed=f"{type(error).__name__}: {error}")

    await one("original", app, message("PA1"), "PA1")
    for case, accept, application, count in (
        ("al-ne", "AL", "NE", 1),
        ("ne-al", "NE", "AL", 1),
        ("al-al", "AL", "AL", 2),
    ):
        control_id = "PA-" + case
        text = message(control_id, accept=accept, application=application)
        await one(case, app, text, control_id, answers=count)

    ids = [f"PA-M{number}" for number in range(200)]
    tell("many", ids, await talk(app, [message(i) for i in ids]))

    ids = [[f"PA-F{connection}-{number}" for number in range(50)] for connection in range(4)]
    all_at_once = await asyncio.gather(*(talk(app, [message(i) for i in of_one]) for of_one in ids))
    tell("four", sum(ids, []), sum(all_at_once, []))

    ids = [f"PA-A{number}" for number in range(200)]
    tell("ahead", ids, await ahead(app, [message(i) for i in ids]))

    await one("large", app, message("PA-BIG", note="x" * BIG), "PA-BIG")
    await one("422", app, message("PA-422", pid3=""), "PA-422")
    await one("422-enhanced", app, message("PA-422E", pid3="", accept="AL", application="AL"), "PA-422E")
    await one("415", app, message("PA-415", kind="SIU^S12^SIU_S12"), "PA-415")
    ids = ["PA-X1", "PA-X2", "PA-X3"]
    texts = [message(ids[0]), message(ids[1], pid3=""), message(ids[2])]
    tell("after-422", ids, await talk(app, texts))
    await one("down", down, message("PA-DOWN"), "PA-DOWN")
    await one("utf-8", app, message("PA-U8", pid3="", charset="UNICODE UTF-8"), "PA-U8")
    await one("latin-1", app, message("PA-L1", pid3="", charset="8859/1"), "PA-L1", encoding="latin-1")
    twice = message("PA-R")
    tell("resend", ["PA-R", "PA-R"], await talk(app, [twice]) + await talk(app, [twice]))
    await one("batch", app, batch("PA-B"), "PA-B")


# mllp_send


def mllp_send(app, down):
    command = os.path.join(os.path.dirname(sys.executable), "mllp_send")

    def send(port, content, *flags):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            flags = [*flags, "--port", str(port), "--file", file.name, "127.0.0.1"]
            done = subprocess.run([command, *flags], capture_output=True, timeout=LIMIT)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
        return done.stdout

    def blocks(texts, encoding="utf-8"):
        return b"".join(b"\x0b" + text.encode(encoding) + b"\x1c\r" for text in texts)

    def answers(output, encoding="utf-8"):
        """It prints what one recv returned, block characters included, and a line end."""
        parts = output.decode(encoding).split("\x1c\r")
        if parts.pop().strip() != "":
            raise RuntimeError("not a whole block: " + repr(output[-40:]))
        return [part.lstrip("\n\x0b") for part in parts]

    def one(case, port, text, control_id, encoding="utf-8"):
        try:
            tell(case, [control_id], answers(send(port, blocks([text], encoding)), encoding))
        except Exception as error:
            tell(case, [control_id], failed=f"{type(error).__name__}: {error}")

    one("original", app, message("PS1"), "PS1")
    for case, accept, application in (("al-ne", "AL", "NE"), ("ne-al", "NE", "AL"), ("al-al", "AL", "AL")):
        control_id = "PS-" + case
        one(case, app, message(control_id, accept=accept, application=application), control_id)
    ids = [f"PS-M{number}" for number in range(200)]
    tell("many", ids, answers(send(app, blocks(message(i) for i in ids))))

    from concurrent.futures import ThreadPoolExecutor

    ids = [[f"PS-F{connection}-{number}" for number in range(50)] for connection in range(4)]
    with ThreadPoolExecutor(4) as pool:
        all_at_once = list(pool.map(lambda of_one: send(app, blocks(message(i) for i in of_one)), ids))
    tell("four", sum(ids, []), [answer for output in all_at_once for answer in answers(output)])

    one("large", app, message("PS-BIG", note="x" * BIG), "PS-BIG")
    one("422", app, message("PS-422", pid3=""), "PS-422")
    one("422-enhanced", app, message("PS-422E", pid3="", accept="AL", application="AL"), "PS-422E")
    one("415", app, message("PS-415", kind="SIU^S12^SIU_S12"), "PS-415")
    ids = ["PS-X1", "PS-X2", "PS-X3"]
    texts = [message(ids[0]), message(ids[1], pid3=""), message(ids[2])]
    tell("after-422", ids, answers(send(app, blocks(texts))))
    one("down", down, message("PS-DOWN"), "PS-DOWN")
    one("utf-8", app, message("PS-U8", pid3="", charset="UNICODE UTF-8"), "PS-U8")
    one("latin-1", app, message("PS-L1", pid3="", charset="8859/1"), "PS-L1", encoding="latin-1")
    twice = blocks([message("PS-R")])
    tell("resend", ["PS-R", "PS-R"], answers(send(app, twice)) + answers(send(app, twice)))
    one("batch", app, batch("PS-B"), "PS-B")
    ids = ["PS-S1", "PS-S2", "PS-S3"]
    file = "".join(message(i) for i in ids).replace("\r", "\n").encode()
    tell("split", ids, answers(send(app, file, "--loose")))


# hl7apy


def parse():
    for line in sys.stdin:
        name, encoded = line.rstrip("\n").split("\t")
        text = base64.b64decode(encoded).decode()
        result = {"case": name}
        try:
            result["answers"] = [validated(parse_message(text, validation_level=VALIDATION_LEVEL.STRICT))]
        except Exception as error:
            result["failed"] = f"{type(error).__name__}: {error}"
            # It takes the first two components of MSH-9 for the name of a structure, and there is no ACK_A01. The same steps with
            # the structure's name show what it says of the rest.
            try:
                result["answers"] = [validated(parse_as_ack(text))]
            except Exception as error:
                result["strict"] = [f"{type(error).__name__}: {error}"]
        print(json.dumps(result), flush=True)


def parse_as_ack(text):
    encoding, _, version = get_message_info(text)
    level = VALIDATION_LEVEL.STRICT
    ack = Message("ACK", version=version, validation_level=level, encoding_chars=encoding)
    ack.children = parse_segments(text, version, encoding, level, ack.reference, find_groups=True)
    return ack


def validated(ack):
    Validator.validate(ack)
    assert ack.name == "ACK", ack.name
    return {"code": ack.msa.msa_1.to_er7(), "id": ack.msa.msa_2.to_er7()}


def tls(version):
    """OpenSSL: this version alone; a client must show a certificate where there is an authority for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.load_cert_chain("server.pem", "server.key")
    if os.path.exists("clients.pem"):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations("clients.pem")
    return context


async def serve(encoding, version=None):
    """Acknowledges each message; one without PID-3 by AE. With a version of TLS the files are in the working directory."""

    async def connected(reader, writer):
        try:
            while not writer.is_closing():
                received = await reader.readmessage()
                pid = received.segment("PID")
                line = {"id": str(received.segment("MSH")(10)), "name": str(pid(5)(1)(1)), "text": str(received)}
                print(json.dumps(line), flush=True)
                writer.writemessage(received.create_ack("AA" if str(pid(3)) else "AE"))
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass  # the bridge has gone
        writer.close()

    server = await hl7.mllp.start_hl7_server(connected, host="127.0.0.1", port=0, limit=4 * BIG, encoding=encoding,
                                             ssl=tls(version) if version else None)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    mode, *ports = sys.argv[1:]
    if mode == "parse":
        parse()
    elif mode == "serve":
        asyncio.run(serve(*ports))
    elif mode == "asyncio":
        asyncio.run(asyncio_client(*map(int, ports)))
    else:
        mllp_send(*map(int, ports))
