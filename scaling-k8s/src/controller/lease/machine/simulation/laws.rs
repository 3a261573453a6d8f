//! What holds of every run.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::{Fault, Millis, World};

/// A lease; the part of the pause between two looks that is not taken off it where the requests take their time; both by the slowest
/// clock; and a claim, the look after it, and one more of both where two have asked for the same. From the kill on, of whose last renewal
/// the answer may be under way.
const HANDED_OVER: Millis = (15_000 + 500) * 100 / 97 + 7 * 80;

/// Each case is some minutes of several replicas: a sixteenth of the usual number.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.div_ceil(16), ..usual }
}

fn faults(replicas: usize, shards: u32) -> impl Strategy<Value = Vec<(Millis, Fault)>> {
    let replica = 0..replicas;
    let fault = prop_oneof![
        replica.clone().prop_map(Fault::Kill),
        replica.clone().prop_map(Fault::Stop),
        (replica.clone(), 0_u64..40_000).prop_map(|(replica, millis)| Fault::Halt(replica, millis)),
        (replica.clone(), -10_000_000_i64..10_000_000).prop_map(|(replica, millis)| Fault::Jump(replica, millis)),
        (replica.clone(), -3_000_i64..3_000).prop_map(|(replica, millis)| Fault::Jump(replica, millis)),
        (replica, 0_u64..60_000).prop_map(|(replica, millis)| Fault::Cut(replica, millis)),
        (0..shards).prop_map(Fault::Delete),
        (0..shards).prop_map(Fault::Clear),
        (0..shards).prop_map(Fault::Hide),
    ];
    proptest::collection::vec((0_u64..150_000, fault), 0..14)
}

fn fleet() -> impl Strategy<Value = (u64, usize, u32, Vec<(Millis, Fault)>)> {
    (any::<u64>(), 2_usize..=4, prop_oneof![Just(1_u32), 2_u32..10])
        .prop_flat_map(|(seed, replicas, shards)| (Just(seed), Just(replicas), Just(shards), faults(replicas, shards)))
}

fn rough(world: &mut World, mut faults: Vec<(Millis, Fault)>) {
    faults.sort_by_key(|(at, _)| *at);
    for (at, fault) in faults {
        world.run_until(at);
        world.suffer(fault);
    }
    world.run_until(150_000);
    world.is_rough = false;
}

/// Number of shards of each process.
fn shares(world: &World, replicas: usize) -> Vec<usize> {
    let mut counts = BTreeMap::<usize, usize>::new();
    for process in world.held().into_values() {
        *counts.entry(process).or_default() += 1;
    }
    (0..replicas)
        .map(|replica| world.running(replica).and_then(|process| counts.remove(&process)).unwrap_or(0))
        .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn never_two_holders_and_fair_shares_in_the_end((seed, replicas, shards, faults) in fleet()) {
        let mut world = World::new(seed);
        for replica in 0..replicas {
            world.start(replica, shards);
        }
        rough(&mut world, faults);
        world.run_until(450_000);
        let held = world.held();
        prop_assert_eq!(held.len(), shards as usize, "not all are held: {:?}", held);
        let shares = shares(&world, replicas);
        prop_assert_eq!(shares.iter().sum::<usize>(), shards as usize, "{:?}", shares);
        prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "unfair: {:?}", shares);
        prop_assert!(world.last_change < 400_000, "unsettled at {}", world.last_change);
    }

    #[test]
    fn a_killed_replicas_shards_are_held_within_one_lease(
        seed in any::<u64>(), replicas in 2_usize..=4, shards in 1_u32..10, at in 60_000_u64..70_000,
    ) {
        let mut world = World::new(seed);
        world.is_rough = false;
        for replica in 0..replicas {
            world.start(replica, shards);
        }
        world.run_until(at);
        prop_assert_eq!(world.held().len(), shards as usize);
        let killed = world.held()[&(shards, 0)];
        let mut left: BTreeSet<_> = world.held().into_iter().filter(|(_, process)| *process == killed).collect();
        world.kill(killed);
        // At some time of it: later, a shard may be on its way from one that has too many to one that has too few.
        while !left.is_empty() && world.now < at + HANDED_OVER {
            world.run_until(world.now + 50);
            let held = world.held();
            left.retain(|(shard, _)| !held.contains_key(shard));
        }
        prop_assert!(left.is_empty(), "not held: {:?}", left);
    }

    #[test]
    fn a_clean_stop_hands_over_at_once(
        seed in any::<u64>(), replicas in 2_usize..=4, shards in 1_u32..10, at in 60_000_u64..70_000,
    ) {
        let mut world = World::new(seed);
        world.is_rough = false;
        for replica in 0..replicas {
            world.start(replica, shards);
        }
        world.run_until(at);
        let stopped = world.held()[&(shards, 0)];
        world.stop(stopped);
        // Its writes under way take six seconds at most; then the others look once, and wait for the share of one that is gone at most.
        world.run_until(at + 6_000 + 3 * 2_000 + 500);
        prop_assert!(world.is_done(stopped));
        let held = world.held();
        prop_assert_eq!(held.len(), shards as usize, "not all are held: {:?}", held);
        prop_assert!(held.values().all(|process| *process != stopped));
    }

    #[test]
    fn two_divisions_never_hold_at_once(
        (seed, replicas, shards, mut faults) in fleet(), other in 1_u32..10, apart in 0_u64..100,
    ) {
        // Of Leases of the other division that vanish nobody knows.
        faults.retain(|(_, fault)| !matches!(fault, Fault::Delete(_) | Fault::Clear(_) | Fault::Hide(_)));
        let mut world = World::new(seed);
        for replica in 0..replicas {
            world.run_until(world.now + apart);
            world.start(replica, if replica % 2 == 0 { shards } else { other });
        }
        rough(&mut world, faults);
        world.run_until(500_000);
        // One of them serves the whole fleet, and keeps to it.
        let held = world.held();
        let of = held.keys().next().map(|(division, _)| *division);
        prop_assert_eq!(Some(held.len()), of.map(|division| division as usize), "{:?}", held);
        prop_assert!(world.last_change < 450_000, "unsettled at {}", world.last_change);
    }
}
