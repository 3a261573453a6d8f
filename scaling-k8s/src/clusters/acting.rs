//! [`Clusters`] as an applier.

use std::future::Future;

use async_trait::async_trait;
use scaling_core::{Applied, ApplyError, ApplyMode, HpaApplier, HpaPlan, HpaState, Target};

use super::{Cluster, Clusters, Isolated, locked};

impl<P: HpaApplier> Clusters<P> {
    /// One call to a cluster, within its deadline. `late` is the error of one that is not answered.
    async fn act<T>(
        &self,
        target: &Target,
        call: impl AsyncCall<P, T>,
        late: impl FnOnce(String) -> ApplyError,
    ) -> Result<T, ApplyError> {
        let unsent = |transient, source| ApplyError::Unapplied { target: target.clone(), transient, source };
        let (name, cluster): (&str, &Cluster<P>) =
            self.cluster(target).map_err(|unknown| unsent(false, Box::new(unknown)))?;
        let begun = locked(&cluster.acting).begin(self.running_ms(), &self.config);
        let pass = begun.map_err(|(failures, why, retry_in)| {
            unsent(true, Box::new(Isolated { cluster: name.to_owned(), failures, why, retry_in }))
        })?;
        let within = self.config.act_within;
        let answer = match tokio::time::timeout(within, call.call(&cluster.part)).await {
            Ok(answer) => answer,
            Err(_) => Err(late(format!("cluster {name:?}: no answer within {} s", within.as_secs_f64()))),
        };
        let failure = match &answer {
            Err(
                error @ (ApplyError::Unapplied { transient: true, .. } | ApplyError::Backend { transient: true, .. }),
            ) => Some(error.to_string()),
            _ => None,
        };
        let mut acting = locked(&cluster.acting);
        acting.end(pass, failure, self.running_ms(), &self.config);
        if let Err(ApplyError::Refused { detail, denied: true, .. }) = &answer {
            acting.deny(detail);
        }
        drop(acting);
        answer
    }
}

/// A call to a part.
trait AsyncCall<P, T> {
    fn call(self, part: &P) -> impl Future<Output = Result<T, ApplyError>> + Send;
}

struct Current<'a>(&'a Target);

impl<P: HpaApplier> AsyncCall<P, HpaState> for Current<'_> {
    async fn call(self, part: &P) -> Result<HpaState, ApplyError> {
        part.current(self.0).await
    }
}

struct Apply<'a>(&'a HpaPlan, ApplyMode);

impl<P: HpaApplier> AsyncCall<P, Applied> for Apply<'_> {
    async fn call(self, part: &P) -> Result<Applied, ApplyError> {
        part.apply(self.0, self.1).await
    }
}

#[async_trait]
impl<P: HpaApplier> HpaApplier for Clusters<P> {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let late = |why: String| ApplyError::Unapplied { target: target.clone(), transient: true, source: why.into() };
        self.act(target, Current(target), late).await
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let target = plan.target();
        let late = |why: String| {
            let (target, transient, source) = (target.clone(), true, why.into());
            match mode {
                // Law 12: it may have been written.
                ApplyMode::Apply => ApplyError::Backend { target, transient, source },
                ApplyMode::Plan | ApplyMode::ServerDryRun => ApplyError::Unapplied { target, transient, source },
            }
        };
        self.act(target, Apply(plan, mode), late).await
    }
}
