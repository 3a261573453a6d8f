//! Declared events: [`PlannedEvent`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An event that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// The end is not after the start.
    #[error("event {name:?} ends at {end}, which is not after its start at {start}")]
    EndsBeforeStart {
        /// Name of the event.
        name: String,
        /// Start of the event.
        start: DateTime<Utc>,
        /// End of the event.
        end: DateTime<Utc>,
    },
    /// The factor is no usable number.
    #[error("event {name:?} has the factor {factor}; it must be above 0 and at most 1000")]
    Factor {
        /// Name of the event.
        name: String,
        /// The refused factor.
        factor: f64,
    },
}

/// Kind of a declared event, from a fixed list: what an engine may know of an event besides its times and its factor. A name is
/// free text and never reaches a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// Of no kind below, or not told.
    #[default]
    Other,
    /// A sale, a campaign, a launch: more users than usual.
    Sale,
    /// A public holiday.
    Holiday,
    /// A new version is rolled out.
    Deploy,
    /// Maintenance of the workload or of what it depends on.
    Maintenance,
    /// A migration or a batch job: load that no user brings.
    Batch,
    /// A load test.
    LoadTest,
    /// Something that the workload depends on is down or slow.
    Outage,
}

/// A declared event: from `start` until `end` the load is expected to be `factor` times what it was before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawEvent")]
pub struct PlannedEvent {
    name: String,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    factor: f64,
    #[serde(skip_serializing_if = "EventKind::is_other")]
    kind: EventKind,
}

impl EventKind {
    // By reference, as serde asks for.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_other(&self) -> bool {
        *self == Self::Other
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvent {
    name: String,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    factor: f64,
    #[serde(default)]
    kind: EventKind,
}

impl TryFrom<RawEvent> for PlannedEvent {
    type Error = InvalidEvent;
    fn try_from(raw: RawEvent) -> Result<Self, InvalidEvent> {
        Ok(Self::new(raw.name, raw.start, raw.end, raw.factor)?.of_kind(raw.kind))
    }
}

impl PlannedEvent {
    /// A checked event.
    ///
    /// # Errors
    /// [`InvalidEvent`] if it does not end after its start, or the factor is not in (0, 1000].
    pub fn new(
        name: impl Into<String>,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        factor: f64,
    ) -> Result<Self, InvalidEvent> {
        let name = name.into();
        if end <= start {
            return Err(InvalidEvent::EndsBeforeStart { name, start, end });
        }
        if !(factor > 0.0 && factor <= 1000.0) {
            return Err(InvalidEvent::Factor { name, factor });
        }
        Ok(Self { name, start, end, factor, kind: EventKind::Other })
    }

    /// Sets the kind.
    ///
    /// ```
    /// use scaling_core::{EventKind, PlannedEvent};
    ///
    /// let text = r#"{"name":"flash sale","start":"2026-11-27T08:00:00Z","end":"2026-11-27T20:00:00Z","factor":3.0,"kind":"sale"}"#;
    /// let event: PlannedEvent = serde_json::from_str(text).unwrap();
    /// assert_eq!(event.kind(), EventKind::Sale);
    /// assert_eq!(serde_json::to_string(&event).unwrap(), text);
    ///
    /// let untold: PlannedEvent = serde_json::from_str(&text.replace(r#","kind":"sale""#, "")).unwrap();
    /// assert_eq!(untold.kind(), EventKind::Other);
    /// assert_eq!(untold.of_kind(EventKind::Sale), event);
    /// ```
    #[must_use]
    pub fn of_kind(mut self, kind: EventKind) -> Self {
        self.kind = kind;
        self
    }

    /// Kind of the event.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// Name of the event.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the start.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// Returns the end; that instant is not part of it.
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// Load during the event over load before it.
    pub fn factor(&self) -> f64 {
        self.factor
    }
}
