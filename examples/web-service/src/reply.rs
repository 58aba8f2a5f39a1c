//! What goes in and out as JSON, and what a client is told that gets no answer.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ndalbert::Error;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use crate::batcher::Refused;

/// For a body to arrive.
const BODY: Duration = Duration::from_secs(10);

/// A request's body. In contrast to [`Json`], it must arrive in time, and errors are JSON, too.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match timeout(BODY, Json::from_request(request, state)).await {
            Ok(parsed) => Ok(Self(parsed?.0)),
            Err(_) => Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        }
    }
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
    /// 400 for what is no JSON, 413 for too much of it, 415 if it does not claim to be any, 422 if it is not what is expected.
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
    /// What a model says of an input is for the client; what else may happen is for whoever runs the service.
    fn from(error: Error) -> Self {
        match error {
            // Which place in the batch it had is nobody's business.
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
