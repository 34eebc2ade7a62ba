//! One piece of work per fingerprint, however many ask for it at once.
//!
//! The work runs in a task of its own. A caller that goes away takes nothing with it, and a panic
//! in the work is seen by every caller as "no answer" rather than as a hang.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

type Landing<T> = watch::Receiver<Option<T>>;

/// The work under way.
#[derive(Debug)]
pub(super) struct Flights<S, T>(Arc<Mutex<HashMap<S, Landing<T>>>>);

impl<S, T> Default for Flights<S, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S, T> Flights<S, T>
where
    S: Copy + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the work on `subject`, or starts it. Answers nothing if the work panicked.
    pub(super) async fn join<F>(&self, subject: S, work: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut landing = self.landing(subject, work);
        let outcome = landing.wait_for(Option::is_some).await;
        outcome.ok().and_then(|outcome| outcome.clone())
    }

    fn landing<F>(&self, subject: S, work: impl FnOnce() -> F) -> Landing<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flights = lock(&self.0);
        if let Some(landing) = flights.get(&subject) {
            return landing.clone();
        }
        let (take_off, landing) = watch::channel(None);
        flights.insert(subject, landing.clone());
        let entry = Entry {
            flights: Arc::clone(&self.0),
            subject,
        };
        let work = work();
        tokio::spawn(async move {
            // Dropped on every way out, a panic included: nobody joins work that has ended.
            let _entry = entry;
            let outcome = work.await;
            take_off.send_replace(Some(outcome));
        });
        landing
    }
}

struct Entry<S: Eq + Hash, T> {
    flights: Arc<Mutex<HashMap<S, Landing<T>>>>,
    subject: S,
}

impl<S: Eq + Hash, T> Drop for Entry<S, T> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.subject);
    }
}

fn lock<S, T>(flights: &Mutex<HashMap<S, Landing<T>>>) -> MutexGuard<'_, HashMap<S, Landing<T>>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::super::{Fingerprint, Fingerprinter};
    use super::*;

    #[tokio::test]
    async fn many_callers_share_one_piece_of_work_and_half_may_leave() {
        let flights = Arc::new(Flights::<Fingerprint, u32>::default());
        let fingerprint = Fingerprinter::random().of(b"text");
        let runs = Arc::new(AtomicU32::new(0));
        let mut callers = Vec::new();
        for _ in 0..100 {
            let (flights, runs) = (Arc::clone(&flights), Arc::clone(&runs));
            callers.push(tokio::spawn(async move {
                let work = || async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    runs.fetch_add(1, Ordering::SeqCst) + 7
                };
                flights.join(fingerprint, work).await
            }));
        }
        tokio::task::yield_now().await;
        // Every other caller leaves, among them the first, who started the work.
        callers
            .iter()
            .step_by(2)
            .for_each(tokio::task::JoinHandle::abort);
        for caller in callers.into_iter().skip(1).step_by(2) {
            assert_eq!(caller.await.unwrap(), Some(7));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        tokio::task::yield_now().await;
        assert!(lock(&flights.0).is_empty());
    }

    #[tokio::test]
    async fn a_panic_answers_everybody_and_the_next_caller_starts_afresh() {
        let flights = Flights::<Fingerprint, u32>::default();
        let fingerprint = Fingerprinter::random().of(b"text");
        let (first, second) = tokio::join!(
            flights.join(fingerprint, || async { panic!("planned") }),
            flights.join(fingerprint, || async { 1 }),
        );
        assert_eq!((first, second), (None, None));
        tokio::task::yield_now().await;
        assert_eq!(flights.join(fingerprint, || async { 2 }).await, Some(2));
    }
}
