//! JSON requests and replies, including errors.

use std::time::Duration;

use axum::Json;
use axum::body::HttpBody;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use ndalbert::Error;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use crate::batcher::Refused;

/// Bytes of a body.
pub const BODY: usize = 64 * 1024;

/// Bytes of a longer body that are read and dropped, only for its client to hear that it is too long: while it still writes, it does not read.
const DROPPED: u64 = 1024 * 1024;

/// For a body to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request's body. In contrast to [`Json`], it must arrive in time, and errors are JSON, too.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let media_type = request.headers().get(header::CONTENT_TYPE);
        if !media_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
            let message = "expected a body with `content-type: application/json`";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let bytes = timeout(PATIENCE, read(request.into_body())).await.map_err(|_| {
            Failure::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")
        })??;
        Ok(Self(Json::from_bytes(&bytes)?.0))
    }
}

async fn read(mut body: axum::body::Body) -> Result<Vec<u8>, Failure> {
    let too_long = || {
        let message = format!("expected a body of at most {BODY} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    // What is claimed. The rest holds without it, too.
    if body.size_hint().lower() > DROPPED {
        return Err(too_long());
    }
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "the body cannot be read"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length <= BODY as u64 {
            bytes.extend_from_slice(&data);
        } else if length > DROPPED {
            break;
        }
    }
    if length > BODY as u64 { Err(too_long()) } else { Ok(bytes) }
}

/// Why there is no answer: a status, and a line that says more.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// There is too much to do at the moment.
    pub fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy: try again in a moment")
    }

    /// It is not the client's fault, and none of its business either.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.message }));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            return (self.status, [(header::RETRY_AFTER, "1")], body).into_response();
        }
        (self.status, body).into_response()
    }
}

impl From<JsonRejection> for Failure {
    /// 400 for what is no JSON, 422 for what is other JSON than expected.
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::busy(),
            Refused::Ended => Self::internal(),
        }
    }
}

impl From<Error> for Failure {
    /// Errors of an input are reported to the client, others to the operator.
    fn from(error: Error) -> Self {
        match error {
            // Its place in the batch is an internal detail.
            Error::Item { error, .. } => Self::from(*error),
            Error::Input { .. } | Error::Tokenizer(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            other => {
                eprintln!("error: {other}");
                Self::internal()
            }
        }
    }
}
