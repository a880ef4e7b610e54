package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

var errClosed = errors.New("the server closed a connection")

// socket is a TCP connection that never blocks; Go's own sleeps until the next millisecond.
type socket struct {
	fd  int
	out []byte
	in  []byte
}

func dial(address string) (*socket, error) {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if !parsed.Addr().Is4() || !parsed.Addr().IsLoopback() {
		return nil, fmt.Errorf("%s is no IPv4 loopback address", address)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: parsed.Addr().As4(), Port: int(parsed.Port())}); err != nil {
		return nil, fmt.Errorf("connect %s: %w", address, err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	return &socket{fd: fd, in: make([]byte, 256<<10)}, unix.SetNonblock(fd, true)
}

// flush writes what the kernel takes.
func (s *socket) flush() error {
	for len(s.out) > 0 {
		n, err := unix.Write(s.fd, s.out)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		s.out = append(s.out[:0], s.out[n:]...)
	}
	return nil
}

func (s *socket) read(received func([]byte) error) error {
	for {
		n, err := unix.Read(s.fd, s.in)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return errClosed
		}
		if err := received(s.in[:n]); err != nil {
			return err
		}
		if n < len(s.in) {
			return nil
		}
	}
}
