//! Listing, then watching, for ever.
//!
//! It rests on the client's requests and not on its ready-made watcher, because that one keeps bookmarks to itself, which are the only
//! sign of life where nothing changes, and waits for an answer without end.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::{Instant, timeout};

use super::object::Object;
use super::shared::Shared;
use super::version::Version;

/// Longest time that one answer may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause: a server that is back is found within a tick.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Time after which a watch that said nothing was a good one all the same.
const GOOD: Duration = Duration::from_secs(10);
/// Pages of one list, at most: 10 million HPAs.
const MAX_PAGES: usize = 20_000;

/// Part of a list.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    /// Version of the whole list.
    pub(super) version: Option<String>,
    /// Token of the next part, if there is one.
    pub(super) next: Option<String>,
}

/// Something that a watch tells.
#[derive(Debug)]
pub(super) enum Event {
    Put(Box<Object>),
    Removed(Box<Object>),
    Bookmark(Option<String>),
}

/// A failure of a list or a watch.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) why: String,
    /// True if something may have been missed, so that everything has to be listed anew.
    pub(super) relist: bool,
}

impl Fault {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), relist: false }
    }

    fn missed(why: impl Into<String>) -> Self {
        Self { why: why.into(), relist: true }
    }
}

/// The requests.
pub(super) trait Server: Send + Sync + 'static {
    /// A part of the list: the first, or that of a token.
    fn page(&self, token: Option<String>) -> impl Future<Output = Result<Page, Fault>> + Send;

    /// What changes from a version on.
    fn watch(
        &self,
        version: String,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Event, Fault>>, Fault>> + Send;
}

/// Keeps `shared` up to date.
pub(super) async fn run(server: impl Server, shared: Arc<Shared>) {
    let mut failures = 0_u32;
    let mut missed = false;
    // The last list or watch told something.
    let mut told = false;
    loop {
        let began = Instant::now();
        let (good, end) = match shared.resume().filter(|_| !missed) {
            None => (false, list(&server, &shared).await.map(|()| (missed, told) = (false, true))),
            Some(version) => {
                let (good, end) = follow(&server, &shared, version, &mut told).await;
                // Nothing to tell in all that time, or a server that tells nothing: a list says which.
                missed |= end.is_ok() && !told;
                (good, end)
            }
        };
        // A list alone is no good sign: a server that takes no watch would be asked for all its HPAs again and again.
        if good || began.elapsed() >= GOOD {
            failures = 0;
        }
        if let Err(fault) = end {
            tracing::warn!(why = %fault.why, relist = fault.relist, "the watch of the HPAs failed");
            shared.failed(&fault.why);
            missed |= fault.relist;
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE);
            failures = failures.saturating_add(1);
            tokio::time::sleep(pause).await;
        }
    }
}

async fn list(server: &impl Server, shared: &Shared) -> Result<(), Fault> {
    let began = Instant::now();
    let (mut objects, mut token, mut version) = (Vec::new(), None, None);
    for _ in 0..MAX_PAGES {
        let page = timeout(REQUEST, server.page(token)).await.map_err(|_| late("a list of the HPAs"))??;
        objects.extend(page.objects);
        version = page.version.or(version);
        token = page.next;
        if token.is_none() {
            let version = Version::of(version);
            if version.text().is_none() {
                return Err(Fault::new("the list of the HPAs has no version"));
            }
            shared.replace(objects, version, began);
            return Ok(());
        }
    }
    Err(Fault::new(format!("the list of the HPAs has more than {MAX_PAGES} parts")))
}

/// Follows a watch to its end. True if it told something, which `told` then says; before, that says it of what came before.
async fn follow(server: &impl Server, shared: &Shared, version: String, told: &mut bool) -> (bool, Result<(), Fault>) {
    let began = Instant::now();
    let mut stream = match timeout(REQUEST, server.watch(version)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(fault)) => return (false, Err(fault)),
        Err(_) => return (false, Err(late("a watch of the HPAs"))),
    };
    if !shared.watched(std::mem::take(told)) {
        return (*told, Ok(()));
    }
    let silence = shared.stale_after * 2 / 3;
    loop {
        match timeout(silence, stream.next()).await {
            Ok(Some(Ok(event))) => match take(shared, event) {
                Ok(()) => *told = true,
                Err(fault) => return (*told, Err(fault)),
            },
            Ok(Some(Err(fault))) => return (*told, Err(fault)),
            // The server ends a watch now and then. One that ends at once, again and again, is no watch.
            Ok(None) if *told || began.elapsed() >= FIRST_PAUSE => return (*told, Ok(())),
            Ok(None) => return (false, Err(Fault::new("a watch of the HPAs ended at once"))),
            // Perhaps nothing changes, perhaps the connection is gone: a new watch tells, or a list.
            Err(_) => return (*told, Ok(())),
        }
    }
}

fn take(shared: &Shared, event: Event) -> Result<(), Fault> {
    let versioned = |object: &Object| {
        let version = Version::of(object.metadata.resource_version.clone());
        let unknown = || Fault::missed("the watch told of an HPA without a version");
        version.text().is_some().then(|| version.clone()).ok_or_else(unknown)
    };
    match event {
        Event::Put(object) => {
            let version = versioned(&object)?;
            shared.put(*object, version);
        }
        Event::Removed(object) => shared.remove(&object, versioned(&object)?),
        Event::Bookmark(version) => {
            let version = Version::of(version);
            if version.text().is_none() {
                return Err(Fault::missed("the watch sent a bookmark without a version"));
            }
            shared.bookmark(version);
        }
    }
    Ok(())
}

fn late(what: &str) -> Fault {
    Fault::new(format!("{what} was not answered within {} s", REQUEST.as_secs()))
}
