//! The HPAs of which the API server has validated a write.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// HPAs that are remembered. One that is forgotten is validated once more.
const MOST: usize = 16_384;

/// Shared by the clones of an applier.
#[derive(Clone, Default)]
pub(super) struct Rehearsed(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    hpas: HashSet<Arc<str>>,
    /// In the order in which they came.
    order: VecDeque<Arc<str>>,
}

impl Rehearsed {
    pub(super) fn contains(&self, hpa: &Value) -> bool {
        self.locked().hpas.contains(key(hpa).as_str())
    }

    pub(super) fn insert(&self, hpa: &Value) {
        let key: Arc<str> = key(hpa).into();
        let mut known = self.locked();
        if known.hpas.insert(key.clone()) {
            known.order.push_back(key);
        }
        while known.order.len() > MOST {
            if let Some(oldest) = known.order.pop_front() {
                known.hpas.remove(&oldest);
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object: another one of the same name is another HPA.
pub(super) fn key(hpa: &Value) -> String {
    let text = |field: &str| hpa.pointer(field).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}/{}", text("/metadata/namespace"), text("/metadata/name"), text("/metadata/uid"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_an_object_of_the_same_name_is_another() {
        let hpa = |uid: usize| json!({ "metadata": { "namespace": "shop", "name": "web", "uid": uid.to_string() } });
        let rehearsed = Rehearsed::default();
        for uid in 0..=MOST {
            assert!(!rehearsed.contains(&hpa(uid)));
            rehearsed.insert(&hpa(uid));
            rehearsed.insert(&hpa(uid));
        }
        assert!(!rehearsed.contains(&hpa(0)), "the oldest one");
        assert!(rehearsed.clone().contains(&hpa(1)) && rehearsed.contains(&hpa(MOST)));
        assert_eq!(rehearsed.locked().hpas.len(), MOST);
    }
}
