//! The rights of a key, its owner and its plan, put together. Pure.

use crate::key::{Access, KeyInfo, Owner, Plan, Quota, RateLimit};

/// Narrows what may be shown of a key to what its owner may do.
pub(super) fn within_owner(info: &mut KeyInfo, owner: &Owner) {
    info.servers = info.servers.intersection(&owner.servers);
    info.scopes = info.scopes.intersection(&owner.scopes);
    info.access = info.access.min(owner.access);
}

/// Narrows a connection to what its owner may let programs do; an unknown owner is no admin.
pub(super) fn within_role(info: &mut KeyInfo, owner: Option<&Owner>) {
    if let Some(connection) = &mut info.connection {
        let cap = owner.map_or(Access::ReadOnly, Owner::most_for_connections);
        connection.may_have_full = cap == Access::Full;
        info.access = info.access.min(cap);
    }
}

/// Adds the plan's limits and quotas, but for those that the key has of the same name.
pub(super) fn under_plan(info: &mut KeyInfo, plan: &Plan) {
    add_plan((&mut info.limits, &mut info.quotas), plan);
}

/// [`under_plan`], for limits and quotas alone.
pub(super) fn add_plan((limits, quotas): (&mut Vec<RateLimit>, &mut Vec<Quota>), plan: &Plan) {
    for limit in &plan.limits {
        if limits.iter().all(|own| own.name() != limit.name()) {
            limits.push(limit.clone());
        }
    }
    for quota in &plan.quotas {
        if quotas.iter().all(|own| own.name() != quota.name()) {
            quotas.push(quota.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Connection, ScopeSet, Servers};
    use crate::testing::records::record;

    fn info() -> KeyInfo {
        let mut info = KeyInfo::of(&record(1)).unwrap();
        info.servers = Servers::All;
        info.scopes = ScopeSet::all();
        info
    }

    #[test]
    fn a_key_for_everything_is_one_for_what_its_owner_has() {
        let owner = Owner::member("ada".parse().unwrap())
            .server("files".parse().unwrap())
            .scope("files:read".parse().unwrap())
            .read_only();
        let mut info = info();
        within_owner(&mut info, &owner);
        assert_eq!(info.servers, owner.servers);
        assert_eq!(info.scopes, owner.scopes);
        assert_eq!(info.access, Access::ReadOnly);
    }

    #[test]
    fn an_owner_gives_a_key_nothing_that_it_lacks() {
        let mut narrow = info();
        narrow.servers = Servers::only(["mail"]).unwrap();
        narrow.scopes = ScopeSet::parse(["mail:read"]).unwrap();
        narrow.access = Access::ReadOnly;
        let before = narrow.clone();
        within_owner(&mut narrow, &Owner::admin("root".parse().unwrap()));
        assert_eq!(narrow, before);
    }

    #[test]
    fn only_connections_are_capped_by_the_role() {
        let ada = || "ada".parse().unwrap();
        let (admin, member) = (Owner::admin(ada()), Owner::member(ada()));
        let looker = Owner::admin(ada()).read_only();
        for (connects, owner, expected) in [
            (true, Some(&admin), Access::Full),
            (true, Some(&looker), Access::ReadOnly),
            (true, Some(&member), Access::ReadOnly),
            (true, None, Access::ReadOnly),
            (false, Some(&member), Access::Full),
            (false, None, Access::Full),
        ] {
            let mut info = info();
            info.connection = connects.then(|| Connection::new("claude".parse().unwrap()));
            within_role(&mut info, owner);
            assert_eq!(info.access, expected, "{connects} {owner:?}");
            // A connection that may only read knows whether its owner could let it do more.
            info.access = Access::ReadOnly;
            within_role(&mut info, owner);
            let may = info.connection.is_some_and(|own| own.may_have_full);
            assert_eq!(may, connects && expected == Access::Full, "{owner:?}");
        }
    }

    #[test]
    fn a_keys_own_limit_replaces_the_plans_of_the_same_name() {
        let plan = Plan::new("custom".parse().unwrap())
            .rate(RateLimit::per_minute(10))
            .rate(RateLimit::per_hour(100).named("hourly"))
            .quota(Quota::per_day(5))
            .quota(Quota::per_month(50).named("monthly"));
        let mut info = info();
        info.limits = vec![RateLimit::per_minute(1_000)];
        info.quotas = vec![Quota::per_day(7)];
        under_plan(&mut info, &plan);
        assert_eq!(
            info.limits,
            [
                RateLimit::per_minute(1_000),
                RateLimit::per_hour(100).named("hourly")
            ]
        );
        assert_eq!(
            info.quotas,
            [Quota::per_day(7), Quota::per_month(50).named("monthly")]
        );
    }
}
