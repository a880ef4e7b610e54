package main

import (
	"fmt"
	"time"
)

// book keeps the times of every request of a run.
type book struct {
	start       time.Time
	warmUp      int64
	end         int64
	answerBytes int
	arrivals    []int64
	noticedAt   []int64
	latency     []int64
	lateness    []int64
	sent        int
	answered    int
	failed      int
	failure     string
	turn        int
}

func newBook(s settings) *book {
	arrivals := arrivalTimes(s.rate, s.warmUp+s.measured)
	return &book{
		warmUp:      int64(s.warmUp),
		end:         int64(s.warmUp + s.measured + patience),
		answerBytes: s.answerBytes,
		arrivals:    arrivals,
		noticedAt:   make([]int64, 0, len(arrivals)),
		latency:     make([]int64, 0, len(arrivals)),
		lateness:    make([]int64, 0, len(arrivals)),
	}
}

func (b *book) now() int64 { return int64(time.Since(b.start)) }

// notice writes down what has become due. Whether a connection can take it is the server's affair; when this program
// saw it is its own.
func (b *book) notice(now int64) {
	for next := len(b.noticedAt); next < len(b.arrivals) && b.arrivals[next] <= now; next++ {
		b.noticedAt = append(b.noticedAt, now)
	}
}

func (b *book) finished() bool {
	return b.answered+b.failed >= len(b.arrivals) || b.now() > b.end
}

// untilNext is how long to sleep at most. Arrivals that wait for a connection are looked at when one has answered.
func (b *book) untilNext() int64 {
	const longest = int64(100 * time.Millisecond)
	if b.sent >= len(b.arrivals) {
		return longest
	}
	wait := b.arrivals[b.sent] - b.now()
	if wait < -int64(time.Millisecond) {
		return int64(50 * time.Microsecond)
	}
	return min(wait, longest)
}

// settle notes that request n has ended, with an empty problem where it was answered well.
func (b *book) settle(n int, problem string) {
	if problem != "" {
		b.failed++
		if b.failure == "" {
			b.failure = problem
		}
		return
	}
	b.answered++
	arrival := b.arrivals[n]
	if arrival < b.warmUp {
		return
	}
	b.latency = append(b.latency, b.now()-arrival)
	b.lateness = append(b.lateness, b.noticedAt[n]-arrival)
}

func (b *book) report(err error) report {
	unanswered := len(b.arrivals) - b.answered - b.failed
	failure := b.failure
	if err != nil {
		failure = err.Error()
	} else if failure == "" && unanswered > 0 {
		failure = fmt.Sprintf("%d unanswered %s after the last arrival", unanswered, patience)
	}
	return report{
		Arrivals: len(b.arrivals),
		Answered: len(b.latency),
		Failed:   b.failed + unanswered,
		Failure:  failure,
		Latency:  spreadOf(b.latency),
		Lateness: spreadOf(b.lateness),
	}
}
