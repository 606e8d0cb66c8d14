//! The pages: which path says what.

use std::sync::Arc;

use askama::Template as _;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use prometheus::{TEXT_FORMAT, TextEncoder};
use rustls_pki_types::UnixTime;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::AdminView;
use super::host::NotServed;
use super::overview::{Overview, OverviewQuery, POLICY};
use super::status::{NotReady, Status, StatusQuery};
use crate::rfc3339::unix;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

const NOT_FOUND: &str = "not found; there are / /metrics /livez /readyz /status\n";

/// How many of the costly pages are made at a time. A flood of requests must not take the CPU from clients.
const RENDERERS: usize = 1;

/// Answers requests from a view.
pub(super) struct Pages {
    view: Arc<AdminView>,
    renderers: Arc<Semaphore>,
}

impl Pages {
    pub(super) fn new(view: Arc<AdminView>) -> Self {
        Self { view, renderers: Arc::new(Semaphore::new(RENDERERS)) }
    }

    /// The answer to a request, whose body is not looked at. For HEAD, hyper leaves the body of the answer out.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/" | "/metrics" | "/livez" | "/readyz" | "/status") {
            return page(StatusCode::NOT_FOUND, TEXT, NOT_FOUND);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are answered\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        if let Err(not_served) = self.check_host(request) {
            let status = match not_served {
                NotServed::Malformed => StatusCode::BAD_REQUEST,
                NotServed::Other(_) => StatusCode::MISDIRECTED_REQUEST,
            };
            return page(status, TEXT, not_served.to_string());
        }
        match path {
            "/metrics" => self.render(TEXT_FORMAT, metrics).await,
            "/livez" => page(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => self.readiness(),
            "/" => match OverviewQuery::parse(request.uri().query()) {
                Ok(query) => self.overview(query).await,
                Err(error) => page(StatusCode::BAD_REQUEST, TEXT, format!("{error}\n")),
            },
            _ => match StatusQuery::parse(request.uri().query()) {
                Ok(query) => self.render(JSON, move |view| status(view, query)).await,
                Err(error) => page(StatusCode::BAD_REQUEST, TEXT, format!("{error}\n")),
            },
        }
    }

    /// Whether the page is served under the name that the request has. Probes are under any: load balancers send what
    /// they like, the answer is a word or two of no use to a stranger, and without it a server would be taken out.
    fn check_host<B>(&self, request: &Request<B>) -> Result<(), NotServed> {
        if matches!(request.uri().path(), "/livez" | "/readyz") { Ok(()) } else { self.view.hosts.check(request) }
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let reasons = (self.view.readiness)();
        if reasons.is_empty() {
            return page(StatusCode::OK, TEXT, "ready\n");
        }
        let words: String = reasons.iter().map(|reason| format!("{}\n", reason.as_str())).collect();
        page(StatusCode::SERVICE_UNAVAILABLE, TEXT, words)
    }

    async fn overview(&self, query: OverviewQuery) -> Response<Full<Bytes>> {
        let mut answer = self.render(HTML, move |view| overview(view, query)).await;
        let headers = answer.headers_mut();
        if let Ok(policy) = HeaderValue::from_str(&POLICY) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        answer
    }

    /// Makes a page away from the threads that move clients' bytes: with many connections it takes milliseconds.
    async fn render(
        &self,
        content_type: &'static str,
        make: impl FnOnce(&AdminView) -> Result<Vec<u8>, String> + Send + 'static,
    ) -> Response<Full<Bytes>> {
        let turn = self.renderers.clone().acquire_owned().await;
        let view = self.view.clone();
        let make = move || {
            // The turn ends with the work, which goes on when the connection that asked for it is cut.
            let _turn = turn;
            make(&view)
        };
        let made = tokio::task::spawn_blocking(make).await;
        match made.map_err(|error| error.to_string()).and_then(|made| made) {
            Ok(body) => page(StatusCode::OK, content_type, body),
            Err(error) => {
                tracing::error!(error, "an admin page could not be made");
                page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "this page could not be made; the log says why\n")
            }
        }
    }
}

fn metrics(view: &AdminView) -> Result<Vec<u8>, String> {
    let text = TextEncoder::new().encode_to_string(&view.registry.gather()).map_err(|error| error.to_string())?;
    Ok(text.into_bytes())
}

fn status(view: &AdminView, query: StatusQuery) -> Result<Vec<u8>, String> {
    #[derive(Serialize)]
    struct Answer {
        ready: bool,
        not_ready: Vec<&'static str>,
        #[serde(flatten)]
        status: Status,
    }
    let not_ready: Vec<_> = (view.readiness)().into_iter().map(NotReady::as_str).collect();
    let mut status = (view.status)(query);
    status.cut(query);
    let answer = Answer { ready: not_ready.is_empty(), not_ready, status };
    let mut body = serde_json::to_vec_pretty(&answer).map_err(|error| error.to_string())?;
    body.push(b'\n');
    Ok(body)
}

fn overview(view: &AdminView, query: OverviewQuery) -> Result<Vec<u8>, String> {
    let not_ready = (view.readiness)();
    let status = (view.status)(query.status());
    let overview = Overview::new(&not_ready, status, query, unix(UnixTime::now()));
    overview.render().map(String::into_bytes).map_err(|error| error.to_string())
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Identities are chosen by clients; no browser may take one of the other pages that show them for HTML.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
