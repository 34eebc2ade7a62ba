//! Keeping a line to a server open on which a bell is rung.
//!
//! 1. A line that was lost is opened again, after a pause that grows to five seconds.
//! 2. One on which nothing comes through is named in the log, once, and tried again once a minute.
//! 3. It ends with the bell.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::sleep;

use super::ChangeBell;

/// How long a line may be silent before it is asked for a sign of life.
pub(crate) const QUIET: Duration = Duration::from_secs(5);

/// How long an answer may take, or a word that a line sends to itself.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// The shortest and the longest pause before a line is opened again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The pause after nothing came through.
const DEAF_PAUSE: Duration = Duration::from_secs(60);

/// How a time of listening ended.
pub(crate) enum End {
    /// Nobody waits for the bell any more, or the server is not to be asked any more.
    Done,
    /// The line was lost, or could not be opened.
    Lost,
    /// It is open, but nothing comes through.
    Deaf,
}

/// A way to hear of others' writes.
#[async_trait]
pub(crate) trait Line: Send + 'static {
    /// What the log says when nothing comes through, and when it does again.
    const REMARKS: (&'static str, &'static str);

    /// Opens the line and listens until it is lost.
    async fn hear(&mut self, ringer: &mut Ringer) -> End;
}

/// What a line rings with.
pub(crate) struct Ringer {
    bell: watch::Sender<()>,
    pause: Duration,
    named: bool,
    heard_again: &'static str,
}

impl Ringer {
    pub(crate) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// Whether nobody waits for the bell any more.
    pub(crate) fn is_alone(&self) -> bool {
        self.bell.is_closed()
    }

    /// The line is open: the next pause is a short one.
    pub(crate) fn is_open(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// Something has come through.
    pub(crate) fn is_heard(&mut self) {
        if std::mem::take(&mut self.named) {
            tracing::info!("{}", self.heard_again);
        }
    }
}

/// A bell that is rung over a line, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct LineBell(watch::Receiver<()>);

impl LineBell {
    pub(crate) fn over(line: impl Line) -> Self {
        let (bell, rings) = watch::channel(());
        tokio::spawn(keep_open(line, bell));
        Self(rings)
    }
}

#[async_trait]
impl ChangeBell for LineBell {
    async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn keep_open<L: Line>(mut line: L, bell: watch::Sender<()>) {
    let (unheard, heard_again) = L::REMARKS;
    let mut ringer = Ringer {
        bell,
        pause: Duration::ZERO,
        named: false,
        heard_again,
    };
    loop {
        let ended = line.hear(&mut ringer).await;
        ringer.pause = match ended {
            End::Done => return,
            End::Lost => (ringer.pause * 2).clamp(PAUSES.0, PAUSES.1),
            End::Deaf => DEAF_PAUSE,
        };
        if matches!(ended, End::Deaf) && !std::mem::replace(&mut ringer.named, true) {
            tracing::warn!("{unheard}");
        }
        // Not all nodes at once, when the server is back.
        let tenths = RandomState::new().build_hasher().finish() % 6 + 5;
        sleep(ringer.pause.mul_f64(tenths as f64 / 10.0)).await;
        if ringer.is_alone() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::timeout;

    use super::*;

    /// Ends each time as it is told, and counts how often it was opened.
    struct Broken {
        ends: fn() -> End,
        opened: Arc<AtomicU32>,
    }

    #[async_trait]
    impl Line for Broken {
        const REMARKS: (&'static str, &'static str) = ("nothing arrives", "words arrive again");

        async fn hear(&mut self, ringer: &mut Ringer) -> End {
            ringer.ring();
            self.opened.fetch_add(1, Ordering::SeqCst);
            (self.ends)()
        }
    }

    /// How often a line is opened in a minute that ends so each time.
    async fn opened_in_a_minute(ends: fn() -> End) -> u32 {
        let opened = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&opened);
        let mut bell = LineBell::over(Broken { ends, opened });
        let minute = async {
            loop {
                bell.rung().await
            }
        };
        // And a moment: a pause of a minute may end just then.
        drop(timeout(Duration::from_secs(61), minute).await);
        counted.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_line_is_opened_again_and_a_deaf_one_once_a_minute() {
        let lost = opened_in_a_minute(|| End::Lost).await;
        assert!((14..=40).contains(&lost), "{lost}");
        let deaf = opened_in_a_minute(|| End::Deaf).await;
        assert!((2..=3).contains(&deaf), "{deaf}");
        assert_eq!(opened_in_a_minute(|| End::Done).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_ends_with_its_bell() {
        let opened = Arc::new(AtomicU32::new(0));
        let line = Broken {
            ends: || End::Lost,
            opened: Arc::clone(&opened),
        };
        drop(LineBell::over(line));
        sleep(Duration::from_secs(60)).await;
        assert!(opened.load(Ordering::SeqCst) <= 1);
        assert_eq!(Arc::strong_count(&opened), 1);
    }
}
