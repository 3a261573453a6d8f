//! [`ResourceId`]: which Azure resource.

use std::fmt;
use std::str::FromStr;

/// The id of a resource, in lower case: Azure tells ids apart regardless of case.
///
/// ```
/// use scaling_core::source::azure_monitor::ResourceId;
/// let gateway: ResourceId = "/subscriptions/0000-1111/resourceGroups/Shop/providers/Microsoft.Network/applicationGateways/edge".parse()?;
/// assert_eq!((gateway.subscription(), gateway.kind()), ("0000-1111", "microsoft.network/applicationgateways"));
/// assert!("/subscriptions/0000-1111".parse::<ResourceId>().is_err());
/// # Ok::<(), scaling_core::source::azure_monitor::InvalidResourceId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId {
    id: String,
    kind: String,
}

/// No id of a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no resource id: expected /subscriptions/ID/resourceGroups/NAME/providers/NAMESPACE/TYPE/NAME")]
pub struct InvalidResourceId(String);

impl ResourceId {
    /// Id of its subscription.
    pub fn subscription(&self) -> &str {
        self.id.split('/').nth(2).unwrap_or_default()
    }

    /// Its type, such as `microsoft.network/applicationgateways`, which is also the namespace of its platform metrics.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.id
    }
}

impl FromStr for ResourceId {
    type Err = InvalidResourceId;

    fn from_str(text: &str) -> Result<Self, InvalidResourceId> {
        let refused = || InvalidResourceId(text.chars().take(300).collect());
        let id = text.trim().trim_end_matches('/').to_ascii_lowercase();
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')' | '~');
        let parts: Vec<&str> = id.split('/').collect();
        let ["", "subscriptions", _, "resourcegroups", _, "providers", namespace, types @ ..] = parts.as_slice() else {
            return Err(refused());
        };
        let named = !types.is_empty() && types.len().is_multiple_of(2);
        let clean = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(allowed);
        if !named || id.len() > 2000 || !parts.iter().skip(1).all(|part| clean(part)) {
            return Err(refused());
        }
        let kind = types.iter().step_by(2).fold((*namespace).to_owned(), |kind, name| format!("{kind}/{name}"));
        Ok(Self { id, kind })
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_regardless_of_case_and_refused_where_they_would_lead_elsewhere() {
        let id = "/Subscriptions/S/resourceGroups/RG/providers/Microsoft.Sql/servers/A/databases/B/";
        let read: ResourceId = id.parse().unwrap();
        assert_eq!(read.as_str(), "/subscriptions/s/resourcegroups/rg/providers/microsoft.sql/servers/a/databases/b");
        assert_eq!(read.kind(), "microsoft.sql/servers/databases");
        for wrong in [
            "",
            "subscriptions/s/resourceGroups/rg/providers/n/t/x",
            "/subscriptions/s/resourceGroups/rg/providers/n/t",
            "/subscriptions//resourceGroups/rg/providers/n/t/x",
            "/subscriptions/s/resourceGroups/rg/providers/n/t/x?y=1",
            "/subscriptions/s/resourceGroups/../providers/n/t/x",
            "/subscriptions/s/resourceGroups/rg/providers/n/t/x y",
        ] {
            assert!(wrong.parse::<ResourceId>().is_err(), "{wrong}");
        }
    }
}
