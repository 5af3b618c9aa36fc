// Sends an HL7 message to a destination of mllp-bridge, and says what became of it.
//
//	go run send.go DESTINATION FILE        (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)
//
// Exit status of what `go build send.go` makes: 0 accepted; 1 the destination has it and said no; 2 not sent, and it would
// not be; 3 not sent, try later; 4 not known: look at the destination.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
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
	Code           string `json:"code"` // empty where there is no acknowledgement
	ControlID      string `json:"control_id"`
	Title          string `json:"title"`
	Detail         string `json:"detail"`
	MayHaveArrived bool   `json:"may_have_arrived"`
	Errors         []struct {
		Location  string `json:"location"`
		Condition string `json:"condition"`
	} `json:"errors"`
}

// post returns the response's status, its Retry-After and its JSON.
func post(bridge, destination string, message []byte) (int, time.Duration, *answer, error) {
	to := bridge + "/v1/destinations/" + url.PathEscape(destination) + "/messages"
	request, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(message))
	if err != nil {
		return 0, 0, nil, err
	}
	request.Header.Set("Content-Type", "application/hl7-v2")
	// The message's name: whoever sends it again under this name, this program after a crash say, gets the first one's answer.
	request.Header.Set("Idempotency-Key", fmt.Sprintf("%x", sha256.Sum256(message)))
	response, err := client.Do(request)
	if err != nil {
		return 0, 0, nil, err
	}
	defer response.Body.Close()
	var got answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		return 0, 0, nil, err
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil {
		seconds = 1
	}
	return response.StatusCode, time.Duration(seconds) * time.Second, &got, nil
}

func complain(problem *answer) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", problem.Title, problem.Detail)
	// Not the errors' text: the destination may quote the message in it, and a log is no place for that.
	for _, fault := range problem.Errors {
		fmt.Fprintf(os.Stderr, "  %s: %s\n", fault.Location, fault.Condition)
	}
}

func send(bridge, destination string, message []byte, attempts int) int {
	lost := false
	for attempt := 1; attempt <= attempts; attempt++ {
		wait := time.Duration(attempt) * time.Second
		status, retryAfter, got, err := post(bridge, destination, message)
		switch {
		case err != nil:
			fmt.Fprintf(os.Stderr, "no answer from %s: %v\n", bridge, err)
			// Unless nobody listens, the bridge may have the message. What became of it is asked with the same key.
			lost = lost || !errors.Is(err, syscall.ECONNREFUSED)
		case status == http.StatusOK && got.Code == "": // the message asks for no acknowledgement
			fmt.Println("sent", got.ControlID)
			return accepted
		case status == http.StatusOK:
			fmt.Println(got.Code, got.ControlID)
			return accepted
		default:
			complain(got)
			if got.MayHaveArrived && got.Code != "" {
				return refused
			} else if got.MayHaveArrived {
				return unknown
			} else if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
				return wrong
			}
			wait = retryAfter // nothing was sent, and it may be soon
		}
		if attempt < attempts {
			time.Sleep(wait)
		}
	}
	if lost {
		return unknown
	}
	return later
}

func setting(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: send DESTINATION FILE")
		os.Exit(wrong)
	}
	message, err := os.ReadFile(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(wrong)
	}
	attempts, err := strconv.Atoi(setting("ATTEMPTS", "5"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "ATTEMPTS:", err)
		os.Exit(wrong)
	}
	os.Exit(send(setting("MLLP_BRIDGE", "http://127.0.0.1:2580"), os.Args[1], message, attempts))
}
