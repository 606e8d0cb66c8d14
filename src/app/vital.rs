//! The tasks without which the program is of no use: none may end unnoticed.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};
use tracing::error;

/// Tasks that run as long as the program serves. Dropping it aborts those that are left.
#[derive(Debug, Default)]
pub(super) struct Vital {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Vital {
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until a task ends, which none should; says in the log which one and how, and returns its name.
    pub(super) async fn death(&mut self) -> &'static str {
        let (name, result) = self.next().await;
        let how = result.map_or_else(|error| error.to_string(), |()| "it has returned".to_owned());
        error!(task = name, how, "a task without which zoogate is of no use has ended; restart it");
        name
    }

    /// Waits until this task has ended, however it does.
    pub(super) async fn end_of(&mut self, name: &'static str) {
        while self.names.values().any(|known| *known == name) {
            let (_name, _result) = self.next().await;
        }
    }

    /// Never comes if no task is left.
    async fn next(&mut self) -> (&'static str, Result<(), JoinError>) {
        let Some(ended) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
        let (id, result) = match ended {
            Ok((id, ())) => (id, Ok(())),
            Err(error) => (error.id(), Err(error)),
        };
        (self.names.remove(&id).unwrap_or("unknown"), result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn death_beside_a_healthy_task(task: impl Future<Output = ()> + Send + 'static) -> &'static str {
        let mut vital = Vital::default();
        vital.spawn("healthy", std::future::pending());
        vital.spawn("doomed", task);
        tokio::time::timeout(std::time::Duration::from_secs(20), vital.death()).await.expect("a death")
    }

    #[tokio::test]
    async fn a_task_that_panics_is_noticed_and_named() {
        assert_eq!(death_beside_a_healthy_task(async { panic!("on purpose") }).await, "doomed");
    }

    #[tokio::test]
    async fn a_task_that_returns_is_noticed_and_named() {
        assert_eq!(death_beside_a_healthy_task(async {}).await, "doomed");
    }

    #[tokio::test]
    async fn the_end_of_one_is_waited_for_past_the_ends_of_others() {
        let mut vital = Vital::default();
        vital.spawn("first", async {});
        vital.spawn("second", tokio::task::yield_now());
        vital.end_of("second").await;
        vital.end_of("second").await;
        assert!(!vital.names.values().any(|name| *name == "second"));
    }
}
