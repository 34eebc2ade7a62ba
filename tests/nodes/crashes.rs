//! P7 on PostgreSQL: servers that are killed under the writes of two nodes, failed over, and replaced by
//! an older copy.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::key::KeyId;
use mcp_api_keys::testing::records::Dice;
use mcp_api_keys::{ApiKeys, ErrorKind, IssuedKey};

use crate::acts::{Act, Figures, Held, Model, Said, carry_out, deal, next_act};
use crate::revocation::{node, status};
use crate::server::{Server, url};
use crate::wire::Wire;
use crate::world::{ALONE, Guarded, issue, size};

const TASKS: u64 = 4;

fn dice() -> Dice {
    let seed = match std::env::var("MCP_KEYS_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(std::process::id()),
    };
    println!("P7: seed {seed} (MCP_KEYS_SEED)");
    Dice::new(seed)
}

/// Changes keys until the server is gone.
async fn change(
    keys: ApiKeys,
    task: u64,
    round: u64,
    mut held: Held,
    mut dice: Dice,
    said: Arc<Mutex<Vec<Said>>>,
) {
    for number in 0.. {
        let act = next_act(task, round * 1_000_000 + number, &held, &mut dice);
        let begins = act.clone();
        said.lock()
            .unwrap()
            .push(Said::Begins { task, act: begins });
        match carry_out(&keys, &act, &mut held).await {
            Ok(key) => said.lock().unwrap().push(Said::Done { task, key }),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{act:?}: {error:?}");
                return;
            }
        }
    }
}

/// Lets two nodes write, two tasks each, ends the server after a while, and tells what was said. One key
/// is spared.
async fn disturb(
    nodes: &[ApiKeys; 2],
    round: u64,
    spared: Option<KeyId>,
    dice: &mut Dice,
    end: impl FnOnce(),
) -> Vec<Said> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (task, mut held) in (0..TASKS).zip(deal(&nodes[0], TASKS).await) {
        held.retain(|(id, _)| Some(*id) != spared);
        let keys = nodes[task as usize % 2].clone();
        let own = Dice::new(dice.roll(u64::MAX));
        let said = Arc::clone(&said);
        tasks.push(tokio::spawn(change(keys, task, round, held, own, said)));
    }
    tokio::time::sleep(Duration::from_millis(150 + dice.roll(200))).await;
    end();
    for task in tasks {
        task.await.unwrap();
    }
    std::mem::take(&mut *said.lock().unwrap())
}

/// Carries an act out and says so.
async fn acknowledged(keys: &ApiKeys, act: Act, said: &mut Vec<Said>) -> Option<(KeyId, String)> {
    let task = TASKS;
    let begins = act.clone();
    said.push(Said::Begins { task, act: begins });
    let key = carry_out(keys, &act, &mut Held::new()).await.unwrap();
    let done = key.clone();
    said.push(Said::Done { task, key: done });
    key
}

/// How long it takes until the node can read the store again.
async fn well_after(keys: &ApiKeys) -> Duration {
    let start = Instant::now();
    while keys.catch_up().await.is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "never well again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

fn summary(figures: &Figures) -> String {
    let acts: usize = figures.acknowledged.values().sum();
    format!(
        "{acts} acknowledged acts {:?}, 0 lost; {} under way were written whole, {} not at all",
        figures.acknowledged, figures.written, figures.unwritten
    )
}

/// What was said is held against the store as a new node finds it, and as those find it that have been
/// there all the time.
async fn hold_against(
    said: Vec<Said>,
    fresh: &ApiKeys,
    nodes: &[ApiKeys; 2],
    model: &mut Model,
    figures: &mut Figures,
) {
    let trail = model.trail(fresh).await;
    model.settle(said, &trail, figures);
    model.check(fresh).await;
    for node in nodes {
        node.catch_up().await.unwrap();
        model.check(node).await;
    }
    model.keys.retain(|_, known| !known.deleted);
}

/// `kill -9` of the server, and its start, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_killed_server() {
    let _alone = ALONE.lock().await;
    let Some(server) = Server::start() else {
        return;
    };
    let kills = size(3, 30);
    let mut dice = dice();
    let nodes = [node(&server.url()).await, node(&server.url()).await];
    let (mut model, mut figures) = (Model::default(), Figures::default());
    let mut well = Duration::ZERO;
    for kill in 0..kills {
        let said = disturb(&nodes, kill as u64, None, &mut dice, || server.kill()).await;
        server.start_again();
        for node in &nodes {
            well = well.max(well_after(node).await);
        }
        let fresh = node(&server.url()).await;
        hold_against(said, &fresh, &nodes, &mut model, &mut figures).await;
    }
    println!(
        "P7: {kills} kills of PostgreSQL, {}; nodes read again within {well:?} of its start",
        summary(&figures)
    );
    assert!(figures.acknowledged.values().sum::<usize>() > kills * 5);
}

/// The primary is killed; the server that follows takes over, and the nodes are led there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_synchronous_standby_loses_nothing() {
    let _alone = ALONE.lock().await;
    let Some(primary) = Server::start() else {
        return;
    };
    let standby = primary.copy(true);
    primary.wait_for_follower().await;
    let wire = Wire::to(primary.port).await;
    let nodes = [node(&url(wire.port())).await, node(&url(wire.port())).await];
    let guarded = nodes.each_ref().map(|node| Guarded::new(node.layer()));
    let mut said = Vec::new();
    let kept = acknowledged(&nodes[0], Act::Issue("kept".to_owned()), &mut said).await;
    let (kept, text) = kept.unwrap();
    for node in &guarded {
        assert_eq!(node.send(&text).await.status(), StatusCode::OK);
    }
    let mut dice = dice();
    said.extend(disturb(&nodes, 0, Some(kept), &mut dice, || primary.kill()).await);
    for node in &guarded {
        let answer = node.send(&text).await;
        assert_eq!(answer.status(), StatusCode::OK, "cached keys go on");
    }
    let start = Instant::now();
    standby.promote();
    wire.lead_to(standby.port);
    let promoted = start.elapsed();
    for node in &nodes {
        well_after(node).await;
    }
    let well = start.elapsed() - promoted;
    let fresh = node(&standby.url()).await;
    let (mut model, mut figures) = (Model::default(), Figures::default());
    hold_against(said, &fresh, &nodes, &mut model, &mut figures).await;
    println!(
        "failover: {}; promoted in {promoted:?}, nodes read again within {well:?} of that",
        summary(&figures)
    );
    // They go on writing, and hear of each other.
    drop(nodes[0].manager().revoke(kept, None).await.unwrap());
    let start = Instant::now();
    while guarded[1].send(&text).await.status() == StatusCode::OK {
        assert!(
            start.elapsed() < Duration::from_millis(2_500),
            "not refused"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The server is replaced by a copy of before: its log has gone back. What the store no longer knows is
/// admitted nowhere, however well it was cached; what it knows is as the store has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_believe_a_copy_that_is_older_than_what_they_knew() {
    let _alone = ALONE.lock().await;
    let Some(server) = Server::start() else {
        return;
    };
    let wire = Wire::to(server.port).await;
    let nodes = [node(&url(wire.port())).await, node(&url(wire.port())).await];
    let guarded = nodes.each_ref().map(|node| Guarded::new(node.layer()));
    let (kept, revoked_before, revoked_after) = (
        issue(&nodes[0]).await,
        issue(&nodes[0]).await,
        issue(&nodes[0]).await,
    );
    let revoke = async |key: &IssuedKey| {
        drop(
            nodes[1]
                .manager()
                .revoke(key.info().id, None)
                .await
                .unwrap(),
        );
    };
    revoke(&revoked_before).await;
    let copy = server.copy(false);
    let unknown = issue(&nodes[0]).await;
    let mut rotated = Vec::new();
    for node in &nodes {
        rotated.push(node.manager().rotate(kept.info().id).await.unwrap());
        node.catch_up().await.unwrap();
    }
    for node in &guarded {
        assert_eq!(status(node, &unknown).await, StatusCode::OK);
        assert_eq!(status(node, &revoked_after).await, StatusCode::OK);
    }
    revoke(&revoked_after).await;
    for node in &nodes {
        node.catch_up().await.unwrap();
    }
    for node in &guarded {
        assert_eq!(status(node, &rotated[1]).await, StatusCode::OK);
        assert_ne!(status(node, &revoked_after).await, StatusCode::OK);
    }

    wire.lead_to(copy.port);
    let start = Instant::now();
    let mut noticed = Vec::new();
    for node in &guarded {
        // Nobody tells them: the next poll finds it.
        while status(node, &unknown).await == StatusCode::OK {
            assert!(start.elapsed() < Duration::from_secs(20), "not noticed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        noticed.push(start.elapsed());
    }
    for node in &nodes {
        well_after(node).await;
    }
    for node in &guarded {
        assert_eq!(status(node, &unknown).await, StatusCode::UNAUTHORIZED);
        for key in &rotated {
            assert_eq!(status(node, key).await, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(
            status(node, &revoked_before).await,
            StatusCode::UNAUTHORIZED
        );
        // As the store says: whoever restores a backup undoes what came after it.
        assert_eq!(status(node, &kept).await, StatusCode::OK);
        assert_eq!(status(node, &revoked_after).await, StatusCode::OK);
    }
    println!("an older copy in the server's place is noticed after {noticed:?}");
    let worst = noticed.iter().max().unwrap();
    assert!(*worst <= Duration::from_millis(3_000), "{worst:?}");
}
