package main

import (
	"errors"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// How long answers may take after the last arrival.
const patience = 5 * time.Second

// client is one connection that can carry requests.
type client interface {
	socket() *socket
	// ready says whether another request may be sent now.
	ready() bool
	// send queues request number n of the run.
	send(n int)
	// received handles what the socket has read.
	received(bytes []byte) error
}

// run is a single thread in one loop: send what is due, sleep until the next arrival or answer, read.
func run(s settings) (report, error) {
	runtime.LockOSThread()
	// The kernel may otherwise wake this thread 50 microseconds late.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	// Being late would count as the server's latency. Without the right to it, Lateness shows what it costs.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10)
	book := newBook(s)
	clients, err := connect(s, book)
	if err != nil {
		return report{}, err
	}
	poll := make([]unix.PollFd, len(clients))
	for i, c := range clients {
		poll[i].Fd = int32(c.socket().fd)
	}
	book.start = time.Now()
	for !book.finished() {
		sendDue(clients, book)
		if err := flush(clients, poll); err != nil {
			return book.report(err), nil
		}
		wait := unix.NsecToTimespec(max(0, book.untilNext()))
		if _, err := unix.Ppoll(poll, &wait, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return report{}, err
		}
		for i, c := range clients {
			if poll[i].Revents&^unix.POLLOUT == 0 {
				continue
			}
			if err := c.socket().read(c.received); err != nil {
				return book.report(err), nil
			}
		}
	}
	return book.report(nil), nil
}

func connect(s settings, book *book) ([]client, error) {
	body := []byte{}
	if s.bodyFile != "" {
		var err error
		if body, err = os.ReadFile(s.bodyFile); err != nil {
			return nil, err
		}
	}
	clients := make([]client, s.connections)
	for i := range clients {
		socket, err := dial(s.address)
		if err != nil {
			return nil, err
		}
		if s.http1 {
			clients[i] = newHTTP1Client(socket, book, s.address)
		} else {
			clients[i] = newGRPCClient(socket, book, body)
		}
	}
	return clients, nil
}

// sendDue hands out what has arrived, round robin; what no connection can take now waits, and its latency grows.
func sendDue(clients []client, book *book) {
	now := book.now()
	book.notice(now)
	busy := 0
	for book.sent < len(book.noticedAt) && busy < len(clients) {
		c := clients[book.turn%len(clients)]
		book.turn++
		if !c.ready() {
			busy++
			continue
		}
		busy = 0
		c.send(book.sent)
		book.sent++
	}
}

func flush(clients []client, poll []unix.PollFd) error {
	for i, c := range clients {
		if err := c.socket().flush(); err != nil {
			return err
		}
		poll[i].Events = unix.POLLIN
		if len(c.socket().out) > 0 {
			poll[i].Events |= unix.POLLOUT
		}
	}
	return nil
}
