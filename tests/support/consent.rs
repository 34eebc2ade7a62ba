//! A program that is connected by OAuth, and the person who lets it.

use base64ct::{Base64UrlUnpadded, Encoding};
use form_urlencoded::Serializer;
use http::Request;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, Client};

/// Where the program waits for the person to come back; nobody has to be there.
const CALLBACK: &str = "http://127.0.0.1:8765/callback";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123456789";

/// Connects a new program to the MCP server at `url`. The person signs in with `key` and allows with
/// this level, if they are asked for one. Returns what the token endpoint answered.
pub(crate) async fn connect(url: &str, key: &str, access: &str) -> Value {
    let program = Client::http1();
    let origin = origin_of(url);
    let about = json!({
        "client_name": "a program",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
    });
    let register = Request::post(format!("{origin}/oauth/register"))
        .header("content-type", "application/json");
    let registered = program
        .send(register.body(about.to_string()).unwrap())
        .await;
    assert_eq!(registered.status, 201, "{registered:?}");
    let id = registered.json()["client_id"].as_str().unwrap().to_owned();

    let challenge = Base64UrlUnpadded::encode_string(&Sha256::digest(VERIFIER));
    let asked = form(&[
        ("response_type", "code"),
        ("client_id", &id),
        ("redirect_uri", CALLBACK),
        ("state", "a state"),
        ("resource", url),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let back = allow(&format!("{origin}/oauth/authorize?{asked}"), key, access).await;
    let (place, parameters) = back.split_once('?').unwrap();
    assert_eq!(place, CALLBACK);
    let parameter = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(parameters.as_bytes());
        let found = pairs.find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned())
    };
    assert_eq!(parameter("state").unwrap(), "a state");
    assert_eq!(parameter("iss").unwrap(), origin);
    let code = parameter("code").unwrap_or_else(|| panic!("no code: {back}"));

    let redeemed = form(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", VERIFIER),
        ("client_id", &id),
        ("redirect_uri", CALLBACK),
        ("resource", url),
    ]);
    let redeem = posted(&format!("{origin}/oauth/token"), redeemed);
    let tokens = program.send(redeem).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.header("cache-control"), "no-store");
    let mut answer = tokens.json();
    answer["client_id"] = id.into();
    answer
}

/// Renews what was given to a program.
pub(crate) async fn renew(url: &str, tokens: &Value) -> Answer {
    let renewal = form(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ("client_id", tokens["client_id"].as_str().unwrap()),
    ]);
    let place = format!("{}/oauth/token", origin_of(url));
    Client::http1().send(posted(&place, renewal)).await
}

fn origin_of(url: &str) -> &str {
    let host = url.find("://").unwrap() + 3;
    let path = url[host..].find('/').unwrap();
    &url[..host + path]
}

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn posted(url: &str, form: String) -> Request<String> {
    Request::post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .unwrap()
}

/// Goes where the program sends the person, and through the pages there, until they are sent back.
async fn allow(url: &str, key: &str, access: &str) -> String {
    let origin = origin_of(url).to_owned();
    let client = Client::http1();
    let (mut place, mut filled, mut cookie) = (url.to_owned(), None, String::new());
    for _ in 0..10 {
        let mut request = match filled.take() {
            None => Request::get(&place).body(String::new()).unwrap(),
            Some(filled) => posted(&place, filled),
        };
        let headers = request.headers_mut();
        headers.insert("origin", origin.parse().unwrap());
        if !cookie.is_empty() {
            headers.insert("cookie", cookie.parse().unwrap());
        }
        let answer = client.send(request).await;
        if let Some((pair, _)) = answer.header("set-cookie").split_once(';') {
            cookie = pair.to_owned();
        }
        if answer.status.is_redirection() {
            let to = answer.header("location");
            if to.starts_with('/') {
                place = format!("{origin}{to}");
            } else if to.starts_with(&format!("{origin}/")) {
                place = to.to_owned();
            } else {
                return to.to_owned();
            }
            continue;
        }
        let (action, fields) = fill(&answer.text, key, access);
        place = format!("{origin}{action}");
        filled = Some(fields);
    }
    panic!("sent around for ever, last to {place}");
}

/// Where the form of a page goes, and what the person sends with it.
fn fill(page: &str, key: &str, access: &str) -> (String, String) {
    let is_ours = |form: &&str| form.contains("password") || form.contains("decision");
    let forms = page.split("<form").skip(1);
    let form = forms.map(|form| form.split("</form>").next().unwrap());
    let form = form.into_iter().find(|form| is_ours(form));
    let form = form.unwrap_or_else(|| panic!("nothing to fill in: {page}"));
    let attribute = |tag: &str, name: &str| {
        let value = tag.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
        let value = value.and_then(|rest| rest.split('"').next());
        value
            .unwrap_or_default()
            .replace("&amp;", "&")
            .replace("&quot;", "\"")
    };
    let mut fields = Serializer::new(String::new());
    for input in form.split("<input").skip(1) {
        let tag = input.split('>').next().unwrap();
        let (name, value) = (attribute(tag, "name"), attribute(tag, "value"));
        match attribute(tag, "type").as_str() {
            "password" => drop(fields.append_pair(&name, key)),
            "radio" if value != access => {}
            _ => drop(fields.append_pair(&name, &value)),
        }
    }
    if form.contains("decision") {
        fields.append_pair("decision", "allow");
    }
    let tag = form.split('>').next().unwrap();
    (attribute(tag, "action"), fields.finish())
}
