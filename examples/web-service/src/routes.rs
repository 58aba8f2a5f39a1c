//! What can be asked.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::batcher::Batcher;
use crate::models::{Models, Question, Text};
use crate::reply::{Body, Failure};

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Choices of a question: each is a text of its own for the model.
    pub choices: usize,
    /// For an answer, most of which is waiting for others'.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { choices: 32, answer: Duration::from_secs(10) }
    }
}

#[derive(Clone)]
struct Service {
    models: Models,
    limits: Limits,
}

/// The service, to be served.
pub fn router(models: Models, limits: Limits) -> Router {
    Router::new()
        .route("/choose", post(choose))
        .route("/fill-mask", post(fill_mask))
        .route("/embed", post(embed))
        .route("/healthz", get(healthz))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "no such path") })
        .method_not_allowed_fallback(|| async {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "no such method here")
        })
        .with_state(Service { models, limits })
}

async fn choose(State(service): State<Service>, Body(question): Body<Question>) -> Response {
    let (most, found) = (service.limits.choices, question.choices.len());
    if found > most {
        let message = format!("choices: expected at most {most}, found {found}");
        return Failure::new(StatusCode::UNPROCESSABLE_ENTITY, message).into_response();
    }
    answer(&service.models.choose, question, service.limits).await
}

async fn fill_mask(State(service): State<Service>, Body(text): Body<Text>) -> Response {
    answer(&service.models.fill_mask, text, service.limits).await
}

async fn embed(State(service): State<Service>, Body(text): Body<Text>) -> Response {
    answer(&service.models.embed, text, service.limits).await
}

/// Says that the process is there, whether its model threads are, and how much waits for them. Answered without asking a model, and so at once.
async fn healthz(State(service): State<Service>) -> Response {
    let Models { choose, fill_mask, embed } = &service.models;
    let running = choose.is_running() && fill_mask.is_running() && embed.is_running();
    let waiting = json!({
        "choose": choose.waiting(),
        "fill-mask": fill_mask.waiting(),
        "embed": embed.waiting(),
    });
    let (status, word) = match running {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::INTERNAL_SERVER_ERROR, "a model thread has ended"),
    };
    (status, Json(json!({ "status": word, "waiting": waiting }))).into_response()
}

/// Puts an input into a model's queue and waits for its answer, up to a timeout.
async fn answer<I, O>(model: &Batcher<I, O>, input: I, limits: Limits) -> Response
where
    I: Send + 'static,
    O: Serialize + Send + 'static,
{
    let answer = match model.submit(input) {
        Ok(answer) => answer,
        Err(refused) => return Failure::from(refused).into_response(),
    };
    match timeout(limits.answer, answer).await {
        Ok(Ok(Ok(output))) => Json(output).into_response(),
        Ok(Ok(Err(error))) => Failure::from(error).into_response(),
        // The model thread dropped it.
        Ok(Err(_)) => Failure::internal().into_response(),
        Err(_) => Failure::busy().into_response(),
    }
}
