#!/bin/sh
# Sends an HL7 message to a destination of mllp-bridge, and says what became of it. Needs curl (7.83) and jq.
#
#     send.sh DESTINATION FILE        (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)
#
# Exit status: 0 accepted; 1 the destination has it and said no; 2 not sent, and it would not be; 3 not sent, try later;
# 4 not known: look at the destination.
set -eu

if [ $# -ne 2 ] || [ ! -f "$2" ]; then
    echo "usage: send.sh DESTINATION FILE" >&2
    exit 2
fi
url=${MLLP_BRIDGE:-http://127.0.0.1:2580}/v1/destinations/$1/messages
# The message's name: whoever sends it again under this name, this program after a crash say, gets the first one's answer.
key=$(sha256sum <"$2" | cut -d ' ' -f 1)
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

lost=false
attempt=1
while :; do
    wait=$attempt
    # Longer than queue.timeout and ack.timeout together. Not --data: it takes line ends out.
    if told=$(curl --silent --show-error --noproxy '*' --max-time 90 --output "$answer" \
        --write-out '%{http_code} %header{retry-after}' \
        --header 'Content-Type: application/hl7-v2' --header "Idempotency-Key: $key" --data-binary "@$2" "$url"); then
        status=${told%% *}
        if [ "$status" = 200 ]; then
            jq --raw-output '"\(.code // "sent") \(.control_id)"' "$answer"
            exit 0
        fi
        arrived=$(jq .may_have_arrived "$answer") || exit 4 # it is not the bridge that answered
        # Not errors[].text: the destination may quote the message in it, and a log is no place for that.
        jq --raw-output '"\(.title): \(.detail)", (.errors[]? | "  \(.location): \(.condition)")' "$answer" >&2
        case $status-$arrived in
        429-false | 503-false) wait=${told#* } && wait=${wait:-1} ;; # nothing was sent
        *-false) exit 2 ;;
        *) jq --exit-status '.code != null' "$answer" >/dev/null && exit 1 || exit 4 ;;
        esac
    elif [ $? -ne 7 ]; then
        # Connected, and no answer: what became of the message is asked with the same key.
        lost=true
    fi
    if [ "$attempt" -ge "${ATTEMPTS:-5}" ]; then
        if $lost; then exit 4; else exit 3; fi
    fi
    attempt=$((attempt + 1))
    sleep "$wait"
done
