//! Requests, and in which order keys send them.

use std::net::SocketAddr;

use axum::body::Body;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Uri};
use mcp_api_keys::client_ip::PeerAddr;

/// How many requests are built at a time: together they fit the second-level cache.
pub const BATCH: usize = 256;

/// The address of the other end, within [`PEER_NETWORK`].
pub const PEER: ([u8; 4], u16) = ([203, 0, 113, 7], 50_000);

/// The network that keys are allowed from.
pub const PEER_NETWORK: &str = "203.0.113.0/24";

/// Equal seeds give equal numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(0x9E37_79B9_7F4A_7C15))
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in 0..1.
    pub fn fraction(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: usize) -> usize {
        (self.fraction() * sides as f64) as usize
    }
}

/// Which key sends the next request.
#[derive(Clone, Debug)]
pub enum Popularity {
    /// Each of so many keys as often as any other.
    Uniform(usize),
    /// The nth key with weight 1/n; holds the weights, summed up.
    Zipf(Vec<f64>),
}

impl Popularity {
    /// Zipf's law with exponent one over `keys` keys.
    pub fn zipf(keys: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self::Zipf(sums.collect())
    }

    /// The number of the next key.
    pub fn next(&self, dice: &mut Dice) -> usize {
        match self {
            Self::Uniform(keys) => dice.below(*keys),
            Self::Zipf(sums) => {
                let at = dice.fraction() * sums.last().copied().unwrap_or(0.0);
                sums.partition_point(|sum| *sum <= at)
                    .min(sums.len().saturating_sub(1))
            }
        }
    }
}

/// What requests look like: one for each key.
#[derive(Clone, Debug)]
pub struct Shape {
    /// One for all, or one for each key.
    uris: Vec<Uri>,
    credentials: Option<(HeaderName, Vec<HeaderValue>)>,
    peer: bool,
}

impl Shape {
    /// Requests with `Authorization: Bearer`.
    pub fn bearer<T: AsRef<str>>(texts: &[T]) -> Self {
        let bearer = |text: &T| format!("Bearer {}", text.as_ref());
        Self::header(http::header::AUTHORIZATION, texts.iter().map(bearer))
    }

    /// Requests with a header of their own.
    pub fn header(name: HeaderName, values: impl Iterator<Item = String>) -> Self {
        let values = values.map(|value| value.try_into().expect("a header's value"));
        Self {
            uris: vec![Uri::from_static("/mcp")],
            credentials: Some((name, values.collect())),
            peer: true,
        }
    }

    /// Requests with the key in the path.
    pub fn path<T: AsRef<str>>(texts: &[T]) -> Self {
        let uri = |text: &T| {
            let path = format!("/mcp/{}", text.as_ref());
            path.try_into().expect("a URI")
        };
        Self {
            uris: texts.iter().map(uri).collect(),
            credentials: None,
            peer: true,
        }
    }

    /// The same without the peer's address, that is with an empty extensions map.
    pub fn without_peer(mut self) -> Self {
        self.peer = false;
        self
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        match &self.credentials {
            Some((_, values)) => values.len(),
            None => self.uris.len(),
        }
    }

    /// A request of this key.
    pub fn request(&self, key: usize) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        let uri = self.uris.get(key).or(self.uris.first());
        *request.uri_mut() = uri.expect("there is one").clone();
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("mcp.example"));
        headers.insert(USER_AGENT, HeaderValue::from_static("agent/1.0"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some((name, values)) = &self.credentials {
            let value = values.get(key).expect("there is one for each key");
            headers.insert(name, value.clone());
        }
        if self.peer {
            let peer = PeerAddr(SocketAddr::from(PEER));
            request.extensions_mut().insert(peer);
        }
        request
    }

    /// Fills `batch` with `count` requests.
    pub fn fill(
        &self,
        batch: &mut Vec<Request<Body>>,
        count: usize,
        keys: &Popularity,
        dice: &mut Dice,
    ) {
        batch.extend((0..count).map(|_| self.request(keys.next(dice))));
    }
}
