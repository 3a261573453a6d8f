//! Bodies as the real APIs send them. `client_sdks.rs` lets the official SDKs read them.

use serde_json::{Value, json};

use super::server::Reply;
use super::strict::Api;

/// An answer that is right in every way.
pub const ADVICE: &str =
    r#"{"assessment":"the queue grows","action":"scale","target_replicas":5,"confidence_percent":90}"#;

impl Api {
    /// Body of a complete answer with this text.
    pub fn says(self, text: &str) -> Value {
        match self {
            Self::Anthropic => self.ends("end_turn", &json!([{"type": "text", "text": text}])),
            _ => self.ends("stop", &json!({"role": "assistant", "content": text, "refusal": null})),
        }
    }

    /// Body of an answer that ends for `reason`: with content blocks, or with the message of its choice.
    pub fn ends(self, reason: &str, content: &Value) -> Value {
        match self {
            Self::Anthropic => json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5",
                "content": content, "stop_reason": reason, "stop_sequence": null, "stop_details": null,
                "usage": {
                    "input_tokens": 900, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 40,
                    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 0},
                    "output_tokens_details": {"thinking_tokens": 9}, "service_tier": "standard",
                },
            }),
            _ => json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_000_000, "model": "gpt-5.4-mini-2026-03-05",
                "choices": [{"index": 0, "message": content, "finish_reason": reason, "logprobs": null}],
                "usage": {
                    "prompt_tokens": 1020, "completion_tokens": 40, "total_tokens": 1060,
                    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
                    "completion_tokens_details": {"reasoning_tokens": 9},
                },
            }),
        }
    }

    /// Body of an answer whose text was cut off, though what is there can be read.
    pub fn truncated(self) -> Value {
        match self {
            Self::Anthropic => self.ends("max_tokens", &json!([{"type": "text", "text": ADVICE}])),
            _ => self.ends("length", &json!({"role": "assistant", "content": ADVICE, "refusal": null})),
        }
    }

    /// Body of a refusal, which may carry something that looks like an answer.
    pub fn refuses(self) -> Value {
        match self {
            Self::Anthropic => {
                let mut body = self.ends("refusal", &json!([{"type": "text", "text": ADVICE}]));
                let details = json!({"type": "refusal", "category": "cyber", "explanation": null});
                if let Some(fields) = body.as_object_mut() {
                    fields.insert("stop_details".into(), details);
                }
                body
            }
            _ => {
                self.ends("stop", &json!({"role": "assistant", "content": null, "refusal": "I cannot help with that."}))
            }
        }
    }

    /// Body of an error.
    pub fn fails(self, kind: &str, code: Option<&str>) -> Value {
        match self {
            Self::Anthropic => {
                let details = code.map(|code| json!({"error_code": code}));
                json!({"type": "error", "error": {"type": kind, "message": "m", "details": details}, "request_id": "req_1"})
            }
            _ => json!({"error": {"message": "m", "type": kind, "param": null, "code": code}}),
        }
    }
}

/// A success with this body.
pub fn ok(body: &Value) -> Reply {
    Reply::answer(
        200,
        &[("content-type", "application/json"), ("request-id", "req_7"), ("x-request-id", "req_7")],
        body.to_string(),
    )
}
