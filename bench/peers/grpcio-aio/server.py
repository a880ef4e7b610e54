"""The bench's first task on grpcio.aio with uvloop: server.py VENV"""

import asyncio
import sys

import grpc
import uvloop

sys.path.insert(0, f"{sys.argv[1]}/messages")

from envoy.config.core.v3 import base_pb2  # noqa: E402
from envoy.service.ext_proc.v3 import external_processor_pb2 as messages  # noqa: E402
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as services  # noqa: E402


def changing(value: bytes) -> messages.HeadersResponse:
    option = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key="x-ext-proc-header", raw_value=value),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    option.append.value = False
    mutation = messages.HeaderMutation(set_headers=[option])
    return messages.HeadersResponse(response=messages.CommonResponse(header_mutation=mutation))


def answer(message: messages.ProcessingRequest) -> messages.ProcessingResponse:
    match message.WhichOneof("request"):
        case "request_headers":
            return messages.ProcessingResponse(request_headers=changing(b"hello-to-asm"))
        case "response_headers":
            return messages.ProcessingResponse(response_headers=changing(b"hello-from-asm"))
        case "request_body":
            return messages.ProcessingResponse(request_body=messages.BodyResponse())
        case "response_body":
            return messages.ProcessingResponse(response_body=messages.BodyResponse())
        case "request_trailers":
            return messages.ProcessingResponse(request_trailers=messages.TrailersResponse())
        case "response_trailers":
            return messages.ProcessingResponse(response_trailers=messages.TrailersResponse())
        case _:
            raise ValueError("a message without a request")


class Processor(services.ExternalProcessorServicer):
    async def Process(self, requests, context):  # noqa: N802
        async for message in requests:
            yield answer(message)


async def main() -> None:
    server = grpc.aio.server()
    services.add_ExternalProcessorServicer_to_server(Processor(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


uvloop.run(main())
