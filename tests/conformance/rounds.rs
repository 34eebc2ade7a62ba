//! The tools of the newer revision that ask the client in rounds: the answer says what is missing,
//! and the client calls again and brings it along.

use rmcp::ErrorData;
use rmcp::handler::server::tool::{InputResponses, RequestState};
use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateMessageRequest,
    CreateMessageRequestParams, ElicitRequest, ElicitationCapability, InputRequest,
    InputRequiredResult, InputResponses as Responses, ListRootsRequest, RootsCapabilities,
    SamplingCapability, SamplingMessage,
};
use rmcp::{tool, tool_router};
use serde_json::{Value, json};

use crate::asking::form;
use crate::fixture::{Context, Fixture};

type Answer = Result<CallToolResponse, ErrorData>;

#[tool_router(router = round_tools, vis = "pub(crate)")]
impl Fixture {
    #[tool(description = "Asks the user for a name")]
    async fn test_input_required_result_elicitation(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
    ) -> Answer {
        greeting(&context, responses.as_ref())
    }

    #[tool(description = "Asks the user for a name, over a stream")]
    async fn test_streaming_elicitation(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
    ) -> Answer {
        greeting(&context, responses.as_ref())
    }

    #[tool(description = "Asks the client's model")]
    async fn test_input_required_result_sampling(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
    ) -> Answer {
        let key = "capital_question";
        match model_text(responses.as_ref(), key) {
            Some(text) => said(text),
            None => {
                let question = model_question("What is the capital of France?", 100);
                ask(&context, [(key, question)], None).map(Into::into)
            }
        }
    }

    #[tool(description = "Asks the client for its roots")]
    async fn test_input_required_result_list_roots(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
    ) -> Answer {
        let key = "client_roots";
        match roots(responses.as_ref(), key) {
            Some(roots) => said(&format!("Roots: {roots}")),
            None => ask(&context, [(key, roots_question())], None).map(Into::into),
        }
    }

    #[tool(description = "Asks the user to confirm, and seals what the client brings back")]
    async fn test_input_required_result_request_state(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
        RequestState(state): RequestState,
    ) -> Answer {
        self.confirmation(&context, responses.as_ref(), state.as_deref())
    }

    #[tool(description = "Asks the user to confirm, and wants back what it sealed")]
    async fn test_input_required_result_tampered_state(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
        RequestState(state): RequestState,
    ) -> Answer {
        self.confirmation(&context, responses.as_ref(), state.as_deref())
    }

    #[tool(description = "Asks the user, the model and the client at once")]
    async fn test_input_required_result_multiple_inputs(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
        RequestState(state): RequestState,
    ) -> Answer {
        self.opened(state.as_deref())?;
        let responses = responses.as_ref();
        let name = content_of(responses, "user_name", "name").and_then(Value::as_str);
        let greeting = model_text(responses, "greeting");
        let roots = roots(responses, "client_roots");
        if let (Some(name), Some(greeting), Some(roots)) = (name, greeting, roots) {
            return said(&format!("{name}: {greeting} (roots: {roots})"));
        }
        let questions = [
            ("user_name", name_question("What is your name?")?),
            ("greeting", model_question("Generate a greeting", 50)),
            ("client_roots", roots_question()),
        ];
        ask(&context, questions, Some(self.sealed("asked"))).map(Into::into)
    }

    #[tool(description = "Asks the user twice")]
    async fn test_input_required_result_multi_round(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
        RequestState(state): RequestState,
    ) -> Answer {
        let responses = responses.as_ref();
        // The name is known in the second round, and stands in what the client brings back.
        if let Some(name) = self
            .opened(state.as_deref())?
            .filter(|name| !name.is_empty())
        {
            if let Some(colour) = content_of(responses, "step2", "color") {
                return said(&format!("{name} likes {colour}"));
            }
            return self.ask_for_colour(&context, &name);
        }
        match content_of(responses, "step1", "name").and_then(Value::as_str) {
            Some(name) if state.is_some() => self.ask_for_colour(&context, name),
            _ => {
                let question = name_question("Step 1: What is your name?")?;
                ask(&context, [("step1", question)], Some(self.sealed(""))).map(Into::into)
            }
        }
    }

    #[tool(description = "Asks the user and the model, as far as the client can ask them")]
    async fn test_input_required_result_capabilities(
        &self,
        context: Context,
        InputResponses(responses): InputResponses,
    ) -> Answer {
        if responses.is_some() {
            return said("answered");
        }
        let questions = [
            ("user_name", name_question("What is your name?")?),
            ("greeting", model_question("Generate a greeting", 50)),
        ];
        let declared = context.client_capabilities().unwrap_or_default();
        let possible = questions.into_iter();
        let possible = possible.filter(|(_, question)| lacks(&declared, question).is_none());
        ask(&context, possible, None).map(Into::into)
    }

    #[tool(description = "Works only for clients that let it ask their model")]
    async fn test_missing_capability(&self, context: Context) -> Answer {
        let declared = context.client_capabilities().unwrap_or_default();
        match lacks(&declared, &model_question("Are you there?", 10)) {
            Some(missing) => Err(ErrorData::missing_required_client_capability(missing)),
            None => said("the client has a model"),
        }
    }
}

impl Fixture {
    fn confirmation(
        &self,
        context: &Context,
        responses: Option<&Responses>,
        state: Option<&str>,
    ) -> Answer {
        let opened = self.opened(state)?;
        let confirmed = content_of(responses, "confirm", "ok");
        if opened.is_some() && confirmed == Some(&Value::Bool(true)) {
            return said("state-ok");
        }
        let schema = json!({
            "type": "object",
            "properties": { "ok": { "type": "boolean" } },
            "required": ["ok"]
        });
        let question = question("Please confirm", schema)?;
        ask(context, [("confirm", question)], Some(self.sealed("asked"))).map(Into::into)
    }

    fn ask_for_colour(&self, context: &Context, name: &str) -> Answer {
        let schema = json!({
            "type": "object",
            "properties": { "color": { "type": "string" } },
            "required": ["color"]
        });
        let question = question("Step 2: What is your favorite color?", schema)?;
        ask(context, [("step2", question)], Some(self.sealed(name))).map(Into::into)
    }

    fn sealed(&self, text: &str) -> String {
        self.state.seal(text.as_bytes())
    }

    /// What was sealed, if the client brought something back.
    fn opened(&self, state: Option<&str>) -> Result<Option<String>, ErrorData> {
        let refused = || ErrorData::invalid_params("requestState is not what was given out", None);
        let Some(state) = state else {
            return Ok(None);
        };
        let opened = self.state.open(state).map_err(|_| refused())?;
        String::from_utf8(opened).map(Some).map_err(|_| refused())
    }
}

/// Asks, unless the client cannot answer one of the questions.
pub(crate) fn ask<'k>(
    context: &Context,
    questions: impl IntoIterator<Item = (&'k str, InputRequest)>,
    state: Option<String>,
) -> Result<InputRequiredResult, ErrorData> {
    let declared = context.client_capabilities().unwrap_or_default();
    let mut requests = rmcp::model::InputRequests::new();
    for (key, question) in questions {
        if let Some(missing) = lacks(&declared, &question) {
            return Err(ErrorData::missing_required_client_capability(missing));
        }
        requests.insert(key.to_owned(), question);
    }
    Ok(InputRequiredResult::new(Some(requests), state))
}

/// A form for the user.
pub(crate) fn question(message: &str, schema: Value) -> Result<InputRequest, ErrorData> {
    form(message, schema).map(|form| InputRequest::Elicitation(ElicitRequest::new(form)))
}

/// A field of the form that the user filled in and sent.
pub(crate) fn content_of<'r>(
    responses: Option<&'r Responses>,
    key: &str,
    field: &str,
) -> Option<&'r Value> {
    let response = responses?.get(key)?;
    if response.get("action")?.as_str()? != "accept" {
        return None;
    }
    response.get("content")?.get(field)
}

fn greeting(context: &Context, responses: Option<&Responses>) -> Answer {
    let key = "user_name";
    match content_of(responses, key, "name").and_then(Value::as_str) {
        Some(name) => said(&format!("Hello, {name}!")),
        None => {
            let question = name_question("What is your name?")?;
            ask(context, [(key, question)], None).map(Into::into)
        }
    }
}

fn name_question(message: &str) -> Result<InputRequest, ErrorData> {
    let schema = json!({
        "type": "object",
        "properties": { "name": { "type": "string" } },
        "required": ["name"]
    });
    question(message, schema)
}

fn model_question(text: &str, tokens: u32) -> InputRequest {
    let question = vec![SamplingMessage::user_text(text)];
    let question = CreateMessageRequestParams::new(question, tokens);
    InputRequest::CreateMessage(CreateMessageRequest::new(question))
}

fn model_text<'r>(responses: Option<&'r Responses>, key: &str) -> Option<&'r str> {
    responses?.get(key)?.get("content")?.get("text")?.as_str()
}

fn roots_question() -> InputRequest {
    InputRequest::ListRoots(ListRootsRequest::default())
}

fn roots(responses: Option<&Responses>, key: &str) -> Option<String> {
    let roots = responses?.get(key)?.get("roots")?.as_array()?;
    let uris = roots.iter().filter_map(|root| root.get("uri")?.as_str());
    Some(uris.collect::<Vec<_>>().join(", "))
}

/// The capability that a question needs, if the client has not declared it.
fn lacks(declared: &ClientCapabilities, question: &InputRequest) -> Option<ClientCapabilities> {
    let mut missing = ClientCapabilities::default();
    match question {
        InputRequest::Elicitation(_) if declared.elicitation.is_none() => {
            missing.elicitation = Some(ElicitationCapability::default());
        }
        InputRequest::CreateMessage(_) if declared.sampling.is_none() => {
            missing.sampling = Some(SamplingCapability::default());
        }
        InputRequest::ListRoots(_) if declared.roots.is_none() => {
            missing.roots = Some(RootsCapabilities::default());
        }
        _ => return None,
    }
    Some(missing)
}

fn said(text: &str) -> Answer {
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
}
