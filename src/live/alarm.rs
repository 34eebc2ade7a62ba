//! What the follower waits for: the next poll, or a bell.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::store::ChangeBell;

/// How long to wait after a ring: what is written in quick succession is then read at once.
const GATHER: Duration = Duration::from_millis(5);

/// Any number of bells, heard until it is dropped.
#[derive(Debug)]
pub(super) struct Alarm {
    rung: Arc<Notify>,
    /// A task for each bell: one that panics must not end the following.
    listeners: Vec<JoinHandle<()>>,
}

impl Alarm {
    pub(super) fn of(bells: Vec<Box<dyn ChangeBell>>) -> Self {
        let rung = Arc::new(Notify::new());
        let listen = |mut bell: Box<dyn ChangeBell>| {
            let rung = Arc::clone(&rung);
            tokio::spawn(async move {
                loop {
                    bell.rung().await;
                    rung.notify_one();
                }
            })
        };
        let listeners = bells.into_iter().map(listen).collect();
        Self { rung, listeners }
    }

    /// Waits for a ring, but no longer than `pause`.
    pub(super) async fn wait(&self, pause: Duration) {
        if timeout(pause, self.rung.notified()).await.is_ok() {
            sleep(GATHER.min(pause)).await;
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}
