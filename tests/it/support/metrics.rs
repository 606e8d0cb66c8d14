//! zoogate's admin port, read as an operator would.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{eventually, soon};

/// The admin port of a running zoogate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admin(pub(crate) SocketAddr);

impl Admin {
    /// A page: its status and its body.
    pub(crate) async fn get(self, path: &str) -> (u16, String) {
        soon("an answer of the admin port", self.try_get(path)).await.expect("an admin port that answers")
    }

    async fn try_get(self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.0).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
    }

    /// What `/status` says.
    pub(crate) async fn status(self, query: &str) -> serde_json::Value {
        let (status, body) = self.get(&format!("/status{query}")).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// All samples.
    pub(crate) async fn metrics(self) -> Metrics {
        // Busy with another scrape, it answers 503.
        loop {
            let (status, body) = self.get("/metrics").await;
            if status == 200 {
                return Metrics::parse(&body);
            }
        }
    }

    /// Waits until a sample has a value.
    pub(crate) async fn becomes(self, sample: &str, value: f64) {
        eventually(&format!("{sample} {value}"), async || self.metrics().await.of(sample) == value).await;
    }

    /// Waits until no connection is left; why they ended, sorted, one word for each. Every connection that was
    /// accepted must have ended for a reason, and none by a task that died.
    pub(crate) async fn reasons(self) -> Vec<String> {
        eventually("the end of all connections", async || self.metrics().await.live() == 0.0).await;
        let metrics = self.metrics().await;
        let reasons = metrics.reasons();
        assert_eq!(metrics.of("zoogate_connections_accepted_total"), reasons.len() as f64, "{reasons:?}");
        assert!(!reasons.iter().any(|reason| reason == "aborted"), "{reasons:?}");
        reasons
    }
}

/// The samples of one scrape, by name and labels as they are written.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        Self(samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    }

    /// A sample, such as `zoogate_connections{state="opening"}`.
    pub(crate) fn of(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("no sample {sample}"))
    }

    /// Every sample's name with its labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Live connections in all states.
    pub(crate) fn live(&self) -> f64 {
        self.family("zoogate_connections").map(|(_, value)| value).sum()
    }

    fn reasons(&self) -> Vec<String> {
        let closed = self.family("zoogate_connections_closed_total");
        closed.flat_map(|(reason, count)| std::iter::repeat_n(reason.to_owned(), count as usize)).collect()
    }

    /// The values of a family with one label, by the label's value.
    fn family<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter_map(move |(sample, value)| {
            let label = sample.strip_prefix(name)?.strip_prefix('{')?.strip_suffix("\"}")?;
            Some((label.split_once('"')?.1, *value))
        })
    }
}
