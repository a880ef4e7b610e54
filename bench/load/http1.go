package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// http1Client is one connection that is kept alive and carries one request at a time.
type http1Client struct {
	conn    *socket
	book    *book
	request []byte
	number  int
	busy    bool
	pending []byte
}

func newHTTP1Client(conn *socket, book *book, host string) *http1Client {
	request := fmt.Sprintf("GET / HTTP/1.1\r\nhost: %s\r\nuser-agent: bench-load\r\naccept: */*\r\n\r\n", host)
	return &http1Client{conn: conn, book: book, request: []byte(request)}
}

func (c *http1Client) socket() *socket { return c.conn }

func (c *http1Client) ready() bool { return !c.busy }

func (c *http1Client) send(n int) {
	c.number = n
	c.busy = true
	c.conn.out = append(c.conn.out, c.request...)
}

func (c *http1Client) received(piece []byte) error {
	c.pending = append(c.pending, piece...)
	head, body, complete := bytes.Cut(c.pending, []byte("\r\n\r\n"))
	if !complete {
		return nil
	}
	length, err := contentLength(head)
	if err != nil {
		return err
	}
	if len(body) < length {
		return nil
	}
	problem := ""
	if status, _, _ := bytes.Cut(head, []byte("\r\n")); !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		problem = string(status)
	}
	c.pending = c.pending[:0]
	c.busy = false
	c.book.settle(c.number, problem)
	return nil
}

func contentLength(head []byte) (int, error) {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		if bytes.EqualFold(name, []byte("content-length")) {
			return strconv.Atoi(string(value))
		}
	}
	return 0, fmt.Errorf("an answer without content-length: %q", head)
}
