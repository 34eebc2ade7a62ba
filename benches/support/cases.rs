//! Services under test, all behind one door.

use std::fmt::Debug;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::Service;

use super::load::{BATCH, Popularity, Shape};
use super::ours::Ours;
use super::peers::Peers;

/// A service that is being measured.
pub trait Case {
    /// Serves all of the batch, one after the other. Returns the sum of the status codes.
    fn serve(&mut self, batch: &mut Vec<Request<Body>>) -> u64;
}

/// A service and the runtime on which it is called.
struct Served<S> {
    service: S,
    runtime: Rc<Runtime>,
}

impl<S, B> Case for Served<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    fn serve(&mut self, batch: &mut Vec<Request<Body>>) -> u64 {
        let service = &mut self.service;
        self.runtime.block_on(async {
            let mut statuses = 0;
            for request in batch.drain(..) {
                poll_fn(|context| service.poll_ready(context))
                    .await
                    .expect("the service is ready");
                let response = service.call(request).await.expect("there is an answer");
                statuses += u64::from(response.status().as_u16());
            }
            statuses
        })
    }
}

/// A service with the requests it gets.
pub struct Entrant {
    /// Its name in all reports.
    pub name: &'static str,
    /// The bare service that gets the same kind of requests.
    pub base: &'static str,
    /// What requests look like.
    pub shape: Shape,
    /// Which key sends how many.
    pub popularity: Popularity,
    /// What the answer must be.
    pub status: StatusCode,
    /// Whether every key has to be sent again before each round.
    pub forgets: bool,
    case: Box<dyn Case>,
}

impl Entrant {
    /// An entrant that answers 200, for keys of Zipf's popularity.
    pub fn new<S, B>(name: &'static str, world: &World, shape: Shape, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Debug> + 'static,
        B: 'static,
    {
        Self {
            name,
            base: "bare",
            popularity: Popularity::zipf(shape.keys()),
            shape,
            status: StatusCode::OK,
            forgets: false,
            case: Box::new(Served {
                service,
                runtime: Rc::clone(&world.runtime),
            }),
        }
    }

    /// The same, compared with another bare service.
    pub fn over(mut self, base: &'static str) -> Self {
        self.base = base;
        self
    }

    /// The same with so many keys, all equally popular.
    pub fn hot(mut self, keys: usize) -> Self {
        self.popularity = Popularity::Uniform(keys);
        self
    }

    /// The same, for requests that are refused.
    pub fn refusing(mut self) -> Self {
        self.status = StatusCode::UNAUTHORIZED;
        self
    }

    /// The same, for what the service remembers for seconds only.
    pub fn forgetting(mut self) -> Self {
        self.forgets = true;
        self
    }

    /// Serves the batch, which is measured by the caller.
    pub fn serve(&mut self, batch: &mut Vec<Request<Body>>) -> u64 {
        self.case.serve(batch)
    }

    /// Sends one request of every key, so that all are remembered.
    ///
    /// # Panics
    ///
    /// If one of them is answered in another way than expected.
    pub fn warm_up(&mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        for key in 0..self.shape.keys() {
            batch.push(self.shape.request(key));
            if batch.len() == BATCH || key + 1 == self.shape.keys() {
                let count = batch.len();
                let statuses = self.serve(&mut batch);
                self.check(statuses, count);
            }
        }
    }

    /// # Panics
    ///
    /// If so many answers were not all as expected.
    pub fn check(&self, statuses: u64, count: usize) {
        let expected = u64::from(self.status.as_u16()) * count as u64;
        assert_eq!(statuses, expected, "{} answers otherwise", self.name);
    }
}

/// What the services under test have in common.
pub struct World {
    /// A runtime on one thread, on which everything runs.
    pub runtime: Rc<Runtime>,
    /// How many keys there are.
    pub keys: usize,
}

impl World {
    /// A world of so many keys.
    pub fn new(keys: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            runtime: Rc::new(runtime),
            keys,
        }
    }

    /// Lets tasks in the background run that are due.
    pub fn breathe(&self) {
        self.runtime
            .block_on(async { tokio::time::sleep(Duration::from_millis(2)).await });
    }
}

/// The services whose names begin with one of `wanted`, or all.
pub fn entrants(world: &World, wanted: &[String]) -> Vec<Entrant> {
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|want| want == name);
    let mut entrants = Vec::new();
    let ours = Ours::new(world);
    for (name, make) in Peers::CASES {
        if is_wanted(name) {
            entrants.push(make(world, name, &ours.full));
        }
    }
    for (name, make) in Ours::CASES {
        if is_wanted(name) {
            entrants.push(make(&ours, world, name));
        }
    }
    for entrant in &mut entrants {
        entrant.warm_up();
    }
    entrants
}
