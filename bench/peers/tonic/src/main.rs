//! The bench's tasks on tonic: one thread, the request stream mapped to the response stream.
use std::net::SocketAddr;
use std::pin::Pin;

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answer;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpHeaders, ProcessingRequest,
    ProcessingResponse, TrailersResponse,
};
use envoy_types::pb::google::protobuf::BoolValue;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

#[derive(Clone, Copy)]
enum Task {
    Hello,
    ThreeTwo,
}

struct Processor(Task);

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let task = self.0;
        let answers = request
            .into_inner()
            .map(move |message| message.and_then(|message| answer(task, message)));
        Ok(Response::new(Box::pin(answers)))
    }
}

fn answer(task: Task, message: ProcessingRequest) -> Result<ProcessingResponse, Status> {
    let response = match message.request {
        Some(Asked::RequestHeaders(headers)) => Answer::RequestHeaders(match task {
            Task::Hello => changing(vec![set_header("x-ext-proc-header", "hello-to-asm".into())]),
            Task::ThreeTwo => seen(&headers),
        }),
        Some(Asked::ResponseHeaders(_)) => Answer::ResponseHeaders(match task {
            Task::Hello => changing(vec![set_header("x-ext-proc-header", "hello-from-asm".into())]),
            Task::ThreeTwo => HeadersResponse::default(),
        }),
        Some(Asked::RequestBody(_)) => Answer::RequestBody(BodyResponse::default()),
        Some(Asked::ResponseBody(_)) => Answer::ResponseBody(BodyResponse::default()),
        Some(Asked::RequestTrailers(_)) => Answer::RequestTrailers(TrailersResponse::default()),
        Some(Asked::ResponseTrailers(_)) => Answer::ResponseTrailers(TrailersResponse::default()),
        None => return Err(Status::invalid_argument("a message without a request")),
    };
    Ok(ProcessingResponse {
        response: Some(response),
        ..Default::default()
    })
}

/// Three headers read, two set.
fn seen(headers: &HttpHeaders) -> HeadersResponse {
    let map = headers.headers.as_ref();
    let from = [read(map, "user-agent"), read(map, "x-request-id")].join(&b' ');
    changing(vec![
        set_header("x-seen-path", read(map, ":path").to_vec()),
        set_header("x-seen-from", from),
    ])
}

fn read<'a>(map: Option<&'a HeaderMap>, name: &str) -> &'a [u8] {
    map.and_then(|map| map.headers.iter().find(|header| header.key == name))
        .map_or(&[], |header| &header.raw_value)
}

fn changing(set_headers: Vec<HeaderValueOption>) -> HeadersResponse {
    HeadersResponse {
        response: Some(CommonResponse {
            header_mutation: Some(HeaderMutation {
                set_headers,
                ..Default::default()
            }),
            ..Default::default()
        }),
    }
}

#[allow(deprecated)] // Envoy's ext_proc reads `append` alone.
fn set_header(key: &str, raw_value: Vec<u8>) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.into(),
            raw_value,
            ..Default::default()
        }),
        append: Some(BoolValue { value: false }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let task = match std::env::args().nth(1).as_deref() {
        Some("three-two") => Task::ThreeTwo,
        _ => Task::Hello,
    };
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.with_nodelay(Some(true));
    println!("listening on {}", incoming.local_addr()?);
    Server::builder()
        .add_service(ExternalProcessorServer::new(Processor(task)))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
