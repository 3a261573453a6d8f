//! What the environment says about the export of traces.

use std::fmt;
use std::time::Duration;

/// A variable of the environment that cannot be used. Its value is not in it: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct InvalidOtlpConfig {
    /// Name of the variable.
    pub variable: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// How traces travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// `http/protobuf`: requests of HTTP/1.1 or HTTP/2 with a body in protobuf, usually to port 4318.
    #[default]
    HttpProtobuf,
    /// `grpc`, usually to port 4317.
    Grpc,
}

impl fmt::Display for OtlpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
        })
    }
}

/// Where traces go, and how. Headers may hold a token, so their values are not in its debug form.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    endpoint: String,
    protocol: OtlpProtocol,
    service_name: Option<String>,
    headers: Vec<(String, String)>,
    timeout: Duration,
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("service_name", &self.service_name)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish()
    }
}

impl OtlpConfig {
    /// Reads the environment. `None` if it names no endpoint, or turns the export off.
    ///
    /// # Errors
    /// [`InvalidOtlpConfig`] with the variable that cannot be used.
    pub fn from_env() -> Result<Option<Self>, InvalidOtlpConfig> {
        Self::from_variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads variables from elsewhere; an empty one counts as unset.
    ///
    /// ```
    /// use scaling_core::telemetry::otlp::{OtlpConfig, OtlpProtocol};
    ///
    /// let config = OtlpConfig::from_variables(|name| match name {
    ///     "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://collector:4318".into()),
    ///     _ => None,
    /// })?;
    /// let config = config.ok_or("no endpoint")?;
    /// assert_eq!((config.endpoint(), config.protocol()), ("http://collector:4318/v1/traces", OtlpProtocol::HttpProtobuf));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, InvalidOtlpConfig> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        // The variable for traces alone, and otherwise the one for all signals.
        let either = |suffix: &str| {
            ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"].into_iter().find_map(|prefix| {
                let name = format!("{prefix}{suffix}");
                set(&name).map(|value| (name, value))
            })
        };
        let invalid = |variable: &str, problem| InvalidOtlpConfig { variable: variable.to_owned(), problem };
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match set("OTEL_TRACES_EXPORTER").as_deref() {
            Some("none") => return Ok(None),
            None | Some("otlp") => {}
            Some(_) => return Err(invalid("OTEL_TRACES_EXPORTER", "must be otlp or none")),
        }
        let protocol = match either("PROTOCOL") {
            None => OtlpProtocol::default(),
            Some((name, value)) => match &*value {
                "grpc" => OtlpProtocol::Grpc,
                "http/protobuf" => OtlpProtocol::HttpProtobuf,
                _ => return Err(invalid(&name, "must be http/protobuf or grpc")),
            },
        };
        let Some((name, mut endpoint)) = either("ENDPOINT") else { return Ok(None) };
        check_endpoint(&endpoint).map_err(|problem| invalid(&name, problem))?;
        if protocol == OtlpProtocol::HttpProtobuf && name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
            endpoint.truncate(endpoint.trim_end_matches('/').len());
            endpoint.push_str("/v1/traces");
        }
        let headers = match either("HEADERS") {
            None => Vec::new(),
            Some((name, value)) => headers(&value).map_err(|problem| invalid(&name, problem))?,
        };
        let timeout = match either("TIMEOUT") {
            None => Duration::from_secs(10),
            Some((name, value)) => {
                let parsed = value.parse().ok().filter(|milliseconds| *milliseconds > 0);
                Duration::from_millis(parsed.ok_or_else(|| invalid(&name, "must be a number of milliseconds above 0"))?)
            }
        };
        Ok(Some(Self { endpoint, protocol, service_name: set("OTEL_SERVICE_NAME"), headers, timeout }))
    }

    /// URL that traces are sent to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How they travel.
    pub fn protocol(&self) -> OtlpProtocol {
        self.protocol
    }

    /// Name of the service that they are of, where one is set.
    pub fn service_name(&self) -> Option<&str> {
        self.service_name.as_deref()
    }

    /// Time for one export.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), &'static str> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or_default();
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("must be a URL that begins with http:// or https://");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err("names no host");
    }
    if authority.contains('@') {
        return Err("holds a user or password; send a token by OTEL_EXPORTER_OTLP_HEADERS");
    }
    if rest.contains(['?', '#']) || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("holds a query, a fragment or a space");
    }
    Ok(())
}

/// Reads `name=value,name=value`, in which values are percent-encoded.
fn headers(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or("must be name=value, separated by commas")?;
        let (name, value) = (name.trim().to_ascii_lowercase(), decoded(value.trim())?);
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("holds a name that no header can have");
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err("holds a value that is not visible ASCII");
        }
        Ok((name, value))
    };
    pairs.map(header).collect()
}

fn decoded(value: &str) -> Result<String, &'static str> {
    const PROBLEM: &str = "holds a % that begins no percent-encoded byte of UTF-8";
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit().ok_or(PROBLEM)?, digit().ok_or(PROBLEM)?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| PROBLEM)?);
    }
    String::from_utf8(bytes).map_err(|_| PROBLEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<OtlpConfig>, String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        OtlpConfig::from_variables(find).map_err(|error| error.to_string())
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn without_an_endpoint_or_with_export_turned_off_there_is_no_exporter() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
        assert_eq!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
        assert_eq!(read(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
    }

    #[test]
    fn the_variable_for_traces_wins_and_its_endpoint_is_taken_as_it_is() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/in");
        let config = read(&[ENDPOINT, traces, ("OTEL_SERVICE_NAME", "scaler")]).unwrap().unwrap();
        assert_eq!((config.endpoint(), config.service_name()), ("https://traces.example/in", Some("scaler")));
        assert_eq!(read(&[ENDPOINT]).unwrap().unwrap().endpoint(), "http://collector:4318/v1/traces");
        let grpc = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap().unwrap();
        assert_eq!((grpc.endpoint(), grpc.protocol()), ("http://collector:4318/", OtlpProtocol::Grpc));
    }

    #[test]
    fn headers_are_decoded_and_their_values_stay_out_of_debug_and_errors() {
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20s3cret, x-tenant=a%2Cb");
        let config = read(&[ENDPOINT, headers]).unwrap().unwrap();
        let expected = [("authorization", "Bearer s3cret"), ("x-tenant", "a,b")];
        assert_eq!(config.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(!format!("{config:?}").contains("s3cret"));
        for value in ["s3cret", "=s3cret", "a b=s3cret", "a=s3cret%0d%0ax", "a=s3cret%", "a=s3cret%zz", "a=s3cret%ff"] {
            let error = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", value)]).unwrap_err();
            assert!(error.starts_with("OTEL_EXPORTER_OTLP_HEADERS ") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_variable_and_without_its_value() {
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://s3cret"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret@collector"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector/?key=s3cret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ] {
            // The first of a name counts.
            let error = read(&[(variable, value), ENDPOINT]).unwrap_err();
            assert!(error.starts_with(variable) && !error.contains("s3cret"), "{value}: {error}");
        }
    }
}
