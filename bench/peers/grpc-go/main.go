// The bench's tasks on grpc-go with go-control-plane's messages: the usual loop of Recv and Send.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type processor struct {
	extproc.UnimplementedExternalProcessorServer
	threeTwo bool
}

func (p *processor) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := p.answer(message)
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (p *processor) answer(message *extproc.ProcessingRequest) (*extproc.ProcessingResponse, error) {
	switch asked := message.Request.(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		headers := changing(setHeader("x-ext-proc-header", []byte("hello-to-asm")))
		if p.threeTwo {
			headers = seen(asked.RequestHeaders)
		}
		return &extproc.ProcessingResponse{
			Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: headers},
		}, nil
	case *extproc.ProcessingRequest_ResponseHeaders:
		headers := &extproc.HeadersResponse{}
		if !p.threeTwo {
			headers = changing(setHeader("x-ext-proc-header", []byte("hello-from-asm")))
		}
		return &extproc.ProcessingResponse{
			Response: &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: headers},
		}, nil
	default:
		return neutral(message)
	}
}

func neutral(message *extproc.ProcessingRequest) (*extproc.ProcessingResponse, error) {
	answer := &extproc.ProcessingResponse{}
	switch message.Request.(type) {
	case *extproc.ProcessingRequest_RequestBody:
		answer.Response = &extproc.ProcessingResponse_RequestBody{RequestBody: &extproc.BodyResponse{}}
	case *extproc.ProcessingRequest_ResponseBody:
		answer.Response = &extproc.ProcessingResponse_ResponseBody{ResponseBody: &extproc.BodyResponse{}}
	case *extproc.ProcessingRequest_RequestTrailers:
		answer.Response = &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{}}
	case *extproc.ProcessingRequest_ResponseTrailers:
		answer.Response = &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}
	default:
		return nil, status.Error(codes.InvalidArgument, "a message without a request")
	}
	return answer, nil
}

// seen reads three headers and sets two.
func seen(headers *extproc.HttpHeaders) *extproc.HeadersResponse {
	from := append([]byte{}, read(headers, "user-agent")...)
	from = append(append(from, ' '), read(headers, "x-request-id")...)
	return changing(setHeader("x-seen-path", read(headers, ":path")), setHeader("x-seen-from", from))
}

func read(headers *extproc.HttpHeaders, name string) []byte {
	for _, header := range headers.GetHeaders().GetHeaders() {
		if header.Key == name {
			return header.RawValue
		}
	}
	return nil
}

func changing(setHeaders ...*core.HeaderValueOption) *extproc.HeadersResponse {
	return &extproc.HeadersResponse{
		Response: &extproc.CommonResponse{HeaderMutation: &extproc.HeaderMutation{SetHeaders: setHeaders}},
	}
}

func setHeader(key string, rawValue []byte) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header: &core.HeaderValue{Key: key, RawValue: rawValue},
		// Envoy's ext_proc reads `append` alone.
		Append:       wrapperspb.Bool(false),
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	server := grpc.NewServer()
	threeTwo := len(os.Args) > 1 && os.Args[1] == "three-two"
	extproc.RegisterExternalProcessorServer(server, &processor{threeTwo: threeTwo})
	log.Fatal(server.Serve(listener))
}
