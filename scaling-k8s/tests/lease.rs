//! Leases of shards: where targets belong, what goes over the wire, and what is fenced. No server needed; time is paused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "lease/driver.rs"]
mod driver;
#[path = "lease/fence.rs"]
mod fence;
#[path = "lease/server.rs"]
mod server;

use std::time::Duration;

use proptest::prelude::*;
use scaling_core::Target;
use scaling_k8s::controller::lease::{LeaseSettings, LeaseSettingsError, LeaseTiming, shard_of};

/// Replicas of two releases share a fleet during a rollout: these values never change.
#[test]
fn shards_are_the_same_in_every_release() {
    let plain = Target::deployment("shop", "checkout");
    let cases = [
        (plain.clone(), 16, PINNED[0]),
        (plain.clone(), 1024, PINNED[1]),
        (plain.clone().with_hpa("checkout-hpa"), 1024, PINNED[2]),
        (plain.clone().in_cluster("eu-1"), 1024, PINNED[3]),
        (Target::deployment("bücher", "größe"), 1024, PINNED[4]),
        (Target::deployment("", ""), 1024, PINNED[5]),
    ];
    let found: Vec<u32> = cases.iter().map(|(target, shards, _)| shard_of(target, *shards)).collect();
    assert_eq!(found, PINNED);
    assert_eq!((shard_of(&plain, 1), shard_of(&plain, 0)), (0, 0));
}

const PINNED: [u32; 6] = [5, 331, 215, 491, 277, 479];

#[test]
fn shards_are_even() {
    let mut counts = [0_u32; 16];
    for workload in 0..16_000 {
        counts[shard_of(&Target::deployment(format!("team-{}", workload % 40), format!("web-{workload}")), 16)
            as usize] += 1;
    }
    // 1,000 each, with a standard deviation of 31.
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shard_depends_on_the_hpa_alone(
        cluster in proptest::option::of(".{0,8}"), namespace in ".{0,8}", hpa in ".{0,8}", name in ".{0,8}", kind in ".{0,8}",
        shards in any::<u32>(),
    ) {
        let mut target = Target::deployment(namespace, "web").with_hpa(hpa);
        target.cluster = cluster;
        let shard = shard_of(&target, shards);
        prop_assert!(shard < shards.max(1));
        target.name = name;
        prop_assert_eq!(shard_of(&target.of_kind(kind), shards), shard);
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let long = "a".repeat(41);
    for prefix in ["", "Shop", "-shop", "shop-", "shop.eu", "shop/eu", "größe", long.as_str()] {
        let refused = LeaseSettings::new(prefix, "default", "a");
        assert!(matches!(refused, Err(LeaseSettingsError::Name { what: "lease prefix", .. })), "{prefix}");
    }
    assert!(matches!(LeaseSettings::new("a", "", "a"), Err(LeaseSettingsError::Name { what: "namespace", .. })));
    assert!(matches!(LeaseSettings::new("a", "b", ""), Err(LeaseSettingsError::Replica(_))));
    let settings = LeaseSettings::new("a", "b", "c").unwrap();
    for shards in [0, 1025, u32::MAX] {
        assert_eq!(settings.clone().shards(shards), Err(LeaseSettingsError::Shards(shards)));
    }
    let millis = Duration::from_millis;
    for (duration, deadline, retry) in
        [(0, 0, 10), (1500, 900, 100), (3_601_000, 1000, 100), (1000, 901, 100), (3000, 2000, 667), (3000, 2000, 9)]
    {
        let refused = LeaseTiming::new(millis(duration), millis(deadline), millis(retry));
        assert!(matches!(refused, Err(LeaseSettingsError::Timing { .. })), "{duration} {deadline} {retry}");
    }
    assert!(LeaseTiming::new(Duration::MAX, Duration::MAX, Duration::MAX).is_err());
}

#[test]
fn no_two_processes_have_one_identity() {
    let identity = || LeaseSettings::new("a", "b", "operator-0").unwrap().identity().to_owned();
    let (one, other) = (identity(), identity());
    assert_ne!(one, other, "a process and its successor in the same pod");
    assert!(one.starts_with("operator-0_") && one.len() == "operator-0_".len() + 16, "{one}");
}
