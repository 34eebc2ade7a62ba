//! A task belongs to the key that began it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use http::Response;
use http_body_util::{BodyExt, Full};
use mcp_api_keys::NewKey;
use mcp_api_keys::layer::McpLayer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ContentBlock,
    CreateTaskResult, GetTaskParams, GetTaskResult, ServerCapabilities, ServerConfig,
    UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskManager, TaskOptions};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::support::Answer;
use crate::world::{House, Log, call, messages, notes, only};

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A server of rmcp that makes a task of every call.
#[derive(Clone, Default)]
struct Slow(TaskManager);

impl ServerHandler for Slow {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::default();
        info.capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tasks()
            .build();
        info
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let task = self.0.spawn(TaskOptions::default(), |_| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Ok(CallToolResult::success(vec![ContentBlock::text("done")]))
            })
        });
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.0.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.cancel_task(&request.task_id)
    }
}

fn slow(json: bool) -> Router {
    let server = Slow::default();
    let config = StreamableHttpServerConfig::default().with_json_response(json);
    let sessions = Arc::new(LocalSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    Router::new().route_service("/mcp", mcp)
}

/// A request of a client that knows tasks.
async fn say(house: &House, key: &str, method: &str, params: Value) -> Value {
    let mut request = house.modern(key, method, params);
    let mut body: Value = serde_json::from_str(request.body()).unwrap();
    let meta = &mut body["params"]["_meta"];
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({ "extensions": { TASKS: {} } });
    if let Some(task) = body["params"]["taskId"].as_str() {
        let headers = request.headers_mut();
        headers.insert("mcp-name", task.parse().unwrap());
    }
    *request.body_mut() = body.to_string();
    only(&house.client.send(request).await)
}

fn not_found(id: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32602, "message": "Task not found" } })
}

#[tokio::test]
async fn tasks_of_rmcp_exist_for_their_key_only() {
    for json in [true, false] {
        let house = House::before(slow(json), Log::default(), McpLayer::new()).await;
        let ada = house.free_key().await;
        let others = [house.free_key().await, house.notes_key().await];
        let params = json!({ "name": "read_note", "arguments": {} });
        for owner in [&ada, &others[1]] {
            let begun = say(&house, owner, "tools/call", params.clone()).await;
            assert_eq!(begun["result"]["resultType"], "task", "{begun}");
            let task = &begun["result"]["taskId"];
            let named = json!({ "taskId": task });
            for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
                let mut named = named.clone();
                if method == "tasks/update" {
                    named["inputResponses"] = json!({});
                }
                for other in [&ada, &others[0], &others[1]] {
                    if other == owner {
                        continue;
                    }
                    let answer = say(&house, other, method, named.clone()).await;
                    assert_eq!(answer, not_found(json!(7)), "{method}");
                }
                let answer = say(&house, owner, method, named.clone()).await;
                assert!(answer["result"].is_object(), "{method}: {answer}");
            }
            // Nobody's task looks the same.
            let unknown = json!({ "taskId": "4b7a2c9e-0000-4000-8000-000000000000" });
            let answer = say(&house, &others[0], "tasks/get", unknown).await;
            assert_eq!(answer, not_found(json!(7)));
        }
    }
}

/// How the server of 2025 answers.
#[derive(Clone, Copy, Debug)]
enum Form {
    Json,
    Events,
}

/// A server of revision 2025-11-25, as careless as they come: any reading of the body counts, and
/// every task is anybody's. It numbers its tasks, and notes which were named.
fn numbering(form: Form, log: Log) -> Router {
    let last = Arc::new(Mutex::new(0));
    Router::new().fallback(move |request: axum::extract::Request| {
        let (last, log) = (Arc::clone(&last), log.clone());
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body).replace('\0', "");
            // By sight, for what is no JSON, and by last member for what is.
            let message = serde_json::from_str::<Value>(&text).unwrap_or_default();
            let named = message["params"]["taskId"].as_str().unwrap_or_default();
            if text.contains("\"task-1\"") || text.contains("task-\\u0031") || named == "task-1" {
                log.note("task-1");
            }
            let batch = match message {
                Value::Array(entries) => entries,
                one => vec![one],
            };
            let answers: Vec<String> = batch
                .iter()
                .filter(|entry| entry["id"] != Value::Null)
                .map(|entry| {
                    let result = match entry["method"].as_str() {
                        Some("tools/call") => {
                            let mut last = last.lock().unwrap();
                            *last += 1;
                            json!({ "task": { "taskId": format!("task-{last}") } })
                        }
                        Some("tasks/list") => {
                            let last = *last.lock().unwrap();
                            let all = (1..=last).map(|n| json!({ "taskId": format!("task-{n}") }));
                            json!({ "tasks": all.collect::<Vec<_>>(), "nextCursor": "task-1" })
                        }
                        _ => json!({ "taskId": entry["params"]["taskId"], "status": "working" }),
                    };
                    json!({ "jsonrpc": "2.0", "id": entry["id"], "result": result }).to_string()
                })
                .collect();
            let (kind, body) = match form {
                Form::Json if answers.len() == 1 => ("application/json", answers.concat()),
                Form::Json => ("application/json", format!("[{}]", answers.join(","))),
                Form::Events => (
                    "text/event-stream",
                    answers
                        .iter()
                        .map(|answer| format!("event: message\r\ndata: {answer}\r\n\r\n"))
                        .collect(),
                ),
            };
            let mut response = Response::new(Full::from(body));
            let kind = kind.parse().unwrap();
            response.headers_mut().insert("content-type", kind);
            response
        }
    })
}

fn of_task(method: &str, task: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 5, "method": method, "params": { "taskId": task } })
}

async fn listed(house: &House, key: &str) -> Vec<String> {
    let answer = only(&house.say(key, crate::world::list("tasks")).await);
    assert_eq!(answer["result"]["nextCursor"], "task-1", "{answer}");
    let tasks = answer["result"]["tasks"].as_array().unwrap();
    let ids = tasks.iter().map(|task| task["taskId"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

#[tokio::test]
async fn tasks_of_2025_are_bound_and_listed_by_key() {
    for form in [Form::Json, Form::Events] {
        let log = Log::default();
        let house = House::before(numbering(form, log.clone()), log, McpLayer::new()).await;
        let (ada, bob) = (house.free_key().await, house.notes_key().await);
        let reader = house.reader().await;
        for (key, task) in [(&ada, "task-1"), (&bob, "task-2"), (&ada, "task-3")] {
            let begun = only(&house.say(key, call("read_note")).await);
            assert_eq!(begun["result"]["task"]["taskId"], task);
        }
        house.log.take();
        assert_eq!(listed(&house, &ada).await, ["task-1", "task-3"]);
        assert_eq!(listed(&house, &bob).await, ["task-2"]);
        assert!(listed(&house, &reader).await.is_empty());
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let own = house.say(&ada, of_task(method, "task-1")).await;
            assert_eq!(only(&own)["result"]["taskId"], "task-1");
            assert_eq!(house.log.take(), ["task-1"]);
            let answer = house.say(&bob, of_task(method, "task-1")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.json(), not_found(json!(5)), "{method}");
        }
        // A batch with a task of another's is refused as a whole, and one that begins tasks binds them.
        let batch = json!([
            of_task("tasks/get", "task-2"),
            of_task("tasks/get", "task-1")
        ]);
        let answers = messages(&house.say(&bob, batch).await);
        assert_eq!(answers[0][1], not_found(json!(5)), "{answers:?}");
        let batch = json!([call("read_note"), { "jsonrpc": "2.0", "id": 9, "method": "ping" }]);
        house.say(&bob, batch).await;
        assert_eq!(listed(&house, &bob).await, ["task-2", "task-4"]);
        assert!(house.log.take().is_empty());
    }
}

/// What a free key may send so that a careless server reads the id of another key's task in it.
fn around() -> Vec<(&'static str, String)> {
    let json = "application/json";
    let get = of_task("tasks/get", "task-1").to_string();
    let utf16: String = get.chars().flat_map(|letter| [letter, '\0']).collect();
    vec![
        (json, get.clone()),
        (json, get.replace("task-1", "task-\\u0031")),
        (json, get.replace("taskId", "task\\u0049d")),
        (json, get.replace("tasks/get", "t\\u0061sks\\/get")),
        (json, get.replace("\"id\":5,", "")),
        (json, format!("[{get}]")),
        (json, format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"ping"}},{get}]"#)),
        (json, get.replace("{\"taskId\"", "{\"taskId\":\"task-9\",\"taskId\"")),
        (json, get.replace("\"task-1\"", "\"task-1\",\"taskId\":\"task-9\"")),
        (json, get.replace("{\"taskId\"", "{\"TaskID\"")),
        (json, get.replace("\"method\"", "\"method\":\"ping\",\"method\"")),
        (json, get.replace("2.0", "1.0")),
        (json, format!("{get}{get}")),
        (json, format!("\u{feff}{get}")),
        (json, utf16.clone()),
        ("application/json; charset=utf-16", utf16),
        ("application/json; charset=utf-7", get.clone()),
        ("application/grpc, application/json", get.clone()),
        ("text/json", get.clone()),
        (
            json,
            json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": { "notifications": { "taskIds": ["task-1"] } } }).to_string(),
        ),
    ]
}

#[tokio::test]
async fn no_spelling_reaches_the_task_of_another_key() {
    let log = Log::default();
    let house = House::before(numbering(Form::Json, log.clone()), log, McpLayer::new()).await;
    let (ada, bob) = (house.free_key().await, house.free_key().await);
    let rules = house.key(NewKey::named("ruled").mcp(notes())).await;
    let send = async |key: &str, kind: &str, body: String| {
        let mut request = house.message(key, body);
        let kind = kind.parse().unwrap();
        request.headers_mut().insert("content-type", kind);
        house.client.send(request).await
    };
    // While nobody has a task, what cannot be read passes as it comes.
    let odd = send(&bob, "text/json", "{}".to_owned()).await;
    assert_eq!(odd.status, 200);
    house.say(&ada, call("read_note")).await;
    house.log.take();
    let mut sent = 0;
    for (kind, body) in around() {
        for key in [&bob, &rules] {
            let answer = send(key, kind, body.clone()).await;
            assert!(house.log.take().is_empty(), "{kind} {body}: {answer:?}");
            sent += 1;
        }
    }
    println!("{sent} requests for the task of another key, none reached the server");
    // The table tests something: the same server would have answered, and does answer the owner.
    for (kind, body) in around() {
        let answer = send(&ada, kind, body.clone()).await;
        let run = house.log.take();
        assert!(
            run == ["task-1"] || answer.text.contains("Task not found"),
            "{kind} {body}"
        );
    }
}

#[tokio::test]
async fn tasks_that_are_not_bound_are_anybodys_and_restricted_keys_cannot_list_them() {
    let log = Log::default();
    let layer = McpLayer::new().unbound_tasks();
    let house = House::before(numbering(Form::Json, log.clone()), log, layer).await;
    let (ada, bob) = (house.free_key().await, house.free_key().await);
    house.say(&ada, call("read_note")).await;
    house.say(&bob, of_task("tasks/get", "task-1")).await;
    assert_eq!(house.log.take(), ["task-1"]);
    assert_eq!(listed(&house, &bob).await, ["task-1"]);
    let ruled = house.notes_key().await;
    let denied: Answer = house.say(&ruled, crate::world::list("tasks")).await;
    assert_eq!(denied.json()["error"]["code"], -31003);
}

/// Another layer, as after a restart or beside this one, knows of no task: they exist for nobody.
#[tokio::test]
async fn a_layer_that_did_not_see_a_task_begin_opens_it_to_nobody() {
    let log = Log::default();
    let server = numbering(Form::Json, log.clone());
    let before = House::before(server.clone(), log.clone(), McpLayer::new()).await;
    let key = before.free_key().await;
    before.say(&key, call("read_note")).await;
    let after = House::before(server, log, McpLayer::new()).await;
    let key = after.free_key().await;
    after.log.take();
    let answer = after.say(&key, of_task("tasks/get", "task-1")).await;
    assert_eq!(answer.json(), not_found(json!(5)));
    assert!(after.log.take().is_empty());
    assert!(listed(&after, &key).await.is_empty());
}
