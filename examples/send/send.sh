#!/bin/sh
# Sends an HL7 message to a destination of mllp-bridge, and says what became of it. Needs curl (7.83) and jq, and sha256sum without KEY.
#
#     send.sh DESTINATION FILE        (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)
#
# KEY is the message's name, another one for each message. Without it the name is the message's SHA-256, where MSH-10 is filled.
#
# Exit status: 0 accepted; 1 the destination has it and said no; 2 not sent, and it would not be; 3 not sent, try later;
# 4 not known: look at the destination.
set -u # not -e: another program's 1 would be one of ours
LC_ALL=C
export LC_ALL

wrong() {
    echo "$1" >&2
    exit 2
}

bridge=${MLLP_BRIDGE:-http://127.0.0.1:2580}
attempts=${ATTEMPTS:-5}
[ $# -eq 2 ] || wrong "usage: send.sh DESTINATION FILE"
case $attempts in
0* | *[!0-9]* | ???????*) wrong "ATTEMPTS must be a number from 1" ;;
esac
case $bridge in
*@*) wrong "MLLP_BRIDGE must be as http://127.0.0.1:2580, without a user" ;;
http://?* | https://?*) ;;
*) wrong "MLLP_BRIDGE must be as http://127.0.0.1:2580, without a user" ;;
esac
for program in curl jq; do
    command -v "$program" >/dev/null || wrong "$program is missing"
done
name=$(jq --null-input --raw-output --arg name "$1" '$name | @uri') || wrong "jq is not well"
url=$bridge/v1/destinations/$name/messages

folder=$(mktemp -d) || wrong "no temporary folder"
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
message=$folder/message body=$folder/body answer=$folder/answer
# Read once: each attempt sends the same.
cat <"$2" >"$message" || wrong "FILE cannot be read"

# Without MSH-10 two messages may have the same bytes.
is_named() {
    header=$(tr '\r' '\n' <"$message" | head -n 1)
    separator=$(printf %s "$header" | cut -c 4)
    case $header in
    MSH?*) [ -n "$(printf '%s\n' "$header" | cut -s -d "$separator" -f 10)" ] ;;
    *) false ;;
    esac
}

key=${KEY:-}
if [ -z "$key" ]; then
    is_named || wrong "MSH-10 is empty, so that the same bytes may be another message: set KEY to a name of this one"
    command -v sha256sum >/dev/null || wrong "sha256sum is missing: set KEY to a name of this message"
    key=$(sha256sum <"$message") && key=${key%% *}
    [ ${#key} -eq 64 ] || wrong "sha256sum gives no SHA-256: set KEY to a name of this message"
fi
case $key in
*[!!-~]*) wrong "KEY must be 1 to 255 visible ASCII characters" ;;
esac
[ ${#key} -le 255 ] || wrong "KEY must be 1 to 255 visible ASCII characters"

lost=false
attempt=1
while :; do
    wait=$attempt
    : >"$body" || exit 4
    # Longer than queue.timeout and ack.timeout together. Not --data: it takes line ends out.
    if told=$(curl --silent --show-error --noproxy '*' --globoff --max-time 90 --output "$body" \
        --write-out '%{http_code} %header{retry-after}' \
        --header 'Content-Type: application/hl7-v2' --header "Idempotency-Key: $key" --data-binary "@$message" "$url"); then
        status=${told%% *}
        jq --slurp 'if length == 1 and (.[0] | type == "object") then .[0] else {} end' "$body" >"$answer" 2>/dev/null ||
            echo '{}' >"$answer" # it is not the bridge that answered
        if jq --exit-status '.replayed == true' "$answer" >/dev/null; then
            echo "an earlier attempt's answer: with this key nothing was sent now" >&2
        fi
        if [ "$status" = 200 ] && jq --exit-status 'has("code") and (.control_id | type == "string")' "$answer" >/dev/null; then
            jq --raw-output '"\(.code // "sent") \(.control_id)"' "$answer"
            exit 0
        fi
        # "no" where it has not arrived; nothing where it is not the bridge that answered.
        arrived=$(jq --raw-output '.may_have_arrived | if . == false then "no" elif . == true then "perhaps" else "" end' "$answer")
        if [ -z "$arrived" ]; then
            echo "status $status, and not in the bridge's words" >&2
            exit 4
        fi
        # Of the errors the place and the code alone. The rest is the destination's words, which may quote the message.
        jq --raw-output '"\(.title): \(.detail)", (.errors[]? |
            "  \(.location | if test("^[A-Z][A-Z0-9]{2}[-.()\\[\\]0-9]*$") then . else "?" end): " +
            (.condition | if test("^[0-9]{3}( |$)") then .[:3] else "?" end))' "$answer" >&2 2>/dev/null
        case $status-$arrived in
        429-no | 503-no)
            wait=${told#* } # nothing was sent, and it may be soon
            case $wait in
            '' | *[!0-9]* | ??????*) wait=1 ;;
            esac
            ;;
        *-no) if $lost; then exit 4; else exit 2; fi ;;
        *) if jq --exit-status '.code | type == "string"' "$answer" >/dev/null; then exit 1; else exit 4; fi ;;
        esac
    elif [ $? -ne 7 ]; then
        # Connected, and no answer: what became of the message is asked with the same key.
        lost=true
    fi
    if [ "$attempt" -ge "$attempts" ]; then
        if $lost; then exit 4; else exit 3; fi
    fi
    attempt=$((attempt + 1))
    sleep "$wait"
done
