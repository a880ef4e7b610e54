// Command load sends gRPC streams or HTTP/1.1 requests at arrival times that are fixed before the first is sent,
// and prints as JSON how long after its arrival time each was answered. What a slow server delays is not left out:
// arrivals do not wait for answers ("open loop", no coordinated omission).
//
//	load -address 127.0.0.1:9002 -body FILE -rate 5000 -seconds 4
//	load -address 127.0.0.1:10000 -http1 -connections 64 -rate 1000 -seconds 4
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

type settings struct {
	address     string
	bodyFile    string
	http1       bool
	connections int
	rate        float64
	warmUp      time.Duration
	measured    time.Duration
	answerBytes int
}

// report is the program's output. Times are microseconds.
type report struct {
	Arrivals int `json:"arrivals"`
	// Answered without an error, in the measured part.
	Answered int `json:"answered"`
	// Failed counts errors, wrong answers and what was unanswered when time was up, in the whole run.
	Failed  int    `json:"failed"`
	Failure string `json:"failure,omitempty"`
	Latency spread `json:"latencyUs"`
	// Lateness says how far behind the schedule this program itself was: what of Latency is not the server's.
	Lateness spread `json:"latenessUs"`
}

func main() {
	settings := readFlags()
	// Nothing here lives long enough to be worth a collector's pauses; the limit is for a server that misbehaves.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30)
	result, err := run(settings)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
}

func readFlags() settings {
	var s settings
	var warmUpSeconds, seconds float64
	flag.StringVar(&s.address, "address", "", "IPv4 loopback address and port")
	flag.StringVar(&s.bodyFile, "body", "", "file with the bytes of one gRPC request stream")
	flag.BoolVar(&s.http1, "http1", false, "GET / over HTTP/1.1 in place of gRPC")
	flag.IntVar(&s.connections, "connections", 2, "connections")
	flag.Float64Var(&s.rate, "rate", 1000, "arrivals per second")
	flag.Float64Var(&warmUpSeconds, "warm-up", 0.5, "seconds before the measured part")
	flag.Float64Var(&seconds, "seconds", 2, "seconds of the measured part")
	flag.IntVar(&s.answerBytes, "answer-bytes", 0, "bytes of DATA that a right answer has; 0: not checked")
	flag.Parse()
	s.warmUp = time.Duration(warmUpSeconds * float64(time.Second))
	s.measured = time.Duration(seconds * float64(time.Second))
	return s
}
