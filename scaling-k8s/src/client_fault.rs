//! [`ClientFault`]: a failed request in one sentence, with what to do about it.
//!
//! The client's own texts repeat themselves, show its types, and leave the cause out (`ServiceError: client error (Connect)`). A person who
//! reads them needs to know what happened and what to do: which right is missing, whether anybody listens, whose certificate is not
//! trusted.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

/// Longest text of a server or of a cause that is repeated.
const SAID: usize = 300;

/// A failed request to an API server. As text it is one sentence: cause, and what to do.
///
/// ```
/// use scaling_k8s::ClientFault;
/// use scaling_k8s::kube::{Error, core::Status};
///
/// let refused = Status {
///     code: 403,
///     message: r#"leases.coordination.k8s.io is forbidden: User "ada" cannot list resource "leases" in API group "coordination.k8s.io" in the namespace "ops""#.to_owned(),
///     ..Status::default()
/// };
/// assert_eq!(
///     ClientFault::from(Error::Api(refused.into())).to_string(),
///     "ada may not list leases.coordination.k8s.io in namespace ops (403): grant the verb list on that resource by a Role"
/// );
/// ```
#[derive(Debug)]
pub struct ClientFault(kube::Error);

impl ClientFault {
    /// The sentence on an error that is not owned.
    pub fn explain(error: &kube::Error) -> String {
        match error {
            kube::Error::Api(status) => answered(status.code, &status.message),
            kube::Error::SerdeError(error) => format!(
                "the answer is not what an API server says ({}); does something else answer at that address?",
                cut(&error.to_string())
            ),
            kube::Error::FromUtf8(_) => {
                "the answer is no text; does something else than an API server answer at that address?".to_owned()
            }
            other => unanswered(other),
        }
    }

    /// The right that was missing, if that is what failed.
    pub fn missing_right(&self) -> Option<MissingRight> {
        match &self.0 {
            kube::Error::Api(status) if status.code == 403 => MissingRight::read(&status.message),
            _ => None,
        }
    }
}

impl From<kube::Error> for ClientFault {
    fn from(error: kube::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::explain(&self.0))
    }
}

impl Error for ClientFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// A right that an account lacks, as the API server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingRight {
    /// The account.
    pub user: String,
    /// Verb of the rule, such as `get`.
    pub verb: String,
    /// Plural of the resource, and after a slash its subresource: `deployments/scale`.
    pub resource: String,
    /// API group; empty for the core.
    pub group: String,
    /// Namespace; none if it is about the whole cluster.
    pub namespace: Option<String>,
}

impl MissingRight {
    /// Reads the words in which an API server refuses what no rule allows: `User "ada" cannot get resource "pods" in API group "" in the
    /// namespace "shop"`. None for another refusal, such as that of an admission webhook.
    pub fn read(message: &str) -> Option<Self> {
        let (_, rest) = message.split_once("User \"")?;
        let (user, rest) = rest.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (group, rest) = rest.split_once('"')?;
        let namespace = rest.strip_prefix(" in the namespace \"").and_then(|rest| rest.split_once('"'));
        let text = |text: &str| cut(text);
        Some(Self {
            user: text(user),
            verb: text(verb),
            resource: text(resource),
            group: text(group),
            namespace: namespace.map(|(namespace, _)| text(namespace)),
        })
    }
}

impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, verb, resource, group, namespace } = self;
        let dot = if group.is_empty() { "" } else { "." };
        let (place, role) = match namespace {
            Some(namespace) => (format!("in namespace {namespace}"), "Role"),
            None => ("in the whole cluster".to_owned(), "ClusterRole"),
        };
        write!(
            f,
            "{user} may not {verb} {resource}{dot}{group} {place} (403): grant the verb {verb} on that resource by a {role}"
        )
    }
}

/// An answer with a status that is no success.
pub(crate) fn answered(code: u16, message: &str) -> String {
    let said = cut(message);
    match code {
        401 => "the API server does not know who asks (401): the token or certificate is missing, has expired, or is of another cluster; \
                renew the credentials of the context"
            .to_owned(),
        403 => match MissingRight::read(message) {
            Some(right) => right.to_string(),
            None => format!("not allowed (403): {said}"),
        },
        // JSON that is no status: something between us and the API server.
        0 => format!("a proxy or load balancer answered in place of the API server: {}", if said.is_empty() { "nothing" } else { &said }),
        429 => format!("the API server is too busy (429): {said}; try again later"),
        500.. => format!("the API server failed ({code}): {said}; try again later"),
        _ => format!("{code}: {said}"),
    }
}

/// A request without an answer.
fn unanswered(error: &kube::Error) -> String {
    let causes = || std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source());
    let innermost = causes().last().map(|cause| cut(&cause.to_string())).unwrap_or_default();
    let io = causes().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).last();
    let text = causes().map(|cause| cause.to_string().to_lowercase()).collect::<Vec<_>>().join(": ");
    let what = match io.map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => {
            "nobody listens at the address of the API server; is it up, and is `server` of the context right?"
        }
        Some(ErrorKind::TimedOut) => {
            "no connection to the API server in time; is `server` of the context right, and no firewall in between?"
        }
        Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
            "no way to the address of the API server; is `server` of the context right, and the network up?"
        }
        _ if text.contains("dns error") || text.contains("lookup address") => {
            "the name of the API server is not known; is `server` of the context right?"
        }
        _ if text.contains("certificate") => {
            "the certificate of the API server is not trusted; is `certificate-authority` of the context right?"
        }
        _ if text.contains("corrupt message") || text.contains("invalidcontenttype") => {
            "the server does not speak TLS; should `server` of the context begin with http:// or have another port?"
        }
        _ if text.contains("deadline has elapsed") || text.contains("timed out") => {
            "no answer from the API server in time; is `server` of the context right?"
        }
        _ if text.contains("bearer") => {
            "the token of the context cannot be sent; has its file a line break at the end?"
        }
        _ if matches!(error, kube::Error::Auth(_)) => {
            "the credentials of the context cannot be had; does its token file or its exec command work?"
        }
        _ => "the connection to the API server failed",
    };
    if innermost.is_empty() { what.to_owned() } else { format!("{what} ({innermost})") }
}

fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(SAID).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn said(code: u16, message: &str) -> String {
        ClientFault::from(kube::Error::Api(Status { code, message: message.to_owned(), ..Status::default() }.into()))
            .to_string()
    }

    #[test]
    fn a_missing_right_is_named_with_verb_resource_and_namespace() {
        let of = |rest: &str| format!("x is forbidden: User \"system:serviceaccount:ops:scaler\" cannot {rest}");
        let web = of(
            "get resource \"horizontalpodautoscalers\" in API group \"autoscaling\" in the namespace \"shop\": no role",
        );
        assert_eq!(
            said(403, &web),
            "system:serviceaccount:ops:scaler may not get horizontalpodautoscalers.autoscaling in namespace shop (403): \
             grant the verb get on that resource by a Role"
        );
        let all = of("list resource \"pods\" in API group \"\" at the cluster scope");
        assert!(said(403, &all).contains("may not list pods in the whole cluster (403)"), "{}", said(403, &all));
        let webhook = "admission webhook \"a.b\" denied the request: no";
        assert_eq!(said(403, webhook), format!("not allowed (403): {webhook}"));
        assert!(said(401, "Unauthorized").contains("(401)"));
        for hostile in ["", "User \"", "User \"a\" cannot get resource \"", &"User \"".repeat(1000)] {
            assert_eq!(MissingRight::read(hostile), None, "{hostile}");
        }
        let long = of(&format!("get resource \"{}\u{1b}[31m\" in API group \"\"", "ä".repeat(5000)));
        let said = said(403, &long);
        assert!(said.len() < 1000 && !said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn no_types_of_the_client_show() {
        let io = |kind| kube::Error::Service(Box::new(std::io::Error::from(kind)));
        let json = serde_json::from_str::<u32>("<html>").unwrap_err();
        for (error, what) in [
            (io(ErrorKind::ConnectionRefused), "nobody listens"),
            (io(ErrorKind::TimedOut), "no connection"),
            (io(ErrorKind::NetworkUnreachable), "no way"),
            (io(ErrorKind::BrokenPipe), "the connection to the API server failed"),
            (kube::Error::Service("invalid peer certificate: UnknownIssuer".into()), "not trusted"),
            (kube::Error::Service("dns error: failed to lookup address".into()), "name of the API server is not known"),
            (kube::Error::SerdeError(json), "does something else answer"),
        ] {
            let text = ClientFault::from(error).to_string();
            assert!(text.contains(what), "{text}");
            for noise in ["ServiceError", "Status {", "Custom {", "\n"] {
                assert!(!text.contains(noise), "{text}");
            }
        }
    }
}
