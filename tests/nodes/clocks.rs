//! Nodes whose clocks disagree: expiry follows the wall clock of the node that judges; limits and
//! freshness follow its monotonic time, which no step of the wall clock touches.

use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::{Fault, FaultyStore, ManualClock};
use mcp_api_keys::{NewKey, RateLimit, Timestamp};

use crate::world::{Guarded, builder};

const DAY: Duration = Duration::from_secs(86_400);
const MAX_STALE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_moves_expiry_and_nothing_else() {
    let noon = Timestamp::from_millis(1_790_000_000_000);
    for forwards in [true, false] {
        let store = MemoryStore::new();
        let faulty = FaultyStore::new(store.clone());
        let faults = faulty.faults();
        let (steady, jumping) = (ManualClock::at(noon), ManualClock::at(noon));
        let here = builder(store).clock(steady.clone()).build().await.unwrap();
        let there = builder(faulty)
            .clock(jumping.clone())
            .max_stale(MAX_STALE)
            .poll_interval(Duration::from_secs(3_600))
            .build()
            .await
            .unwrap();
        let (at_home, away) = (Guarded::new(here.layer()), Guarded::new(there.layer()));
        let new = |name: &str| NewKey::named(name).all_servers();
        let issue = async |new| {
            let issued = here.manager().issue(new).await.unwrap();
            issued.key().expose_secret().to_owned()
        };
        let hour = Duration::from_secs(3_600);
        let short = issue(new("short").expires_in(hour)).await;
        let lasting = issue(new("lasting")).await;
        let limited = issue(new("limited").rate(RateLimit::per_hour(3))).await;
        for key in [&short, &lasting] {
            assert_eq!(at_home.send(key).await.status(), StatusCode::OK);
            assert_eq!(away.send(key).await.status(), StatusCode::OK);
        }
        for _ in 0..3 {
            assert_eq!(away.send(&limited).await.status(), StatusCode::OK);
        }
        let over = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(away.send(&limited).await.status(), over);

        // A day, within one moment of monotonic time.
        jumping.set_wall(match forwards {
            true => noon.saturating_add(DAY),
            false => noon.saturating_sub(DAY),
        });
        let expired = match forwards {
            true => StatusCode::UNAUTHORIZED,
            false => StatusCode::OK,
        };
        assert_eq!(away.send(&short).await.status(), expired, "{forwards}");
        assert_eq!(at_home.send(&short).await.status(), StatusCode::OK);
        assert_eq!(away.send(&lasting).await.status(), StatusCode::OK);
        // A day has not refilled the limit, nor does its loss hold it up.
        assert_eq!(away.send(&limited).await.status(), over, "{forwards}");
        jumping.advance(Duration::from_secs(1_200));
        there.catch_up().await.unwrap();
        assert_eq!(away.send(&limited).await.status(), StatusCode::OK);
        assert_eq!(away.send(&limited).await.status(), over);

        // Freshness: an outage is survived for as long as without the jump.
        faults.every(Fault::Fail);
        jumping.set_wall(match forwards {
            true => noon.saturating_add(DAY),
            false => noon.saturating_sub(DAY),
        });
        // Two intervals of polling and their time-outs are the longer bound here.
        let good_for = (hour + Duration::from_secs(1)) * 2;
        assert!(good_for > MAX_STALE);
        jumping.advance(good_for - Duration::from_millis(1));
        assert_eq!(away.send(&lasting).await.status(), StatusCode::OK);
        jumping.advance(Duration::from_millis(2));
        let stale = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(away.send(&lasting).await.status(), stale, "{forwards}");
        faults.clear();
        there.catch_up().await.unwrap();
        assert_eq!(away.send(&lasting).await.status(), StatusCode::OK);

        // Set right again, the short one is as good as at home.
        jumping.set_wall(noon);
        assert_eq!(away.send(&short).await.status(), StatusCode::OK);
        steady.advance(hour);
        jumping.advance(hour);
        here.catch_up().await.unwrap();
        there.catch_up().await.unwrap();
        assert_eq!(
            at_home.send(&short).await.status(),
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(away.send(&short).await.status(), StatusCode::UNAUTHORIZED);
    }
}
