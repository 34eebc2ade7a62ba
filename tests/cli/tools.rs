//! Which tools, prompts and resources a key may use, and limits of some of them.

use serde_json::json;

use crate::office::{Office, text};

#[test]
fn rules_are_made_changed_one_list_at_a_time_and_taken_away() {
    let office = Office::new();
    let made = office.create(
        "--name agent --server notes --allow-tool read_* --allow-tool search --deny-tool read_private \
         --allow-resource file:///srv/* --deny-prompt secret*",
    );
    let handle = text(&made["handle"]);
    let rules = json!({
        "tools": { "allow": ["read_*", "search"], "deny": ["read_private"] },
        "resources": { "allow": ["file:///srv/*"] },
        "prompts": { "deny": ["secret*"] },
    });
    assert_eq!(made["mcp"], rules);
    let shown = office.text(&format!("show {handle}"));
    assert!(
        shown.contains("read_*, search but not read_private"),
        "{shown}"
    );
    assert!(shown.contains("all but not secret*"), "{shown}");

    // A list that is named takes the place of the one before; the others stay.
    let changed = office.json(&format!("update {handle} --allow-tool write_*"));
    assert_eq!(changed["mcp"]["tools"]["allow"], json!(["write_*"]));
    for same in ["/mcp/tools/deny", "/mcp/resources", "/mcp/prompts"] {
        assert_eq!(changed.pointer(same), made.pointer(same), "{same}");
    }
    let renamed = office.json(&format!("update {handle} --name other"));
    assert_eq!(renamed["mcp"], changed["mcp"]);
    let anew = office.json(&format!(
        "update {handle} --no-tool-rules --deny-tool delete_*"
    ));
    assert_eq!(anew["mcp"], json!({ "tools": { "deny": ["delete_*"] } }));
    let free = office.json(&format!("update {handle} --no-tool-rules"));
    assert_eq!(free["mcp"], json!({}));
    assert_eq!(office.create("--name plain")["mcp"], json!({}));
}

#[test]
fn a_limit_may_be_one_of_some_tools_or_of_one_server() {
    let office = Office::new();
    let made = office
        .create("--name agent --server notes --rate 60/min@notes --rate exports=5/min:2#export_*");
    assert_eq!(
        made["limits"],
        json!([
            { "name": "default", "count": 60, "per": "minute", "server": "notes" },
            { "name": "exports", "count": 5, "per": "minute", "burst": 2, "tool": "export_*" },
        ])
    );
    let shown = office.text(&format!("show {}", text(&made["handle"])));
    assert!(
        shown.contains("60/min@notes, exports=5/min:2#export_*"),
        "{shown}"
    );
}

#[test]
fn a_pattern_that_is_none_is_the_command_lines_fault() {
    let office = Office::new();
    for option in ["--allow-tool ''", "--deny-resource ''", "--rate 5/min#"] {
        office.error(2, &format!("create --name agent {option}"));
    }
    assert_eq!(office.json("list --all")["keys"], json!([]));
}
