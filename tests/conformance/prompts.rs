//! The prompts.

use rmcp::ErrorData;
use rmcp::model::{
    ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult, Prompt,
    PromptArgument, PromptMessage, Role,
};
use serde_json::json;

use crate::fixture::Context;
use crate::resources::{PNG, text};
use crate::rounds::{self, content_of};

const SIMPLE: &str = "test_simple_prompt";
const ARGUMENTS: &str = "test_prompt_with_arguments";
const RESOURCE: &str = "test_prompt_with_embedded_resource";
const IMAGE: &str = "test_prompt_with_image";
const INPUT: &str = "test_input_required_result_prompt";

pub(crate) fn list() -> Vec<Prompt> {
    let required = |name: &str, description: &str| {
        PromptArgument::new(name)
            .with_description(description)
            .with_required(true)
    };
    vec![
        Prompt::new(SIMPLE, Some("A prompt without arguments"), None),
        Prompt::new(
            ARGUMENTS,
            Some("A prompt that repeats its arguments"),
            Some(vec![
                required("arg1", "First test argument"),
                required("arg2", "Second test argument"),
            ]),
        ),
        Prompt::new(
            RESOURCE,
            Some("A prompt that embeds a resource"),
            Some(vec![required("resourceUri", "URI of the resource")]),
        ),
        Prompt::new(IMAGE, Some("A prompt with an image"), None),
        Prompt::new(INPUT, Some("A prompt that first asks the user"), None),
    ]
}

pub(crate) fn get(
    request: &GetPromptRequestParams,
    context: &Context,
) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|all| all.get(name));
        let value = value.and_then(|value| value.as_str());
        value.ok_or_else(|| ErrorData::invalid_params(format!("{name} is missing"), None))
    };
    let messages = match request.name.as_str() {
        SIMPLE => vec![said("This is a simple prompt for testing.")],
        ARGUMENTS => {
            let (first, second) = (argument("arg1")?, argument("arg2")?);
            let text = format!("Prompt with arguments: arg1='{first}', arg2='{second}'");
            vec![said(&text)]
        }
        RESOURCE => {
            let uri = argument("resourceUri")?;
            let resource = text(uri, "Embedded resource content for testing.");
            vec![
                PromptMessage::new(Role::User, ContentBlock::resource(resource)),
                said("Please process the embedded resource above."),
            ]
        }
        IMAGE => vec![
            PromptMessage::new(Role::User, ContentBlock::image(PNG, "image/png")),
            said("Please analyze the image above."),
        ],
        INPUT => {
            let schema = json!({
                "type": "object",
                "properties": { "context": { "type": "string" } },
                "required": ["context"]
            });
            let question = rounds::question("What context should the prompt use?", schema)?;
            let responses = request.input_responses.as_ref();
            let content = content_of(responses, "user_context", "context");
            let Some(content) = content.as_ref().and_then(|content| content.as_str()) else {
                let asked = [("user_context", question)];
                return rounds::ask(context, asked, None).map(Into::into);
            };
            vec![said(&format!("Prompt in the context of: {content}"))]
        }
        name => {
            let problem = format!("there is no prompt {name}");
            return Err(ErrorData::invalid_params(problem, None));
        }
    };
    Ok(GetPromptResult::new(messages).into())
}

fn said(text: &str) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}
