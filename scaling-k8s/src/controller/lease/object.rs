//! Leases as objects of the API: names, labels, and what is said in them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::machine::{Key, Seen, Standing, Write};
use super::settings::LeaseSettings;

/// Label of all Leases of a group; its value is the prefix of their names.
pub(super) const GROUP: &str = "kube-scaling/lease-group";
/// Annotation with the number of shards that the holder divides the fleet into.
const SHARDS: &str = "kube-scaling/shards";

pub(super) fn name(settings: &LeaseSettings, key: Key) -> String {
    match key {
        Key::Shard(index) => format!("{}-shard-{index}", settings.prefix),
        Key::Member(index) => format!("{}-member-{index}", settings.prefix),
    }
}

fn key(settings: &LeaseSettings, name: &str) -> Option<Key> {
    let rest = name.strip_prefix(&settings.prefix)?.strip_prefix('-')?;
    let (kind, index) = rest.split_once('-')?;
    let number: u32 = index.parse().ok()?;
    let key = match kind {
        "shard" => Key::Shard(number),
        "member" => Key::Member(number),
        _ => return None,
    };
    // `007` and `+7` are other objects than `7`.
    (number.to_string() == index).then_some(key)
}

/// The content of an object; none if its name is not one of this group.
pub(super) fn seen(settings: &LeaseSettings, lease: &Lease) -> Option<Seen> {
    let key = key(settings, lease.metadata.name.as_deref()?)?;
    let version = lease.metadata.resource_version.clone()?;
    Some(Seen { key, version, standing: standing(lease) })
}

fn standing(lease: &Lease) -> Standing {
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty());
    // A holder that gives it up removes this too; somebody who just removes the holder does not.
    let was_renewed = spec.is_some_and(|spec| spec.renew_time.is_some());
    if holder.is_none() && !was_renewed {
        return Standing::Free;
    }
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    let shards = lease.metadata.annotations.as_ref().and_then(|all| all.get(SHARDS)).and_then(|n| n.parse().ok());
    Standing::Held { holder, shards, duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) }
}

/// Body of a request that creates a Lease, or that patches the fields it names; bound to the version, where there is one. The times are for people.
pub(super) fn body(
    settings: &LeaseSettings,
    key: Key,
    version: Option<&str>,
    write: Write,
    transitions: i32,
    now: Timestamp,
) -> Value {
    let mut metadata = json!({ "name": name(settings, key), "labels": { GROUP: settings.prefix } });
    if let Some(fields) = metadata.as_object_mut() {
        fields.extend(version.map(|version| ("resourceVersion".to_owned(), version.into())));
        if write != Write::Place {
            fields.insert("annotations".to_owned(), json!({ SHARDS: settings.shards.to_string() }));
        }
    }
    let time = format!("{now:.6}");
    let spec = match write {
        Write::Claim => json!({
            "holderIdentity": settings.identity,
            "leaseDurationSeconds": settings.timing.duration().as_secs(),
            "acquireTime": time,
            "renewTime": time,
            "leaseTransitions": transitions,
        }),
        Write::Renew => json!({
            "holderIdentity": settings.identity,
            "leaseDurationSeconds": settings.timing.duration().as_secs(),
            "renewTime": time,
        }),
        Write::Place => {
            json!({ "leaseDurationSeconds": settings.timing.duration().as_secs(), "renewTime": time })
        }
        Write::Release => json!({
            "holderIdentity": null, "leaseDurationSeconds": null, "acquireTime": null, "renewTime": null,
        }),
    };
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_group_are_keys() {
        let settings = LeaseSettings::new("shop", "default", "a").unwrap();
        for key in [Key::Shard(0), Key::Shard(1023), Key::Member(7)] {
            assert_eq!(super::key(&settings, &name(&settings, key)), Some(key));
        }
        for other in [
            "shop",
            "shop-",
            "shop-shard",
            "shop-shard-",
            "shop-shard-07",
            "shop-shard-+7",
            "shop-shard--7",
            "shop-shard-4294967296",
            "shop-other-1",
            "workshop-shard-1",
            "shop-member-1-shard-1",
            "",
        ] {
            assert_eq!(super::key(&settings, other), None, "{other}");
        }
    }

    fn lease(value: Value) -> Lease {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_not_known_to_be_free_is_held() {
        let settings = LeaseSettings::new("shop", "default", "a").unwrap().shards(4).unwrap();
        let held = body(&settings, Key::Shard(1), Some("7"), Write::Claim, 3, Timestamp::UNIX_EPOCH);
        let claimed = seen(&settings, &lease(held.clone())).unwrap();
        let holder = Some(settings.identity.clone());
        let duration = Duration::from_secs(15);
        assert_eq!(claimed.standing, Standing::Held { holder, shards: Some(4), duration });
        assert_eq!((claimed.key, claimed.version.as_str()), (Key::Shard(1), "7"));
        assert_eq!(held["spec"]["renewTime"], "1970-01-01T00:00:00.000000Z");

        let mut by_hand = held.clone();
        by_hand["spec"]["holderIdentity"] = Value::Null;
        let cleared = seen(&settings, &lease(by_hand)).unwrap().standing;
        assert_eq!(cleared, Standing::Held { holder: None, shards: Some(4), duration });

        let released = body(&settings, Key::Shard(1), Some("8"), Write::Release, 3, Timestamp::UNIX_EPOCH);
        assert_eq!(seen(&settings, &lease(released)).unwrap().standing, Standing::Free);

        let mut odd = held;
        odd["spec"]["leaseDurationSeconds"] = (-5).into();
        odd["metadata"]["annotations"] = json!({ SHARDS: "many" });
        let odd = seen(&settings, &lease(odd)).unwrap().standing;
        assert!(matches!(odd, Standing::Held { shards: None, duration: Duration::ZERO, .. }));
    }
}
