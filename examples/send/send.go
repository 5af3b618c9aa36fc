// Sends an HL7 message to a destination of mllp-bridge, and says what became of it.
//
//	go build send.go
//	./send DESTINATION FILE        (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)
//
// KEY is the message's name, another one for each message. Without it the name is the message's SHA-256, where MSH-10 is filled.
//
// Exit status (`go run` has one of its own): 0 accepted; 1 the destination has it and said no; 2 not sent, and it would not be;
// 3 not sent, try later; 4 not known: look at the destination.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

const (
	accepted = iota
	refused
	wrong
	later
	unknown
)

// Longer than queue.timeout and ack.timeout together.
var client = http.Client{Timeout: 90 * time.Second}

// answer is what this program reads of a response: an acknowledgement, or a problem.
type answer struct {
	Code           json.RawMessage `json:"code"` // null where there is no acknowledgement; nil where it is not the bridge's
	ControlID      *string         `json:"control_id"`
	Title          string          `json:"title"`
	Detail         string          `json:"detail"`
	MayHaveArrived *bool           `json:"may_have_arrived"`
	Replayed       bool            `json:"replayed"`
	Errors         []struct {
		Location  string `json:"location"`
		Condition string `json:"condition"`
	} `json:"errors"`
}

// code is the acknowledgement's, if there is one.
func (a *answer) code() string {
	var code string
	if json.Unmarshal(a.Code, &code) != nil {
		return ""
	}
	return code
}

// isNamed says whether MSH-10 is filled: without it two messages may have the same bytes.
func isNamed(message []byte) bool {
	if len(message) < 4 || string(message[:3]) != "MSH" {
		return false
	}
	header := message
	if end := bytes.IndexAny(message, "\r\n"); end >= 0 {
		header = message[:end]
	}
	fields := bytes.Split(header, message[3:4])
	return len(fields) > 9 && len(fields[9]) > 0
}

// post returns the response's status, its Retry-After and its JSON, which is empty where it is not the bridge's.
func post(bridge, destination, key string, message []byte) (int, time.Duration, *answer, error) {
	to := bridge + "/v1/destinations/" + url.PathEscape(destination) + "/messages"
	request, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(message))
	if err != nil {
		return 0, 0, nil, err
	}
	request.Header.Set("Content-Type", "application/hl7-v2")
	// Whoever sends the message again under this name, this program after a crash say, gets the first one's answer.
	request.Header.Set("Idempotency-Key", key)
	response, err := client.Do(request)
	if err != nil {
		return 0, 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, 0, nil, err
	}
	got := &answer{}
	if json.Unmarshal(body, got) != nil {
		got = &answer{}
	}
	seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		seconds = 1
	}
	return response.StatusCode, time.Duration(seconds) * time.Second, got, nil
}

var (
	place     = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}[-.()\[\]0-9]*$`)
	condition = regexp.MustCompile(`^[0-9]{3}( |$)`)
)

func complain(status int, problem *answer) {
	if problem.MayHaveArrived == nil {
		fmt.Fprintf(os.Stderr, "status %d, and not in the bridge's words\n", status)
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", problem.Title, problem.Detail)
	// Of the errors the place and the code alone. The rest is the destination's words, which may quote the message.
	for _, fault := range problem.Errors {
		where, code := "?", "?"
		if place.MatchString(fault.Location) {
			where = fault.Location
		}
		if condition.MatchString(fault.Condition) {
			code = fault.Condition[:3]
		}
		fmt.Fprintf(os.Stderr, "  %s: %s\n", where, code)
	}
}

// reason is the error without what came: its text may be of that.
func reason(err error) string {
	var network net.Error
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Error()
	} else if errors.As(err, &network) && network.Timeout() {
		return "timeout"
	}
	return "no whole HTTP response"
}

func send(bridge, destination, key string, message []byte, attempts int) int {
	lost := false
	// What is not sent now: whether an attempt before was is another question.
	unless := func(verdict int) int {
		if lost {
			return unknown
		}
		return verdict
	}
	for attempt := 1; attempt <= attempts; attempt++ {
		wait := time.Duration(attempt) * time.Second
		status, retryAfter, got, err := post(bridge, destination, key, message)
		if err != nil {
			fmt.Fprintf(os.Stderr, "no answer from %s: %s\n", bridge, reason(err))
			// Unless nobody listens, the bridge may have the message. What became of it is asked with the same key.
			lost = lost || !errors.Is(err, syscall.ECONNREFUSED)
		} else {
			if got.Replayed {
				fmt.Fprintln(os.Stderr, "an earlier attempt's answer: with this key nothing was sent now")
			}
			if status == http.StatusOK && got.Code != nil && got.ControlID != nil {
				code := got.code()
				if code == "" { // the message asks for no acknowledgement
					code = "sent"
				}
				fmt.Println(code, *got.ControlID)
				return accepted
			}
			complain(status, got)
			switch arrived := got.MayHaveArrived; {
			case arrived == nil: // it is not the bridge that answered
				return unknown
			case *arrived && got.code() != "":
				return refused
			case *arrived:
				return unknown
			case status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable:
				return unless(wrong)
			}
			wait = retryAfter // nothing was sent, and it may be soon
		}
		if attempt < attempts {
			time.Sleep(wait)
		}
	}
	return unless(later)
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func fail(what ...any) {
	fmt.Fprintln(os.Stderr, what...)
	os.Exit(wrong)
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: send DESTINATION FILE")
	}
	attempts, err := strconv.Atoi(setting("ATTEMPTS", "5"))
	if err != nil || attempts < 1 {
		fail("ATTEMPTS must be a number from 1")
	}
	bridge := setting("MLLP_BRIDGE", "http://127.0.0.1:2580")
	if !regexp.MustCompile(`^https?://[^@]+$`).MatchString(bridge) {
		fail("MLLP_BRIDGE must be as http://127.0.0.1:2580, without a user")
	}
	message, err := os.ReadFile(os.Args[2])
	if err != nil {
		fail(err)
	}
	key := os.Getenv("KEY")
	if key == "" && !isNamed(message) {
		fail("MSH-10 is empty, so that the same bytes may be another message: set KEY to a name of this one")
	} else if key == "" {
		key = fmt.Sprintf("%x", sha256.Sum256(message))
	}
	if !regexp.MustCompile(`^[!-~]{1,255}$`).MatchString(key) {
		fail("KEY must be 1 to 255 visible ASCII characters")
	}
	os.Exit(send(bridge, os.Args[1], key, message, attempts))
}
