//! Word of others' writes, by PUBLISH and SUBSCRIBE.
//!
//! 1. A word says nothing but that something has changed. Whoever hears it reads the change log of the
//!    store; so one that is lost, late, doubled or made up changes nothing but how soon that happens.
//! 2. When a connection was opened again the bell rings once: something may have been missed.
//! 3. Every five seconds without a word the connection is asked for a sign of life.
//! 4. At the beginning it sends itself a word. If that does not come back, or the server does not let it
//!    listen, that is logged once, and tried again once a minute.

use std::future::poll_fn;
use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream as _;
use redis::aio::PubSubStream;
use redis::{ErrorKind, RedisError};
use tokio::time::timeout;

use super::Redis;
use crate::error::Error;
use crate::store::ChangeBell;
use crate::store::line::{ANSWER, End, Line, LineBell, QUIET, Ringer};

/// What is sent.
const WORD: &str = "changed";

/// Rings when a node that [announces](Redis::announcing) its writes over the same Redis has written, for
/// [`ApiKeysBuilder::change_bell`](crate::keys::ApiKeysBuilder::change_bell).
///
/// It is for nodes that hear of others' writes and make none that others have to hear of; a store that
/// announces hears as well. It listens from the first time that it is waited for, over a connection of its
/// own, and opens that again when it is lost.
#[derive(Debug)]
pub struct ChangeChannel {
    redis: Redis,
    bell: Option<LineBell>,
}

impl ChangeChannel {
    pub(super) fn of(redis: Redis) -> Self {
        Self { redis, bell: None }
    }
}

#[async_trait]
impl ChangeBell for ChangeChannel {
    async fn rung(&mut self) {
        let redis = &self.redis;
        let bell = self
            .bell
            .get_or_insert_with(|| LineBell::over(Subscription(redis.clone())));
        bell.rung().await;
    }
}

impl Redis {
    /// Says that something has changed. Takes no longer than a call may.
    pub(super) async fn publish(&self) -> Result<(), Error> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.channel()).arg(WORD);
        let publish = &publish;
        self.link
            .call(&self.terms, true, move |mut connection| async move {
                publish.query_async::<()>(&mut connection).await
            })
            .await
    }

    fn channel(&self) -> String {
        format!("{}changes", self.prefix)
    }
}

struct Subscription(Redis);

#[async_trait]
impl Line for Subscription {
    const REMARKS: (&'static str, &'static str) = (
        "words of changes do not arrive over Redis; changes made elsewhere are found at the next poll",
        "words of changes arrive over Redis again",
    );

    async fn hear(&mut self, ringer: &mut Ringer) -> End {
        let Self(redis) = self;
        let opened = async {
            let (mut sink, stream) = redis.link.client().get_async_pubsub().await?.split();
            sink.subscribe(redis.channel()).await?;
            Ok::<_, RedisError>((sink, stream))
        };
        let (mut sink, mut stream) = match timeout(ANSWER, opened).await {
            Ok(Ok(opened)) => opened,
            // It is there, and does not let this user listen.
            Ok(Err(error)) if is_refusal(&error) => return End::Deaf,
            _ if ringer.is_alone() => return End::Done,
            _ => return End::Lost,
        };
        // Something may have been missed until now.
        ringer.ring();

        if redis.publish().await.is_ok() {
            match timeout(ANSWER, next(&mut stream)).await {
                Ok(Some(())) => ringer.ring(),
                Ok(None) => return End::Lost,
                Err(_) => return End::Deaf,
            }
            ringer.is_heard();
        }
        ringer.is_open();
        loop {
            match timeout(QUIET, next(&mut stream)).await {
                Ok(Some(())) => ringer.ring(),
                Ok(None) => return End::Lost,
                Err(_) => {
                    let sign = timeout(ANSWER, sink.ping::<redis::Value>()).await;
                    if !matches!(sign, Ok(Ok(_))) {
                        return End::Lost;
                    }
                }
            }
            if ringer.is_alone() {
                return End::Done;
            }
        }
    }
}

fn is_refusal(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(redis::ServerErrorKind::NoPerm)
    )
}

/// The next word; nothing when the connection has ended.
async fn next(stream: &mut PubSubStream) -> Option<()> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context))
        .await
        .map(drop)
}
