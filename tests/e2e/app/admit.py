"""Creates pods through the API server, again and again, as fast as it answers or at a rate.

    python3 admit.py NAMESPACE [--rate PER_SECOND] [--keep COUNT]

The pod comes on the first line of standard input, as JSON. Without --keep the pods are not kept (dryRun), and another line
(or the end) ends it; with it, so many are made. Then prints one JSON object: how many were admitted, how many of these had
no sidecar, what was said to those that were refused (and when), and the longest time without an admission, in seconds.
"""

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("namespace")
arguments.add_argument("--rate", type=float, default=20.0)
arguments.add_argument("--keep", type=int, default=0, metavar="COUNT")
options = arguments.parse_args()
pod = json.loads(sys.stdin.readline())
dry = "" if options.keep else "?dryRun=All"

proxy = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "kubectl", "proxy", "--port", "0"],
                         stdout=subprocess.PIPE, text=True)
port = int(proxy.stdout.readline().rsplit(":", 1)[1])
stop = threading.Event()
if not options.keep:
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()

link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
admitted, bare, refused, times = 0, 0, [], []
due = time.time()
while not stop.is_set() and not 0 < options.keep <= admitted + len(refused):
    stop.wait(max(0.0, due - time.time()))
    due = max(due + 1 / options.rate, time.time())
    if options.keep:
        pod["metadata"]["name"] = f"pod-{admitted + len(refused)}"
    link.request("POST", f"/api/v1/namespaces/{options.namespace}/pods{dry}", json.dumps(pod),
                 {"Content-Type": "application/json"})
    answer = link.getresponse()
    body = json.loads(answer.read())
    if answer.status == 201:
        admitted += 1
        times.append(time.time())
        names = [container["name"] for container in body["spec"].get("initContainers", [])]
        bare += "mllp-bridge" not in names
    else:
        refused.append({"at": time.time(), "message": body.get("message", "?")})
proxy.kill()
gaps = [later - earlier for earlier, later in zip(times, times[1:])]
print(json.dumps({"admitted": admitted, "bare": bare, "refused": refused, "gap": max(gaps, default=0.0)}))
