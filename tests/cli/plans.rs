//! `plan`: limits that many keys share.

use serde_json::json;

use crate::office::{HOME, Office, admitted, ask, refused, text};

#[test]
fn three_plans_are_there_and_more_can_be_made_and_changed() {
    let office = Office::new();
    let plans = office.json("plan list");
    let names: Vec<_> = plans["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| (text(&plan["name"]), plan["limits"][0]["count"].clone()))
        .collect();
    let expected = [("free", 10), ("professional", 300), ("standard", 60)];
    assert_eq!(
        names,
        expected.map(|(name, count)| (name.to_owned(), json!(count)))
    );

    let made = office.json("plan set team --rate 120/min:20 --rate day=5000/day --quota 9/month");
    assert_eq!(
        made["limits"],
        json!([
            { "name": "default", "count": 120, "per": "minute", "burst": 20 },
            { "name": "day", "count": 5000, "per": "day" },
        ])
    );
    assert_eq!(
        made["quotas"],
        json!([{ "name": "quota", "amount": 9, "per": "month" }])
    );
    assert_eq!(made["built_in"], false);
    assert_eq!(office.json("plan show team"), made);
    // What is not named stays.
    let changed = office.json("plan set team --quota b=8/day");
    assert_eq!(changed["limits"], made["limits"]);
    assert_eq!(
        changed["quotas"],
        json!([{ "name": "b", "amount": 8, "per": "day" }])
    );
    let without = office.json("plan set team --no-rates");
    assert_eq!(
        (&without["limits"], &without["quotas"]),
        (&json!([]), &changed["quotas"])
    );
    assert_eq!(
        office.json("plan set team --no-quotas")["quotas"],
        json!([])
    );

    let table = office.text("plan list");
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("PLAN"), "{table}");
    assert!(
        lines[1].contains("10/min") && lines[1].ends_with("built in"),
        "{table}"
    );
    assert!(
        lines[4].starts_with("team") && lines[4].ends_with("stored"),
        "{table}"
    );
    assert_eq!(
        office.text("plan show team").lines().nth(1),
        Some("team  -      -       stored")
    );
}

#[test]
fn a_built_in_plan_can_be_changed_and_comes_back() {
    let office = Office::new();
    let changed = office.json("plan set free --quota 1000/day");
    assert_eq!(changed["limits"][0]["count"], 10);
    assert_eq!(changed["built_in"], false);
    assert_eq!(
        office.json("plan remove free"),
        json!({ "name": "free", "removed": true })
    );
    let back = office.json("plan show free");
    assert_eq!(
        (&back["quotas"], &back["built_in"]),
        (&json!([]), &json!(true))
    );
    assert_eq!(office.error(1, "plan remove free")["code"], "not_found");
    assert_eq!(office.error(1, "plan show gold")["code"], "not_found");
    assert_eq!(office.error(2, "plan set 'a b'")["field"], "name");
    assert_eq!(office.error(2, "plan set x --rate soon")["field"], "limits");
    assert_eq!(
        office.error(2, "plan set x --quota 1/day --quota 2/day")["field"],
        "quotas"
    );
}

#[tokio::test]
async fn a_key_on_a_plan_has_its_limits_and_those_of_a_changed_plan() {
    let office = Office::new();
    office.json("plan set tiny --rate 2/h");
    let made = office.create("--name k --all-servers --plan tiny");
    let (id, key) = (text(&made["id"]), text(&made["key"]));
    let keys = office.keys().await;
    let layer = || keys.layer();
    assert_eq!(ask(layer(), &key, HOME).await, admitted());
    assert_eq!(ask(layer(), &key, HOME).await, admitted());
    let too_often = refused(429, "rate_limit_exceeded");
    assert_eq!(ask(layer(), &key, HOME).await, too_often);
    let error = office.error(1, "plan remove tiny");
    assert_eq!(error["code"], "conflict");
    office.json("plan set tiny --no-rates");
    keys.catch_up().await.unwrap();
    assert_eq!(ask(layer(), &key, HOME).await, admitted());

    // A key that nobody can use any more does not hold the plan, and can still be looked at.
    office.json(&format!("revoke {id}"));
    office.text("plan remove tiny");
    let shown = office.json(&format!("show {id}"));
    assert_eq!(
        (&shown["plan"], &shown["rights"]["limits"]),
        (&json!("tiny"), &json!([]))
    );
    assert!(office.text(&format!("show {id}")).contains("revoked"));
    assert_eq!(
        office.json(&format!("usage {id}"))["quota_status"],
        json!([])
    );
}

#[test]
fn the_trail_of_a_plan_tells_what_changed() {
    let office = Office::new();
    office.json("plan set team --rate 60/min");
    office.json("plan set team --rate 90/min");
    let table = office.text("audit --key plan:team");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(
        lines[1].contains("plan:team") && lines[1].ends_with("  limits"),
        "{table}"
    );
    assert!(lines[2].ends_with("  -"), "{table}");
    // The whole trail holds keys, owners and plans in one table.
    office.json("owner set ada");
    office.create("--name k");
    let all = office.text("audit");
    for part in ["plan:team", "owner:ada", "key_"] {
        assert!(all.contains(part), "{part}: {all}");
    }
}
