//! Judges of requests: what the real APIs refuse, they refuse, and in the same words where those are known. `client_sdks.rs` holds them against the official SDKs.

use serde_json::{Map, Value, json};

use super::server::{Reply, Seen};

/// Key that the judges take.
pub const KEY: &str = "sk-test/aB3+x=9-key";

/// Who is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Anthropic,
    OpenAi,
    Azure,
    AzureDated,
    Groq,
    Vllm,
    Ollama,
    LlamaCpp,
}

impl Api {
    pub const BOTH: [Self; 2] = [Self::Anthropic, Self::OpenAi];

    /// The refusal of a request, if it is not what the API takes.
    pub fn refusal(self, seen: &Seen) -> Option<Reply> {
        let judged = if self == Self::Anthropic { anthropic(seen) } else { openai(self, seen) };
        let refused = judged.err()?;
        Some(Reply::answer(refused.status, &[("content-type", "application/json")], self.error(&refused)))
    }

    /// Body of an error as the API writes it.
    fn error(self, refused: &Refused) -> String {
        let Refused { kind, what, .. } = refused;
        match self {
            Self::Anthropic => {
                json!({"type": "error", "error": {"type": kind, "message": what}, "request_id": "req_1"}).to_string()
            }
            // The judges of local servers give integers as codes, OpenAI gives strings or null.
            Self::Vllm | Self::LlamaCpp => {
                json!({"error": {"message": what, "type": kind, "param": null, "code": refused.status}}).to_string()
            }
            _ => json!({"error": {"message": what, "type": kind, "param": null, "code": null}}).to_string(),
        }
    }
}

/// A request that is refused.
#[derive(Debug)]
struct Refused {
    status: u16,
    kind: &'static str,
    what: String,
}

type Judged = Result<(), Refused>;

fn refuse<T>(status: u16, kind: &'static str, what: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { status, kind, what: what.into() })
}

fn invalid<T>(what: impl Into<String>) -> Result<T, Refused> {
    refuse(400, "invalid_request_error", what)
}

fn holds(holds: bool, what: impl Into<String>) -> Judged {
    if holds { Ok(()) } else { invalid(what) }
}

/// Top-level fields of a message.
pub const ANTHROPIC_FIELDS: [&str; 19] = [
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
    "workspace_id",
];

/// Top-level fields of a chat completion.
pub const OPENAI_FIELDS: [&str; 37] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const ANTHROPIC_MODELS: [&str; 6] = [
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-opus-4-6",
    "claude-haiku-4-5",
    "claude-sonnet-4-5",
];

fn body(seen: &Seen) -> Result<Map<String, Value>, Refused> {
    holds(seen.header("content-type") == Some("application/json"), "content-type: application/json is wanted")?;
    match serde_json::from_slice(&seen.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => invalid("the body is no object"),
        Err(error) => invalid(format!("the body is no JSON: {error}")),
    }
}

fn anthropic(seen: &Seen) -> Judged {
    if seen.line != "POST /v1/messages HTTP/1.1" {
        return refuse(404, "not_found_error", format!("{}: Not Found", seen.line));
    }
    match (seen.header("x-api-key"), seen.header("authorization")) {
        (Some(_), Some(_)) => return invalid("x-api-key and Authorization: one of them, please"),
        (Some(KEY), None) => {}
        (None, Some(bearer)) if bearer.strip_prefix("Bearer ") == Some(KEY) => {}
        _ => return refuse(401, "authentication_error", "invalid x-api-key"),
    }
    let version = seen.header("anthropic-version");
    holds(version.is_some(), "anthropic-version: header is required")?;
    holds(matches!(version, Some("2023-06-01" | "2026-10-21")), "anthropic-version: unknown")?;
    holds(seen.header("anthropic-beta").is_none(), "anthropic-beta: nothing here is beta")?;
    let body = body(seen)?;
    for sampling in ["temperature", "top_p", "top_k"] {
        let is_refused = body.contains_key(sampling) && version == Some("2026-10-21");
        holds(!is_refused, format!("`{sampling}` is not supported in this version"))?;
    }
    let unknown = body.keys().find(|name| !ANTHROPIC_FIELDS.contains(&name.as_str()));
    if let Some(name) = unknown.filter(|name| !["temperature", "top_p", "top_k"].contains(&name.as_str())) {
        return invalid(format!("{name}: Extra inputs are not permitted"));
    }
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    holds(!model.is_empty(), "model: Field required")?;
    if !ANTHROPIC_MODELS.contains(&model) {
        return refuse(404, "not_found_error", format!("model: {model}"));
    }
    let tokens = body.get("max_tokens").and_then(Value::as_u64);
    holds(tokens.is_some_and(|tokens| tokens > 0), "max_tokens: Field required")?;
    if let Some(system) = body.get("system") {
        holds(
            system.as_str().is_some_and(|text| !text.trim().is_empty()),
            "system: text content blocks must be non-empty",
        )?;
    }
    turns(&body, &["user", "assistant"])?;
    let Some(config) = body.get("output_config") else { return Ok(()) };
    only(config, &["effort", "format"])?;
    if let Some(effort) = config.get("effort") {
        let known = ["low", "medium", "high", "xhigh", "max"].map(Value::from);
        holds(
            known.contains(effort),
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        )?;
        holds(!model.contains("-4-5"), "This model does not support the effort parameter.")?;
    }
    let Some(format) = config.get("format") else { return Ok(()) };
    only(format, &["type", "schema"])?;
    holds(format.get("type") == Some(&json!("json_schema")), "output_config.format.type: 'json_schema' is wanted")?;
    schema(format.get("schema").unwrap_or(&Value::Null), false, true)
}

fn openai(api: Api, seen: &Seen) -> Judged {
    let path = match api {
        Api::Azure | Api::Groq => "/openai/v1/chat/completions",
        Api::AzureDated => "/openai/deployments/scaler/chat/completions?api-version=2024-10-21",
        _ => "/v1/chat/completions",
    };
    if seen.line != format!("POST {path} HTTP/1.1") {
        return refuse(404, "invalid_request_error", format!("Invalid URL ({})", seen.line));
    }
    let keys = (seen.header("authorization"), seen.header("api-key"), seen.header("x-api-key"));
    let is_known = match api {
        Api::Azure | Api::AzureDated => keys == (None, Some(KEY), None),
        Api::Vllm | Api::Ollama | Api::LlamaCpp => keys == (None, None, None),
        _ => keys.0.and_then(|bearer| bearer.strip_prefix("Bearer ")) == Some(KEY) && (keys.1, keys.2) == (None, None),
    };
    if !is_known {
        return refuse(401, "invalid_request_error", "Incorrect API key provided");
    }
    let body = body(seen)?;
    if let Some(name) = body.keys().find(|name| !OPENAI_FIELDS.contains(&name.as_str())) {
        return invalid(format!("Unrecognized request argument supplied: {name}"));
    }
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    holds(!model.is_empty(), "you must provide a model parameter")?;
    let reasons = model.starts_with("gpt-5") || model.starts_with("gpt-6");
    holds(!(reasons && body.contains_key("max_tokens")), "Unsupported parameter: 'max_tokens'")?;
    let temperature = body.get("temperature").is_none_or(|value| value.as_f64() == Some(1.0));
    holds(temperature || !reasons, "Unsupported value: 'temperature'")?;
    // Where one of the two fields is not read, the answer has no limit.
    let (read, other) = match api {
        Api::Ollama | Api::LlamaCpp => ("max_tokens", "max_completion_tokens"),
        _ => ("max_completion_tokens", "max_tokens"),
    };
    holds(!body.contains_key(other), format!("{other} would be dropped"))?;
    holds(body.get(read).is_none_or(|tokens| tokens.as_u64().is_some_and(|tokens| tokens > 0)), "no limit of tokens")?;
    turns(&body, &["system", "user", "assistant"])?;
    let Some(format) = body.get("response_format") else { return Ok(()) };
    only(format, &["type", "json_schema"])?;
    holds(format.get("type") == Some(&json!("json_schema")), "response_format.type: 'json_schema' is wanted")?;
    let named = format.get("json_schema").unwrap_or(&Value::Null);
    only(named, &["name", "description", "schema", "strict"])?;
    let name = named.get("name").and_then(Value::as_str).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    holds(
        !name.is_empty() && name.len() <= 64 && name.bytes().all(plain),
        "Invalid 'response_format.json_schema.name'",
    )?;
    holds(named.get("strict") == Some(&json!(true)), "not strict: nothing is constrained")?;
    schema(named.get("schema").unwrap_or(&Value::Null), true, true)
}

/// One system message first at most, then users and assistants by turns, a user at both ends.
fn turns(body: &Map<String, Value>, roles: &[&str]) -> Judged {
    let Some(turns) = body.get("messages").and_then(Value::as_array) else {
        return invalid("messages: Field required");
    };
    let mut said = Vec::new();
    for turn in turns {
        only(turn, &["role", "content"])?;
        let role = turn.get("role").and_then(Value::as_str).unwrap_or_default();
        holds(roles.contains(&role), format!("messages: unknown role {role:?}"))?;
        let text = turn.get("content").and_then(Value::as_str).unwrap_or_default();
        holds(!text.trim().is_empty(), "messages: text content blocks must be non-empty")?;
        said.push(role);
    }
    let talk = said.strip_prefix(&["system"]).unwrap_or(&said);
    holds(talk.first() == Some(&"user") && talk.last() == Some(&"user"), "messages: a user must begin and end them")?;
    let alternate = talk.iter().zip(talk.iter().skip(1)).all(|(role, next)| role != next);
    holds(alternate && !talk.contains(&"system"), "messages: roles must alternate")
}

fn only(object: &Value, known: &[&str]) -> Judged {
    let Some(object) = object.as_object() else { return invalid("an object is wanted") };
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => invalid(format!("{name}: Extra inputs are not permitted")),
        None => Ok(()),
    }
}

/// The subset of JSON Schema: of Anthropic, or of OpenAI's strict mode.
fn schema(schema_: &Value, openai: bool, root: bool) -> Judged {
    let Some(object) = schema_.as_object() else { return invalid("schema: an object is wanted") };
    let common = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "description",
        "title",
        "enum",
        "const",
        "items",
        "anyOf",
        "$ref",
        "$defs",
    ];
    let own: &[&str] =
        if openai { &["minimum", "maximum", "multipleOf", "minItems", "maxItems"] } else { &["allOf", "default"] };
    for keyword in object.keys().map(String::as_str) {
        let known = common.contains(&keyword) || own.contains(&keyword);
        holds(known, format!("schema: properties {keyword} are not supported"))?;
    }
    let kind = object.get("type");
    holds(!root || kind == Some(&json!("object")), "schema: an object is wanted at the root")?;
    holds(!(root && openai && object.contains_key("anyOf")), "schema: anyOf is not permitted at the root")?;
    if kind == Some(&json!("object")) {
        holds(object.get("additionalProperties") == Some(&json!(false)), "schema: additionalProperties must be false")?;
        let empty = Map::new();
        let properties = object.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<_> = object.get("required").and_then(Value::as_array).into_iter().flatten().collect();
        let whole = properties.keys().all(|name| required.iter().any(|known| known.as_str() == Some(name)));
        holds(whole || !openai, "schema: 'required' must name every property")?;
        for property in properties.values() {
            schema(property, openai, false)?;
        }
    }
    match object.get("items") {
        Some(items) => schema(items, openai, false),
        None => Ok(()),
    }
}
