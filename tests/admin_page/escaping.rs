//! What people have written is text, wherever it is shown.

use http::StatusCode;
use mcp_api_keys::key::{KeyId, Owner};
use mcp_api_keys::{Grace, NewKey};

use crate::world::World;

/// Markup, quotes, the end of a text area, and marks that turn the direction of writing.
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></textarea></title>\u{202e}\u{2067}&amp;&lt;b&gt;";

#[tokio::test]
async fn nothing_that_was_written_becomes_markup() {
    let world = World::new().await;
    let (mut browser, _) = world.admin().await;
    let manager = world.keys.manager();
    // As long as the name of an owner may be.
    let name: String = HOSTILE.chars().take(100).collect();
    let mut owner = Owner::member(name.parse().unwrap());
    owner = owner.server("files".parse().unwrap());
    manager.put_owner(owner).await.unwrap();
    let new = NewKey::named(HOSTILE)
        .description(HOSTILE)
        .owner(&name)
        .connection(HOSTILE)
        .server("files")
        .metadata(HOSTILE, HOSTILE)
        .mcp(
            mcp_api_keys::key::McpRules::default()
                .allow_tool(HOSTILE.parse().unwrap())
                .deny_resource(HOSTILE.parse().unwrap()),
        );
    let id: KeyId = world.key(new).await;
    let acting = mcp_api_keys::Principal::admin(HOSTILE).from_source(HOSTILE);
    let hostile = manager.acting_as(acting);
    hostile.disable(id).await.unwrap();
    hostile.enable(id).await.unwrap();
    let _ = hostile
        .rotate_with(id, Grace::For(std::time::Duration::from_secs(60)))
        .await
        .unwrap();

    let encoded = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    let owner = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    let mut paths: Vec<String> = ["/keys", "/connections", "/owners", "/audit", "/safety"]
        .map(str::to_owned)
        .into();
    for path in [
        "/keys?name=",
        "/keys?server=",
        "/keys?plan=",
        "/keys?status=",
        "/keys?expires=",
        "/keys?idle=",
        "/audit?actor=",
        "/audit?subject=",
        "/audit?since=",
        "/sign-in?because=",
    ] {
        paths.push(format!("{path}{encoded}"));
    }
    paths.push(format!("/keys?owner={owner}"));
    paths.push(format!("/owners/edit?id={owner}"));
    for act in ["", "/edit", "/renew", "/revoke", "/delete"] {
        paths.push(format!("/keys/{id}{act}"));
    }
    let mut shown = 0;
    for path in &paths {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        check(path, &answer.body);
        shown += usize::from(answer.shows("&lt;script&gt;alert(1)"));
    }
    assert!(shown >= 12, "it is shown on {shown} pages only");

    // What comes back in a form with faults, and in the answer that shows a secret.
    let fields = [
        ("name", HOSTILE),
        ("servers", HOSTILE),
        ("scopes", HOSTILE),
        ("limits", HOSTILE),
        ("metadata", HOSTILE),
        ("plan", HOSTILE),
        ("expires_at", HOSTILE),
        ("expiry", "at"),
        ("owner", &*name),
    ];
    let answer = browser.create(&fields).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    check("a form with faults", &answer.body);
    let answer = browser
        .create(&[("name", HOSTILE), ("description", HOSTILE)])
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    check("a new key", &answer.body);
    let answer = browser
        .post(&format!("/keys/{id}/delete"), &[("name", "<b>")])
        .await;
    check("a key not deleted", &answer.body);
    let answer = browser
        .post(
            "/owners/edit",
            &[("id", HOSTILE), ("scopes", HOSTILE), ("role", "x")],
        )
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    check("an owner with faults", &answer.body);
    let answer = browser
        .post("/plans/edit", &[("name", HOSTILE), ("limits", HOSTILE)])
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    check("a plan with faults", &answer.body);
    // By its name it can be deleted, whatever that is.
    let answer = browser
        .post(&format!("/keys/{id}/delete"), &[("name", HOSTILE)])
        .await;
    assert_eq!(answer.location(), "/keys");
}

fn check(path: &str, body: &str) {
    for markup in [
        "<script>",
        "<img",
        "&lt;/title&gt;</title>&quot;",
        "onerror=alert(2)>",
    ] {
        assert!(!body.contains(markup), "{path} holds {markup}");
    }
    // The page's own script, and its title, once each.
    assert_eq!(body.matches("<script").count(), 1, "{path}");
    assert_eq!(body.matches("</title>").count(), 1, "{path}");
    assert_eq!(
        body.matches("<textarea").count(),
        body.matches("</textarea>").count(),
        "{path}"
    );
    // A mark that turns the direction stays inside an element of its own, or inside a field.
    for (at, _) in body.match_indices('\u{202e}') {
        let before = &body[..at];
        let isolated = before.rfind("<bdi>") > before.rfind("</bdi>");
        let in_tag = before.rfind('<') > before.rfind('>');
        let in_area = before.rfind("<textarea") > before.rfind("</textarea>");
        let in_title = before.rfind("<title>") > before.rfind("</title>");
        let in_fault = before.rfind("class=\"fault\"") > before.rfind("</p>");
        let in_summary = before.rfind("class=\"summary\"") > before.rfind("</div>");
        let in_option = before.rfind("<option") > before.rfind("</option>");
        assert!(
            isolated || in_tag || in_area || in_title || in_fault || in_summary || in_option,
            "{path}: {}",
            &before[before.len().saturating_sub(200)..]
        );
    }
}
