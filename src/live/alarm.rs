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
            // What rang meanwhile is read together with what rang first.
            drop(timeout(Duration::ZERO, self.rung.notified()).await);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::mpsc;

    use super::*;

    /// Rings when it is told to, and panics when nobody can tell it any more.
    #[derive(Debug)]
    struct Bell(mpsc::UnboundedReceiver<()>);

    #[async_trait]
    impl ChangeBell for Bell {
        async fn rung(&mut self) {
            self.0.recv().await.unwrap();
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn a_ring_ends_the_wait_and_rings_before_it_count_as_one() {
        let (one, bell) = mpsc::unbounded_channel();
        let (_other, silent) = mpsc::unbounded_channel();
        let alarm = Alarm::of(vec![Box::new(Bell(bell)), Box::new(Bell(silent))]);
        for _ in 0..3 {
            one.send(()).unwrap();
        }
        let start = tokio::time::Instant::now();
        alarm.wait(HOUR).await;
        assert!(start.elapsed() <= GATHER, "{:?}", start.elapsed());
        alarm.wait(HOUR).await;
        assert!(start.elapsed() >= HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bell_that_breaks_leaves_the_polls() {
        let (teller, bell) = mpsc::unbounded_channel();
        let alarm = Alarm::of(vec![Box::new(Bell(bell))]);
        drop(teller);
        let start = tokio::time::Instant::now();
        alarm.wait(HOUR).await;
        assert_eq!(start.elapsed(), HOUR);
        alarm.wait(Duration::from_millis(1)).await;
    }

    #[tokio::test]
    async fn bells_are_let_go_with_the_alarm() {
        let (teller, bell) = mpsc::unbounded_channel();
        drop(Alarm::of(vec![Box::new(Bell(bell))]));
        teller.closed().await;
    }
}
