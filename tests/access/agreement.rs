//! Whatever happens to keys, owners and plans, in whatever order: a key stays within its record and
//! its owner, and two stores come to the same.

use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::{Access, KeyId, Owner, Plan, Quota, Role, ScopeSet, Servers};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{ApiKeys, ErrorKind, Gate, KeyContext, KeyUpdate, NewKey, RateLimit};
use proptest::prelude::*;

use crate::world::{DAY, NOW, SECOND, builder, pass, present};

const OWNERS: [&str; 3] = ["ada", "bob", "eve"];
const PLANS: [&str; 3] = ["free", "custom", "other"];
const SERVERS: [&str; 3] = ["files", "mail", "wiki"];
const SCOPES: [&str; 5] = ["*", "a:*", "a:read", "b:*", "b:write"];

/// What somebody may have, by the numbers of the lists above.
#[derive(Clone, Debug)]
struct Reach {
    servers: Option<Vec<usize>>,
    scopes: Vec<usize>,
    read_only: bool,
}

impl Reach {
    fn servers(&self) -> Servers {
        match &self.servers {
            None => Servers::All,
            Some(names) => Servers::only(names.iter().map(|name| SERVERS[*name])).unwrap(),
        }
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::parse(self.scopes.iter().map(|scope| SCOPES[*scope])).unwrap()
    }

    fn access(&self) -> Access {
        if self.read_only {
            Access::ReadOnly
        } else {
            Access::Full
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Issue {
        reach: Reach,
        owner: Option<usize>,
        plan: Option<usize>,
        connects: bool,
    },
    Change {
        key: usize,
        reach: Reach,
        owner: Option<usize>,
        plan: Option<usize>,
    },
    Limits {
        key: usize,
        rate: Option<u32>,
        quota: Option<u64>,
    },
    Withdraw {
        key: usize,
        way: usize,
    },
    PutOwner {
        owner: usize,
        reach: Reach,
        admin: bool,
    },
    Owner {
        owner: usize,
        way: usize,
    },
    PutPlan {
        plan: usize,
        rate: Option<u32>,
        quota: Option<u64>,
    },
    RemovePlan {
        plan: usize,
    },
    Use {
        key: usize,
        gate: usize,
        times: usize,
    },
    Pass {
        seconds: u32,
    },
    Flush,
}

fn reach() -> impl Strategy<Value = Reach> {
    let servers = proptest::option::of(proptest::collection::vec(0..SERVERS.len(), 0..3));
    let scopes = proptest::collection::vec(0..SCOPES.len(), 0..3);
    (servers, scopes, any::<bool>()).prop_map(|(servers, scopes, read_only)| Reach {
        servers,
        scopes,
        read_only,
    })
}

fn step() -> impl Strategy<Value = Step> {
    use proptest::option::of;
    let (owner, plan, key) = (0..OWNERS.len(), 0..PLANS.len(), 0..6_usize);
    let rate = of(1..6_u32);
    let quota = of(1..12_u64);
    prop_oneof![
        3 => (reach(), of(owner.clone()), of(plan.clone()), any::<bool>()).prop_map(
            |(reach, owner, plan, connects)| Step::Issue { reach, owner, plan, connects }),
        2 => (key.clone(), reach(), of(owner.clone()), of(plan.clone())).prop_map(
            |(key, reach, owner, plan)| Step::Change { key, reach, owner, plan }),
        1 => (key.clone(), rate.clone(), quota.clone()).prop_map(
            |(key, rate, quota)| Step::Limits { key, rate, quota }),
        2 => (key.clone(), 0..5_usize).prop_map(|(key, way)| Step::Withdraw { key, way }),
        4 => (owner.clone(), reach(), any::<bool>()).prop_map(
            |(owner, reach, admin)| Step::PutOwner { owner, reach, admin }),
        2 => (owner, 0..3_usize).prop_map(|(owner, way)| Step::Owner { owner, way }),
        3 => (plan.clone(), rate, quota).prop_map(
            |(plan, rate, quota)| Step::PutPlan { plan, rate, quota }),
        1 => plan.prop_map(|plan| Step::RemovePlan { plan }),
        8 => (key, 0..4_usize, 1..6_usize).prop_map(
            |(key, gate, times)| Step::Use { key, gate, times }),
        1 => (1..100_000_u32).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Flush),
    ]
}

/// A node and the keys that were issued on it.
struct Node {
    keys: ApiKeys,
    clock: ManualClock,
    gates: Vec<Gate>,
    issued: Vec<(String, KeyId)>,
}

/// What a step came to, as far as two stores must agree on it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Nothing,
    Done(Result<(), ErrorKind>),
    Presented(Vec<Result<Admitted, RejectionKind>>),
}

#[derive(Debug, PartialEq, Eq)]
struct Admitted {
    servers: Servers,
    scopes: ScopeSet,
    access: Access,
    limits: Vec<RateLimit>,
    quotas: Vec<Quota>,
}

impl From<KeyContext> for Admitted {
    fn from(context: KeyContext) -> Self {
        let info = context.key();
        Self {
            servers: info.servers.clone(),
            scopes: info.scopes.clone(),
            access: info.access,
            limits: info.limits.clone(),
            quotas: info.quotas.clone(),
        }
    }
}

fn done<T>(outcome: Result<T, mcp_api_keys::Error>) -> Outcome {
    Outcome::Done(outcome.map(drop).map_err(|error| error.kind()))
}

fn rates(rate: Option<u32>) -> Vec<RateLimit> {
    rate.map(RateLimit::per_minute).into_iter().collect()
}

fn quotas(quota: Option<u64>) -> Vec<Quota> {
    quota.map(Quota::per_day).into_iter().collect()
}

impl Node {
    async fn new(keys: mcp_api_keys::ApiKeysBuilder) -> Self {
        let clock = ManualClock::at(NOW);
        let keys = keys.clock(clock.clone()).build().await.unwrap();
        let layer = || keys.layer();
        let gates = [
            layer().any_server(),
            layer().server("files"),
            layer().server("mail").require_scope("a:read").unwrap(),
            layer().any_server().require_full_access().cost(3),
        ];
        let gates = gates.iter().map(|layer| layer.gate().clone()).collect();
        Self {
            keys,
            clock,
            gates,
            issued: Vec::new(),
        }
    }

    fn id(&self, key: usize) -> Option<KeyId> {
        self.issued.get(key).map(|(_, id)| *id)
    }

    async fn take(&mut self, step: &Step) -> Outcome {
        let manager = self.keys.manager().clone();
        match step {
            Step::Issue {
                reach,
                owner,
                plan,
                connects,
            } => {
                let mut new = NewKey::named("k").scopes(reach.scopes().iter().cloned());
                match &reach.servers {
                    None => new = new.all_servers(),
                    Some(names) => {
                        for name in names {
                            new = new.server(SERVERS[*name]);
                        }
                    }
                }
                if reach.read_only {
                    new = new.read_only();
                }
                if let Some(owner) = owner {
                    new = new.owner(OWNERS[*owner]);
                }
                if let Some(plan) = plan {
                    new = new.plan(PLANS[*plan]);
                }
                if *connects {
                    new = new.connection("claude");
                }
                let issued = manager.issue(new).await;
                if let Ok(issued) = &issued {
                    let key = issued.key().expose_secret().to_owned();
                    self.issued.push((key, issued.info().id));
                }
                done(issued)
            }
            Step::Change {
                key,
                reach,
                owner,
                plan,
            } => {
                let Some(id) = self.id(*key) else {
                    return Outcome::Nothing;
                };
                let update = KeyUpdate::new()
                    .servers(reach.servers())
                    .scopes(reach.scopes())
                    .access(reach.access())
                    .owner(owner.map(|owner| OWNERS[owner].parse().unwrap()))
                    .plan(plan.map(|plan| PLANS[plan].parse().unwrap()));
                done(manager.update(id, update).await)
            }
            Step::Limits { key, rate, quota } => {
                let Some(id) = self.id(*key) else {
                    return Outcome::Nothing;
                };
                let update = KeyUpdate::new().limits(rates(*rate)).quotas(quotas(*quota));
                done(manager.update(id, update).await)
            }
            Step::Withdraw { key, way } => {
                let Some(id) = self.id(*key) else {
                    return Outcome::Nothing;
                };
                match way {
                    0 => done(manager.revoke(id, None).await),
                    1 => done(manager.delete(id).await),
                    2 => done(manager.disable(id).await),
                    _ => done(manager.enable(id).await),
                }
            }
            Step::PutOwner {
                owner,
                reach,
                admin,
            } => {
                let id = OWNERS[*owner].parse().unwrap();
                let known = manager.owner(&id).await.unwrap();
                let mut owner = known.unwrap_or_else(|| Owner::member(id));
                owner.servers = reach.servers();
                owner.scopes = reach.scopes();
                owner.access = reach.access();
                owner.role = if *admin { Role::Admin } else { Role::Member };
                done(manager.put_owner(owner).await)
            }
            Step::Owner { owner, way } => {
                let id = OWNERS[*owner].parse().unwrap();
                match way {
                    0 => done(manager.suspend_owner(&id).await),
                    1 => done(manager.resume_owner(&id).await),
                    _ => done(manager.remove_owner(&id).await),
                }
            }
            Step::PutPlan { plan, rate, quota } => {
                let name = PLANS[*plan].parse().unwrap();
                let known = manager.plan(&name).await.unwrap();
                let mut plan = known.unwrap_or_else(|| Plan::new(name));
                plan.limits = rates(*rate);
                plan.quotas = quotas(*quota);
                done(manager.put_plan(plan).await)
            }
            Step::RemovePlan { plan } => {
                done(manager.remove_plan(&PLANS[*plan].parse().unwrap()).await)
            }
            Step::Use { key, gate, times } => {
                let Some((key, id)) = self.issued.get(*key) else {
                    return Outcome::Nothing;
                };
                let mut presented = Vec::new();
                for _ in 0..*times {
                    let outcome = present(&self.gates[*gate], key).await;
                    if let Ok(context) = &outcome {
                        self.check(context, *id).await;
                    }
                    presented.push(outcome.map(Admitted::from).map_err(|error| error.kind()));
                }
                Outcome::Presented(presented)
            }
            Step::Pass { seconds } => {
                pass(&self.keys, &self.clock, *seconds * SECOND).await;
                Outcome::Nothing
            }
            Step::Flush => done(self.keys.flush().await),
        }
    }

    /// What was admitted is within the key's record, within its owner, and under its limits and its
    /// plan's.
    async fn check(&self, context: &KeyContext, id: KeyId) {
        let manager = self.keys.manager();
        let record = manager.get(id).await.unwrap();
        let owner = match &record.owner {
            Some(id) => manager.owner(id).await.unwrap(),
            None => None,
        };
        let mut bounds = vec![(&record.servers, &record.scopes, record.access)];
        if let Some(owner) = &owner {
            assert!(owner.active);
            bounds.push((&owner.servers, &owner.scopes, owner.access));
        }
        for (servers, scopes, access) in bounds {
            assert_eq!(&context.servers().intersection(servers), context.servers());
            assert!(scopes.covers(context.scopes()));
            assert!(context.access() <= access);
        }
        if record.connection.is_some() {
            let cap = owner.map_or(Access::ReadOnly, |owner| owner.role.connection_cap());
            assert!(context.access() <= cap);
        }
        let plan = match &record.plan {
            Some(name) => manager.plan(name).await.unwrap().unwrap(),
            None => Plan::new("none".parse().unwrap()),
        };
        let info = context.key();
        for limit in record.limits.iter().chain(&plan.limits) {
            let own = record.limits.iter().find(|own| own.name() == limit.name());
            assert!(info.limits.contains(own.unwrap_or(limit)));
        }
        for quota in record.quotas.iter().chain(&plan.quotas) {
            let own = record.quotas.iter().find(|own| own.name() == quota.name());
            assert!(info.quotas.contains(own.unwrap_or(quota)));
        }
        let status = manager.quotas(id).await.unwrap();
        // An amount that was lowered may be below what is used already.
        assert_eq!(status.len(), info.quotas.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn two_stores_admit_the_same_and_nothing_beyond_key_and_owner(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = crate::backends::in_emptied_database().await;
            let mut nodes = [
                Node::new(builder(MemoryStore::new())).await,
                Node::new(builder(database)).await,
            ];
            for (number, step) in steps.iter().enumerate() {
                let [one, other] = &mut nodes;
                let (one, other) = (one.take(step).await, other.take(step).await);
                assert_eq!(one, other, "step {number}: {step:?}");
                let unavailable = Err(RejectionKind::Unavailable);
                if let Outcome::Presented(presented) = &one {
                    let failed = presented.iter().any(|outcome| {
                        outcome.as_ref().map(drop).map_err(|kind| *kind) == unavailable
                    });
                    // Both stores answer all the time, so nobody is told to come again.
                    assert!(!failed, "step {number}: {step:?}");
                }
            }
        });
    }

    /// So do their quotas over days, whatever the cost of a request and whenever it comes.
    #[test]
    fn a_day_admits_no_more_than_its_quota(
        amount in 1..400_u64,
        requests in proptest::collection::vec((0..20_000_u32, 0..4_u32, any::<bool>()), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let node = Node::new(builder(MemoryStore::new())).await;
            let new = NewKey::named("k").all_servers().quota(Quota::per_day(amount));
            let issued = node.keys.manager().issue(new).await.unwrap();
            let key = issued.key().expose_secret();
            let mut day = (NOW.as_millis() / 86_400_000, 0_u64);
            for (seconds, cost, flushes) in requests {
                pass(&node.keys, &node.clock, seconds * SECOND).await;
                if flushes {
                    node.keys.flush().await.unwrap();
                }
                let now = mcp_api_keys::Clock::now(&node.clock).wall.as_millis();
                let today = now / i64::try_from(DAY.as_millis()).unwrap();
                if today != day.0 {
                    day = (today, 0);
                }
                let gate = node.keys.layer().any_server().cost(cost * 10).gate().clone();
                let cost = u64::from(cost) * 10;
                let expected = if cost <= amount - day.1 {
                    day.1 += cost;
                    Ok(())
                } else {
                    Err(RejectionKind::QuotaExceeded)
                };
                let outcome = present(&gate, key).await.map(drop).map_err(|error| error.kind());
                assert_eq!(outcome, expected, "{day:?} of {amount}, {cost} more");
            }
        });
    }
}
