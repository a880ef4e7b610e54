package bench;

import com.google.protobuf.BoolValue;
import com.google.protobuf.ByteString;
import io.envoyproxy.envoy.config.core.v3.HeaderValue;
import io.envoyproxy.envoy.config.core.v3.HeaderValueOption;
import io.envoyproxy.envoy.config.core.v3.HeaderValueOption.HeaderAppendAction;
import io.envoyproxy.envoy.service.ext_proc.v3.BodyResponse;
import io.envoyproxy.envoy.service.ext_proc.v3.CommonResponse;
import io.envoyproxy.envoy.service.ext_proc.v3.ExternalProcessorGrpc;
import io.envoyproxy.envoy.service.ext_proc.v3.HeaderMutation;
import io.envoyproxy.envoy.service.ext_proc.v3.HeadersResponse;
import io.envoyproxy.envoy.service.ext_proc.v3.ProcessingRequest;
import io.envoyproxy.envoy.service.ext_proc.v3.ProcessingResponse;
import io.envoyproxy.envoy.service.ext_proc.v3.TrailersResponse;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import java.net.InetSocketAddress;

/** The bench's first task on grpc-java: one event loop thread, which also runs the answers. */
public final class HelloServer extends ExternalProcessorGrpc.ExternalProcessorImplBase {
  @Override
  public StreamObserver<ProcessingRequest> process(StreamObserver<ProcessingResponse> answers) {
    return new StreamObserver<>() {
      @Override
      public void onNext(ProcessingRequest message) {
        answers.onNext(answer(message));
      }

      @Override
      public void onError(Throwable cause) {
        // The peer has reset the stream; Envoy does so whenever it is done.
      }

      @Override
      public void onCompleted() {
        answers.onCompleted();
      }
    };
  }

  private static ProcessingResponse answer(ProcessingRequest message) {
    var answer = ProcessingResponse.newBuilder();
    switch (message.getRequestCase()) {
      case REQUEST_HEADERS -> answer.setRequestHeaders(changing("hello-to-asm"));
      case RESPONSE_HEADERS -> answer.setResponseHeaders(changing("hello-from-asm"));
      case REQUEST_BODY -> answer.setRequestBody(BodyResponse.getDefaultInstance());
      case RESPONSE_BODY -> answer.setResponseBody(BodyResponse.getDefaultInstance());
      case REQUEST_TRAILERS -> answer.setRequestTrailers(TrailersResponse.getDefaultInstance());
      case RESPONSE_TRAILERS -> answer.setResponseTrailers(TrailersResponse.getDefaultInstance());
      default -> throw Status.INVALID_ARGUMENT.withDescription("a message without a request").asRuntimeException();
    }
    return answer.build();
  }

  @SuppressWarnings("deprecation") // Envoy's ext_proc reads `append` alone.
  private static HeadersResponse changing(String value) {
    var header = HeaderValue.newBuilder().setKey("x-ext-proc-header").setRawValue(ByteString.copyFromUtf8(value));
    var option =
        HeaderValueOption.newBuilder()
            .setHeader(header)
            .setAppend(BoolValue.of(false))
            .setAppendAction(HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD);
    var mutation = HeaderMutation.newBuilder().addSetHeaders(option);
    return HeadersResponse.newBuilder()
        .setResponse(CommonResponse.newBuilder().setHeaderMutation(mutation))
        .build();
  }

  public static void main(String[] args) throws Exception {
    Server server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .channelType(NioServerSocketChannel.class)
            .bossEventLoopGroup(new NioEventLoopGroup(1))
            .workerEventLoopGroup(new NioEventLoopGroup(1))
            .directExecutor()
            .addService(new HelloServer())
            .build()
            .start();
    System.out.println("listening on 127.0.0.1:" + server.getPort());
    server.awaitTermination();
  }
}
