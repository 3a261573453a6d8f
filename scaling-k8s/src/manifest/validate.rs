//! The API server's checks of an object's metadata; [`HpaSpec::validate`](scaling_core::HpaSpec::validate) checks the rest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use scaling_core::hpa::names::{is_label_value, is_qualified_name};
use scaling_core::hpa::{Fault, InvalidHpa};

/// Largest size of all annotations of an object together, in bytes.
const MAX_ANNOTATIONS: usize = 256 << 10;

type Checked = Result<(), InvalidHpa>;

fn require(holds: bool, field: &str, what: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(Fault::new(field, what).into()) }
}

pub(super) fn metadata(metadata: &ObjectMeta) -> Checked {
    for (key, value) in metadata.labels.iter().flatten() {
        let field = format!("metadata.labels[{key:?}]");
        require(is_qualified_name(key), &field, "the key must be a qualified name")?;
        require(is_label_value(value), &field, "the value must be a label value")?;
    }
    let mut size = 0;
    for (key, value) in metadata.annotations.iter().flatten() {
        let field = format!("metadata.annotations[{key:?}]");
        require(is_qualified_name(&key.to_lowercase()), &field, "the key must be a qualified name")?;
        size += key.len() + value.len();
    }
    require(size <= MAX_ANNOTATIONS, "metadata.annotations", "must have 256 KiB at most")
}
