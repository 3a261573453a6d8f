//! Targets to shards: [`shard_of`].

use scaling_core::Target;

/// Shard of a target, below `shards` (of which there is at least one).
///
/// It depends on the cluster, the namespace and the name of the HPA, and on nothing else: two targets that move the same HPA are never
/// in two shards. The value is the same in every process and every release, since replicas of two releases share a fleet during a rollout:
/// the FNV-1a hash of 64 bits over the three names in UTF-8, each followed by the byte `0xff` (which no name contains; without a cluster
/// there is `0xfe` in place of it), mixed by the finalizer of MurmurHash3, and scaled to the number of shards by its upper bits.
///
/// ```
/// use scaling_core::Target;
/// use scaling_k8s::controller::lease::shard_of;
///
/// let target = Target::deployment("shop", "checkout");
/// assert_eq!(shard_of(&target, 1), 0);
/// assert_eq!(shard_of(&target, 16), shard_of(&target.clone().of_kind("StatefulSet"), 16));
/// ```
pub fn shard_of(target: &Target, shards: u32) -> u32 {
    let mut hash = Fnv::default();
    match &target.cluster {
        Some(cluster) => hash.name(cluster),
        None => hash.byte(0xfe),
    }
    hash.name(&target.namespace);
    hash.name(&target.hpa);
    let scaled = (u128::from(mixed(hash.0)) * u128::from(shards.max(1))) >> 64;
    // Below `shards`, since the first factor is below 2^64.
    u32::try_from(scaled).unwrap_or(0)
}

/// Constants: <http://www.isthe.com/chongo/tech/comp/fnv/>.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn name(&mut self, name: &str) {
        name.bytes().for_each(|byte| self.byte(byte));
        self.byte(0xff);
    }
}

/// FNV alone spreads the last bytes of names badly over its upper bits.
fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
