use std::time::{Duration, Instant};

use async_trait::async_trait;
use wasmtime::{Result, Store};

use super::bindings::prioritizer::PrioritizerPre;
use super::conversions as to;
use crate::components::SettingDeclaration;
use crate::components::contract::PrioritizerGuest;
use crate::components::state::CallState;
use crate::model::{Diagnosis, Issue};

#[async_trait]
impl PrioritizerGuest for PrioritizerPre<CallState> {
    async fn name(&self, store: &mut Store<CallState>) -> Result<String> {
        self.instantiate_async(&mut *store).await?.call_name(store).await
    }

    async fn settings(&self, store: &mut Store<CallState>) -> Result<Vec<SettingDeclaration>> {
        let declared = self.instantiate_async(&mut *store).await?.call_settings(store).await?;
        Ok(to::setting_declarations(declared))
    }

    async fn compute_priority(&self, store: &mut Store<CallState>, issue: &Issue) -> Result<f64> {
        let issue = to::issue(issue);
        self.instantiate_async(&mut *store).await?.call_compute_priority(store, &issue).await
    }

    async fn prioritize(
        &self,
        store: &mut Store<CallState>,
        diagnoses: &[Diagnosis],
    ) -> Result<Vec<(u32, f64, String)>> {
        let diagnoses: Vec<_> = diagnoses.iter().map(to::diagnosis).collect();
        let ranked = self.instantiate_async(&mut *store).await?.call_prioritize(store, &diagnoses).await?;
        Ok(ranked.into_iter().map(|item| (item.position, item.priority, item.reason)).collect())
    }

    async fn timed(&self, store: &mut Store<CallState>, issue: &Issue) -> Result<(Duration, Duration)> {
        let issue = to::issue(issue);
        let began = Instant::now();
        let guest = self.instantiate_async(&mut *store).await?;
        let instantiated = Instant::now();
        guest.call_compute_priority(store, &issue).await?;
        Ok((instantiated.duration_since(began), instantiated.elapsed()))
    }
}
