//! The tools of the older revision that ask the client while it waits for the answer.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CreateMessageRequestParams, ElicitRequestParams, SamplingMessage};
use rmcp::{ErrorData, ServiceError, tool, tool_router};
use serde_json::{Value, json};

use crate::fixture::{Context, Fixture};

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Prompt {
    /// What the model is asked.
    prompt: String,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Message {
    /// What the user is asked.
    message: String,
}

#[tool_router(router = asking_tools, vis = "pub(crate)")]
impl Fixture {
    #[tool(description = "Asks the client's model")]
    async fn test_sampling(
        &self,
        context: Context,
        Parameters(Prompt { prompt }): Parameters<Prompt>,
    ) -> Result<String, ErrorData> {
        let question = vec![SamplingMessage::user_text(prompt)];
        let question = CreateMessageRequestParams::new(question, 100);
        let answer = context.peer.create_message(question).await;
        let answer = answer.map_err(unanswered)?;
        let text = answer
            .message
            .content
            .first()
            .and_then(|part| part.as_text());
        let text = text.map_or("", |text| text.text.as_str());
        Ok(format!("LLM response: {text}"))
    }

    #[tool(description = "Asks the user for a name and an address")]
    async fn test_elicitation(
        &self,
        context: Context,
        Parameters(Message { message }): Parameters<Message>,
    ) -> Result<String, ErrorData> {
        let schema = json!({
            "type": "object",
            "properties": {
                "username": { "type": "string", "description": "User's response" },
                "email": { "type": "string", "description": "User's email address" }
            },
            "required": ["username", "email"]
        });
        let answer = elicit(&context, &message, schema).await?;
        Ok(format!("User response: {answer}"))
    }

    #[tool(description = "Asks the user with defaults of every primitive type")]
    async fn test_elicitation_sep1034_defaults(
        &self,
        context: Context,
    ) -> Result<String, ErrorData> {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "default": "John Doe" },
                "age": { "type": "integer", "default": 30 },
                "score": { "type": "number", "default": 95.5 },
                "status": {
                    "type": "string",
                    "enum": ["active", "inactive", "pending"],
                    "default": "active"
                },
                "verified": { "type": "boolean", "default": true }
            }
        });
        let answer = elicit(&context, "Please look through your profile", schema).await?;
        Ok(format!("Elicitation completed: {answer}"))
    }

    #[tool(description = "Asks the user with enumerations of every form")]
    async fn test_elicitation_sep1330_enums(&self, context: Context) -> Result<String, ErrorData> {
        let options = ["option1", "option2", "option3"];
        let titled = json!([
            { "const": "value1", "title": "First Option" },
            { "const": "value2", "title": "Second Option" },
            { "const": "value3", "title": "Third Option" }
        ]);
        let schema = json!({
            "type": "object",
            "properties": {
                "untitledSingle": { "type": "string", "enum": options },
                "titledSingle": { "type": "string", "oneOf": titled },
                "legacyEnum": {
                    "type": "string",
                    "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["Option One", "Option Two", "Option Three"]
                },
                "untitledMulti": {
                    "type": "array",
                    "items": { "type": "string", "enum": options }
                },
                "titledMulti": { "type": "array", "items": { "anyOf": titled } }
            }
        });
        let answer = elicit(&context, "Please choose", schema).await?;
        Ok(format!("Elicitation completed: {answer}"))
    }
}

/// A form for the user.
pub(crate) fn form(message: &str, schema: Value) -> Result<ElicitRequestParams, ErrorData> {
    let requested_schema = serde_json::from_value(schema)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema,
    })
}

async fn elicit(context: &Context, message: &str, schema: Value) -> Result<String, ErrorData> {
    let form = form(message, schema)?;
    let answer = context.peer.create_elicitation(form).await;
    let answer = answer.map_err(unanswered)?;
    let content = answer.content.unwrap_or_default();
    let action = serde_json::to_value(answer.action).unwrap_or_default();
    let action = action.as_str().unwrap_or_default();
    Ok(format!("action={action}, content={content}"))
}

fn unanswered(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        error => ErrorData::internal_error(error.to_string(), None),
    }
}
