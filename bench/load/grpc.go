package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameHeaderBytes = 9
	maxFrameBytes    = 16384
	largestWindow    = math.MaxInt32
	initialWindow    = 65535
)

// grpcClient is the client's half of HTTP/2, as far as short gRPC calls over a sound connection need it.
type grpcClient struct {
	conn    *socket
	book    *book
	body    []byte
	headers []byte
	decoder *hpack.Decoder
	pending []byte
	calls   []call // by stream: 1, 3, 5, ...
	open    int
	maxOpen int
	window  int
	current *call
}

type call struct {
	number  int
	data    int
	status  string
	settled bool
}

func newGRPCClient(conn *socket, book *book, body []byte) *grpcClient {
	c := &grpcClient{conn: conn, book: book, body: body, maxOpen: math.MaxInt32, window: initialWindow}
	c.calls = make([]call, 0, len(book.arrivals))
	c.decoder = hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		if field.Name == "grpc-status" && c.current != nil {
			c.current.status = field.Value
		}
	})
	var preface bytes.Buffer
	preface.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&preface, nil)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: largestWindow})
	// Large enough for a whole run, so that no window ever has to be given back.
	_ = framer.WriteWindowUpdate(0, largestWindow-initialWindow)
	conn.out = append(conn.out, preface.Bytes()...)
	return c
}

func (c *grpcClient) socket() *socket { return c.conn }

func (c *grpcClient) ready() bool { return c.open < c.maxOpen && c.window >= len(c.body) }

func (c *grpcClient) send(n int) {
	stream := uint32(2*len(c.calls) + 1)
	c.calls = append(c.calls, call{number: n})
	c.open++
	c.window -= len(c.body)
	c.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, c.headerBlock())
	rest := c.body
	for len(rest) > maxFrameBytes {
		c.frame(http2.FrameData, 0, stream, rest[:maxFrameBytes])
		rest = rest[maxFrameBytes:]
	}
	c.frame(http2.FrameData, http2.FlagDataEndStream, stream, rest)
}

// headerBlock has every field in the table from its second use on, so that the second block serves all later calls.
func (c *grpcClient) headerBlock() []byte {
	if len(c.calls) > 2 {
		return c.headers
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := [][2]string{
		{":method", "POST"}, {":scheme", "http"},
		{":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"},
		{":authority", "ext-proc"}, {"te", "trailers"}, {"content-type", "application/grpc"},
		{"grpc-timeout", "10S"}, {"user-agent", "bench-load"},
	}
	for round := 0; round < len(c.calls); round++ {
		block.Reset()
		for _, field := range fields {
			_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
	}
	c.headers = block.Bytes()
	return c.headers
}

func (c *grpcClient) frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) {
	length := len(payload)
	c.conn.out = append(c.conn.out, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	c.conn.out = binary.BigEndian.AppendUint32(c.conn.out, stream)
	c.conn.out = append(c.conn.out, payload...)
}

func (c *grpcClient) received(bytes []byte) error {
	if len(c.pending) > 0 {
		bytes = append(c.pending, bytes...)
	}
	for len(bytes) >= frameHeaderBytes {
		length := int(bytes[0])<<16 | int(bytes[1])<<8 | int(bytes[2])
		if len(bytes) < frameHeaderBytes+length {
			break
		}
		stream := binary.BigEndian.Uint32(bytes[5:]) &^ (1 << 31)
		payload := bytes[frameHeaderBytes : frameHeaderBytes+length]
		if err := c.handle(http2.FrameType(bytes[3]), http2.Flags(bytes[4]), stream, payload); err != nil {
			return err
		}
		bytes = bytes[frameHeaderBytes+length:]
	}
	c.pending = append([]byte{}, bytes...)
	return nil
}

func (c *grpcClient) handle(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) error {
	switch kind {
	case http2.FrameHeaders:
		return c.handleHeaders(flags, stream, payload)
	case http2.FrameData:
		if call := c.callOf(stream); call != nil {
			call.data += len(payload)
			c.endIf(flags&http2.FlagDataEndStream != 0, call)
		}
	case http2.FrameRSTStream:
		if call := c.callOf(stream); call != nil && !call.settled {
			c.settle(call, fmt.Sprintf("RST_STREAM %d", binary.BigEndian.Uint32(payload)))
		}
	case http2.FrameSettings:
		if flags&http2.FlagSettingsAck == 0 {
			c.handleSettings(payload)
		}
	case http2.FramePing:
		if flags&http2.FlagPingAck == 0 {
			c.frame(http2.FramePing, http2.FlagPingAck, 0, payload)
		}
	case http2.FrameWindowUpdate:
		if stream == 0 {
			c.window += int(binary.BigEndian.Uint32(payload))
		}
	case http2.FrameGoAway:
		return fmt.Errorf("GOAWAY %d", binary.BigEndian.Uint32(payload[4:]))
	case http2.FrameContinuation:
		return fmt.Errorf("a header block in several frames, which this program does not read")
	}
	return nil
}

func (c *grpcClient) handleSettings(payload []byte) {
	for ; len(payload) >= 6; payload = payload[6:] {
		if http2.SettingID(binary.BigEndian.Uint16(payload)) == http2.SettingMaxConcurrentStreams {
			c.maxOpen = int(min(binary.BigEndian.Uint32(payload[2:]), math.MaxInt32))
		}
	}
	c.frame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
}

func (c *grpcClient) handleHeaders(flags http2.Flags, stream uint32, payload []byte) error {
	if flags&(http2.FlagHeadersPadded|http2.FlagHeadersPriority) != 0 {
		return fmt.Errorf("padded HEADERS, which this program does not read")
	}
	c.current = c.callOf(stream)
	if _, err := c.decoder.Write(payload); err != nil {
		return err
	}
	if c.current != nil {
		c.endIf(flags&http2.FlagHeadersEndStream != 0, c.current)
	}
	return nil
}

func (c *grpcClient) callOf(stream uint32) *call {
	if index := int(stream / 2); stream%2 == 1 && index < len(c.calls) {
		return &c.calls[index]
	}
	return nil
}

func (c *grpcClient) endIf(ended bool, call *call) {
	if !ended || call.settled {
		return
	}
	switch {
	case call.status != "0":
		c.settle(call, fmt.Sprintf("grpc-status %q", call.status))
	case c.book.answerBytes != 0 && call.data != c.book.answerBytes:
		c.settle(call, fmt.Sprintf("an answer of %d bytes in place of %d", call.data, c.book.answerBytes))
	default:
		c.settle(call, "")
	}
}

func (c *grpcClient) settle(call *call, problem string) {
	call.settled = true
	c.open--
	c.book.settle(call.number, problem)
}
