// An app behind mllp-bridge: takes HL7 messages as CloudEvents and says what becomes of them.
//
//	go run . [PORT]        (or PORT in the environment; 0, the default, is a free one)
//
// The HTTP status is the acknowledgement: 2xx is AA, and the sender forgets the message. So answer
// 2xx only once it is safe, in your database say.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const maxBody = 64 << 20

// event is the part of the envelope that this app reads.
type event struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	ControlID string `json:"hl7controlid"`
	Data      struct {
		Segments []struct {
			ID string `json:"id"`
			// Field number, repetition, component number. A component is a string, or an object where it
			// has subcomponents.
			Fields map[string][]map[string]any `json:"fields"`
		} `json:"segments"`
	} `json:"data"`
}

// component is the first repetition's, "" where there is none: PID-5.2 is e.component("PID", "5", "2").
func (e *event) component(segment, field, number string) string {
	for _, s := range e.Data.Segments {
		if s.ID != segment || len(s.Fields[field]) == 0 {
			continue
		}
		switch value := s.Fields[field][0][number].(type) {
		case string:
			return value
		case map[string]any: // its first subcomponent
			first, _ := value["1"].(string)
			return first
		}
	}
	return ""
}

// fault becomes an ERR segment of the acknowledgement.
type fault struct {
	Location  string `json:"location"`
	Detail    string `json:"detail"`
	Condition int    `json:"condition"` // HL7 table 0357
}

type app struct {
	mu sync.Mutex
	// What has been taken, by CloudEvent id. A resend has the same id: say yes to it again, and do
	// nothing. In a real app this is a unique key, written in the transaction that stores the message.
	seen map[string]bool
}

// take stores a message, or returns what is wrong with it.
func (a *app) take(e *event) []fault {
	patientID := e.component("PID", "3", "1")
	if strings.HasPrefix(e.Type, "org.hl7.v2.ADT") && patientID == "" {
		return []fault{{"PID-3", "a patient identifier is required", 101}}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.seen[e.ID] {
		save(patientID, e.component("PID", "5", "1"), e.component("PID", "5", "2"))
		a.seen[e.ID] = true
	}
	return nil
}

// save is your part.
func save(patientID, family, given string) {}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		problem(w, http.StatusMethodNotAllowed, "only POST is taken here", nil)
		return
	}
	var e event
	var tooLarge *http.MaxBytesError
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&e)
	if errors.As(err, &tooLarge) {
		problem(w, http.StatusRequestEntityTooLarge, "the message is too large", nil)
		return
	}
	if err != nil || e.ID == "" {
		problem(w, http.StatusBadRequest, "not a CloudEvent with an HL7 message", nil)
		return
	}
	faults := a.take(&e)
	// The control ID and the type may be logged; the message, a name or a patient's id may not.
	if faults != nil {
		log.Printf("refused %s %s", e.Type, e.ControlID)
		problem(w, http.StatusUnprocessableEntity, "the message cannot be used", faults)
		return
	}
	log.Printf("taken %s %s", e.Type, e.ControlID)
	w.WriteHeader(http.StatusNoContent)
}

func problem(w http.ResponseWriter, status int, detail string, faults []fault) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // fails where the bridge has gone: it will send again
		Title  string  `json:"title"`
		Status int     `json:"status"`
		Detail string  `json:"detail"`
		Errors []fault `json:"errors,omitempty"`
	}{"HL7 message refused", status, detail, faults})
}

func main() {
	port := os.Getenv("PORT")
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s/hl7\n", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("/hl7", &app{seen: map[string]bool{}})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(server.Serve(listener))
}
