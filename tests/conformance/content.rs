//! The tools that answer by themselves: every kind of content, notifications on the way, a
//! connection that ends before the answer, and input schemas of more than plain properties.

use std::sync::Arc;
use std::time::Duration;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolResult, ContentBlock, JsonObject, LoggingLevel, ProgressNotificationParam,
    ResourceContents,
};
use rmcp::{ErrorData, tool, tool_router};
use serde_json::{Value, json};

use crate::fixture::{Context, Fixture, List};
use crate::resources::{PNG, WAV, text};
use crate::sessions::AnswerStream;

/// The time between two notifications.
const STEP: Duration = Duration::from_millis(50);

/// Long enough for a client to come back for the answer.
const AWAY: Duration = Duration::from_millis(500);

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Region {
    /// It is repeated in a header, for those on the way who do not read bodies.
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

#[tool_router(router = content_tools, vis = "pub(crate)")]
impl Fixture {
    #[tool(description = "Returns a text")]
    async fn test_simple_text(&self) -> String {
        "This is a simple text response for testing.".to_owned()
    }

    #[tool(description = "Returns an image")]
    async fn test_image_content(&self) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::image(PNG, "image/png")])
    }

    #[tool(description = "Returns a sound")]
    async fn test_audio_content(&self) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::audio(WAV, "audio/wav")])
    }

    #[tool(description = "Returns a resource")]
    async fn test_embedded_resource(&self) -> CallToolResult {
        let uri = "test://embedded-resource";
        let resource = text(uri, "This is an embedded resource content.");
        CallToolResult::success(vec![ContentBlock::resource(resource)])
    }

    #[tool(description = "Returns a text, an image and a resource")]
    async fn test_multiple_content_types(&self) -> CallToolResult {
        let uri = "test://mixed-content-resource";
        let data = json!({ "test": "data", "value": 123 }).to_string();
        let resource = ResourceContents::text(data, uri).with_mime_type("application/json");
        CallToolResult::success(vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(PNG, "image/png"),
            ContentBlock::resource(resource),
        ])
    }

    #[tool(description = "Always fails")]
    async fn test_error_handling(&self) -> CallToolResult {
        let text = "This tool intentionally returns an error for testing";
        CallToolResult::error(vec![ContentBlock::text(text)])
    }

    #[tool(description = "Writes three log messages")]
    async fn test_tool_with_logging(&self, context: Context) -> String {
        self.log(&context, LoggingLevel::Info, "Tool execution started")
            .await;
        tokio::time::sleep(STEP).await;
        self.log(&context, LoggingLevel::Info, "Tool processing data")
            .await;
        tokio::time::sleep(STEP).await;
        self.log(&context, LoggingLevel::Info, "Tool execution completed")
            .await;
        "logged".to_owned()
    }

    #[tool(description = "Writes a log message")]
    async fn test_logging_tool(&self, context: Context) -> String {
        self.log(&context, LoggingLevel::Info, "Tool called").await;
        "called".to_owned()
    }

    #[tool(description = "Reports its progress three times")]
    async fn test_tool_with_progress(&self, context: Context) -> String {
        for progress in [0.0, 50.0, 100.0] {
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, progress).with_total(100.0);
                // A caller that no longer listens is no reason to fail.
                let _ = context.peer.notify_progress(progress).await;
            }
            tokio::time::sleep(STEP).await;
        }
        "done".to_owned()
    }

    #[tool(description = "Ends the connection before it answers")]
    async fn test_reconnection(&self, context: Context) -> Result<String, ErrorData> {
        // There is none in the revision without sessions, where a stream cannot be resumed.
        if let Some(stream) = context.extensions.get::<AnswerStream>() {
            stream.close().await?;
            tokio::time::sleep(AWAY).await;
        }
        Ok("answered after the reconnection".to_owned())
    }

    #[tool(description = "Says that the list of tools has changed")]
    async fn test_trigger_tool_change(&self, context: Context) -> String {
        self.change(List::Tools, &context).await;
        "said so".to_owned()
    }

    #[tool(description = "Says that the list of prompts has changed")]
    async fn test_trigger_prompt_change(&self, context: Context) -> String {
        self.change(List::Prompts, &context).await;
        "said so".to_owned()
    }

    #[tool(description = "Takes an argument that is repeated in a header")]
    async fn test_custom_header(
        &self,
        Parameters(Region { region }): Parameters<Region>,
    ) -> String {
        region
    }

    #[tool(
        description = "Tool with JSON Schema 2020-12 features",
        input_schema = json_schema_2020_12()
    )]
    async fn json_schema_2020_12_tool(&self) -> String {
        "not looked at".to_owned()
    }
}

fn json_schema_2020_12() -> Arc<JsonObject> {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
            }
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" }
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": {
            "properties": { "contactMethod": { "const": "phone" } },
            "required": ["contactMethod"]
        },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false
    });
    Arc::new(match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    })
}
