//! R4: whatever becomes of owners, connections and programs, no connection does more than was asked
//! for, or than its owner may do at present.

use std::time::Duration;

use mcp_api_keys::key::{Access, KeyId, Owner, Role, ScopeSet, Servers};
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{
    ApiKeys, Gate, KeyUpdate, NewConnection, NewKey, RefusedRenewal, RejectionKind, Renewal,
};
use proptest::prelude::*;

use crate::world::{DAY, NOW, any_server, builder, pass, present};

const OWNERS: [&str; 2] = ["ada", "bob"];
const SERVERS: [&str; 3] = ["files", "mail", "wiki"];
const SCOPES: [&str; 5] = ["*", "a:*", "a:read", "b:*", "b:write"];
const CLIENTS: [&str; 2] = ["claude", "cursor"];

/// What somebody may do or asks for, by the numbers of the lists above.
#[derive(Clone, Debug)]
struct Reach {
    servers: Option<Vec<usize>>,
    scopes: Vec<usize>,
    full: bool,
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
        if self.full {
            Access::Full
        } else {
            Access::ReadOnly
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    PutOwner {
        owner: usize,
        reach: Reach,
        admin: bool,
    },
    Suspend {
        owner: usize,
    },
    Resume {
        owner: usize,
    },
    RemoveOwner {
        owner: usize,
    },
    Connect {
        owner: usize,
        client: usize,
        reach: Reach,
        as_owner: bool,
        by_key: Option<Reach>,
    },
    Renew {
        which: usize,
    },
    Reuse {
        which: usize,
    },
    Disconnect {
        which: usize,
    },
    Switch {
        which: usize,
        on: bool,
    },
    Change {
        which: usize,
        reach: Reach,
        as_owner: bool,
    },
    Pass {
        minutes: u32,
    },
}

fn reach() -> impl Strategy<Value = Reach> {
    let servers = proptest::option::of(proptest::collection::vec(0..SERVERS.len(), 0..3));
    let scopes = proptest::collection::vec(0..SCOPES.len(), 0..3);
    (servers, scopes, any::<bool>()).prop_map(|(servers, scopes, full)| Reach {
        servers,
        scopes,
        full,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let (owner, client, which) = (0..OWNERS.len(), 0..CLIENTS.len(), 0..4_usize);
    prop_oneof![
        5 => (owner.clone(), reach(), any::<bool>())
            .prop_map(|(owner, reach, admin)| Step::PutOwner { owner, reach, admin }),
        1 => owner.clone().prop_map(|owner| Step::Suspend { owner }),
        2 => owner.clone().prop_map(|owner| Step::Resume { owner }),
        1 => owner.clone().prop_map(|owner| Step::RemoveOwner { owner }),
        6 => (owner, client, reach(), any::<bool>(), proptest::option::of(reach())).prop_map(
            |(owner, client, reach, as_owner, by_key)| {
                Step::Connect { owner, client, reach, as_owner, by_key }
            }),
        4 => which.clone().prop_map(|which| Step::Renew { which }),
        1 => which.clone().prop_map(|which| Step::Reuse { which }),
        1 => which.clone().prop_map(|which| Step::Disconnect { which }),
        1 => (which.clone(), any::<bool>()).prop_map(|(which, on)| Step::Switch { which, on }),
        2 => (which, reach(), any::<bool>())
            .prop_map(|(which, reach, as_owner)| Step::Change { which, reach, as_owner }),
        2 => (1..90_u32).prop_map(|minutes| Step::Pass { minutes }),
    ]
}

/// A connection as it was made, and what has become of it.
struct Made {
    id: KeyId,
    owner: usize,
    client: usize,
    servers: Servers,
    scopes: ScopeSet,
    access: Access,
    key: String,
    refresh: Vec<String>,
    ends_in: Duration,
    over: bool,
    on: bool,
}

struct World {
    keys: ApiKeys,
    clock: ManualClock,
    gate: Gate,
    made: Vec<Made>,
}

impl World {
    async fn take(&mut self, step: &Step) {
        let manager = self.keys.manager().clone();
        let id = |owner: usize| OWNERS[owner].parse().unwrap();
        match step {
            Step::PutOwner {
                owner,
                reach,
                admin,
            } => {
                let known = manager.owner(&id(*owner)).await.unwrap();
                let mut owner = known.unwrap_or_else(|| Owner::member(id(*owner)));
                owner.servers = reach.servers();
                owner.scopes = reach.scopes();
                owner.access = reach.access();
                owner.role = if *admin { Role::Admin } else { Role::Member };
                manager.put_owner(owner).await.unwrap();
            }
            Step::Suspend { owner } => drop(manager.suspend_owner(&id(*owner)).await),
            Step::Resume { owner } => drop(manager.resume_owner(&id(*owner)).await),
            Step::RemoveOwner { owner } => drop(manager.remove_owner(&id(*owner)).await),
            Step::Connect {
                owner,
                client,
                reach,
                as_owner,
                by_key,
            } => {
                self.connect(*owner, *client, reach, *as_owner, by_key.as_ref())
                    .await;
            }
            Step::Renew { which } => {
                let Some(made) = self.made.get_mut(*which) else {
                    return;
                };
                let client = CLIENTS[made.client].parse().unwrap();
                let token = made.refresh.last().unwrap();
                let renewal = manager.renew(&client, token).await.unwrap();
                let owner = manager.owner(&id(made.owner)).await.unwrap();
                let good = !made.over && made.on && owner.is_none_or(|owner| owner.active);
                assert_eq!(matches!(renewal, Renewal::Tokens(_)), good);
                if let Renewal::Tokens(tokens) = renewal {
                    assert_eq!(tokens.info().id, made.id);
                    tokens.key().expose_secret().clone_into(&mut made.key);
                    made.refresh.push(tokens.refresh_token().to_owned());
                    made.ends_in = tokens.expires_in();
                }
            }
            Step::Reuse { which } => {
                let Some(made) = self.made.get_mut(*which) else {
                    return;
                };
                if let [.., old, _] = made.refresh.as_slice() {
                    let client = CLIENTS[made.client].parse().unwrap();
                    let renewal = manager.renew(&client, old).await.unwrap();
                    let expected = if made.over {
                        RefusedRenewal::Ended
                    } else {
                        RefusedRenewal::Reused
                    };
                    assert!(matches!(renewal, Renewal::Refused(refused) if refused == expected));
                    made.over = true;
                }
            }
            Step::Disconnect { which } => {
                let Some(made) = self.made.get_mut(*which) else {
                    return;
                };
                manager.disconnect(made.id).await.unwrap();
                made.over = true;
            }
            Step::Switch { which, on } => {
                let Some(made) = self.made.get_mut(*which) else {
                    return;
                };
                let switched = match on {
                    true => manager.enable(made.id).await,
                    false => manager.disable(made.id).await,
                };
                assert_eq!(switched.is_ok(), !made.over);
                made.on = *on || made.over;
            }
            Step::Change {
                which,
                reach,
                as_owner,
            } => {
                let Some(made) = self.made.get_mut(*which) else {
                    return;
                };
                let manager = match as_owner {
                    false => manager,
                    true => match manager.principal_of(&id(made.owner)).await {
                        Ok(principal) => manager.acting_as(principal),
                        Err(_) => return,
                    },
                };
                let update = KeyUpdate::new()
                    .servers(reach.servers())
                    .scopes(reach.scopes())
                    .access(reach.access());
                if manager.update(made.id, update).await.is_ok() {
                    made.servers = reach.servers();
                    made.scopes = reach.scopes();
                    made.access = reach.access();
                }
            }
            Step::Pass { minutes } => {
                let time = Duration::from_secs(u64::from(*minutes) * 60);
                pass(&self.keys, &self.clock, time).await;
                for made in &mut self.made {
                    made.ends_in = made.ends_in.saturating_sub(time);
                }
            }
        }
    }

    async fn connect(
        &mut self,
        owner: usize,
        client: usize,
        reach: &Reach,
        as_owner: bool,
        by_key: Option<&Reach>,
    ) {
        let root = self.keys.manager();
        let id = OWNERS[owner].parse().unwrap();
        let mut manager = root.clone();
        if as_owner {
            let Ok(mut principal) = root.principal_of(&id).await else {
                return;
            };
            if let Some(bounds) = by_key {
                let mut key = NewKey::named("k").owner(OWNERS[owner]);
                key = key.scopes(bounds.scopes().iter().cloned());
                key = match &bounds.servers {
                    None => key.all_servers(),
                    Some(names) => names
                        .iter()
                        .fold(key, |key, name| key.server(SERVERS[*name])),
                };
                key = if bounds.full { key } else { key.read_only() };
                let issued = root.issue(key).await.unwrap();
                let context = present(&self.gate, issued.key().expose_secret())
                    .await
                    .unwrap();
                root.revoke(issued.info().id, None).await.unwrap();
                principal = principal.by_key(&context);
            }
            manager = root.acting_as(principal);
        }
        let mut new = NewConnection::new(id, CLIENTS[client].parse().unwrap())
            .servers(reach.servers())
            .scopes(reach.scopes());
        if reach.full {
            new = new.full_access();
        }
        let known = root.owner(&OWNERS[owner].parse().unwrap()).await.unwrap();
        let Ok(tokens) = manager.connect(new).await else {
            return;
        };
        if reach.full {
            let owner = known.unwrap();
            assert_eq!((owner.role, owner.access), (Role::Admin, Access::Full));
        }
        if let (true, Some(bounds)) = (as_owner, by_key) {
            let servers = reach.servers();
            assert_eq!(servers.intersection(&bounds.servers()), servers);
            assert!(bounds.scopes().covers(&reach.scopes()));
            assert!(reach.access() <= bounds.access());
        }
        self.made.push(Made {
            id: tokens.info().id,
            owner,
            client,
            servers: reach.servers(),
            scopes: reach.scopes(),
            access: reach.access(),
            key: tokens.key().expose_secret().to_owned(),
            refresh: vec![tokens.refresh_token().to_owned()],
            ends_in: tokens.expires_in(),
            over: false,
            on: true,
        });
    }

    /// Each connection does what it was asked for and its owner may do: no more, and no less.
    async fn check(&mut self) {
        for made in &self.made {
            let owner = OWNERS[made.owner].parse().unwrap();
            let owner = self.keys.manager().owner(&owner).await.unwrap();
            let barred = owner.as_ref().is_some_and(|owner| !owner.active);
            let expected = if made.over {
                Err(RejectionKind::Revoked)
            } else if made.ends_in.is_zero() {
                Err(RejectionKind::TokenExpired)
            } else if !made.on {
                Err(RejectionKind::Disabled)
            } else if barred {
                Err(RejectionKind::OwnerBarred)
            } else {
                Ok(())
            };
            let context = match (present(&self.gate, &made.key).await, expected) {
                (Ok(context), Ok(())) => context,
                (Err(rejection), Err(kind)) => {
                    assert_eq!(rejection.kind(), kind);
                    continue;
                }
                (outcome, expected) => panic!("{:?} {expected:?}", outcome.map(|_| made.id)),
            };
            let cap = owner
                .as_ref()
                .map_or(Access::ReadOnly, |owner| owner.role.connection_cap());
            let (mut servers, mut scopes) = (made.servers.clone(), made.scopes.clone());
            let mut access = made.access.min(cap);
            if let Some(owner) = &owner {
                servers = servers.intersection(&owner.servers);
                scopes = scopes.intersection(&owner.scopes);
                access = access.min(owner.access);
            }
            assert_eq!(context.servers(), &servers);
            assert_eq!(context.scopes(), &scopes);
            assert_eq!(context.access(), access);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn no_connection_exceeds_its_owners_rights_of_the_moment_nor_what_was_asked_for(
        steps in proptest::collection::vec(step(), 1..50),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = ManualClock::at(NOW);
            let keys = builder(crate::backends::in_emptied_database().await);
            let keys = keys.clock(clock.clone()).max_stale(DAY).build().await.unwrap();
            let gate = any_server(&keys);
            let mut world = World { keys, clock, gate, made: Vec::new() };
            for step in &steps {
                world.take(step).await;
                world.check().await;
            }
        });
    }
}
