use std::time::{Duration, Instant};

use async_trait::async_trait;
use wasmtime::{Result, Store};

use super::bindings::strategy::StrategyPre;
use super::conversions as to;
use crate::components::contract::StrategyGuest;
use crate::components::state::CallState;
use crate::components::{RepairContext, RepairFailure, SettingDeclaration};
use crate::model::{Issue, RepairResult};

#[async_trait]
impl StrategyGuest for StrategyPre<CallState> {
    async fn name(&self, store: &mut Store<CallState>) -> Result<String> {
        self.instantiate_async(&mut *store).await?.call_name(store).await
    }

    async fn settings(&self, store: &mut Store<CallState>) -> Result<Vec<SettingDeclaration>> {
        let declared = self.instantiate_async(&mut *store).await?.call_settings(store).await?;
        Ok(to::setting_declarations(declared))
    }

    async fn can_repair(&self, store: &mut Store<CallState>, issue: &Issue) -> Result<bool> {
        let issue = to::issue(issue);
        self.instantiate_async(&mut *store).await?.call_can_repair(store, &issue).await
    }

    async fn propose(&self, store: &mut Store<CallState>, issue: &Issue, context: &RepairContext) -> Result<String> {
        let (issue, context) = (to::issue(issue), to::repair_context(context));
        self.instantiate_async(&mut *store).await?.call_propose(store, &issue, &context).await
    }

    async fn repair(
        &self,
        store: &mut Store<CallState>,
        issue: &Issue,
        context: &RepairContext,
    ) -> Result<Result<RepairResult, RepairFailure>> {
        let (issue, context) = (to::issue(issue), to::repair_context(context));
        let answer = self.instantiate_async(&mut *store).await?.call_repair(store, &issue, &context).await?;
        Ok(answer.map(to::repair_result_from_guest).map_err(to::repair_failure))
    }

    async fn validate(&self, store: &mut Store<CallState>, issue: &Issue, result: &RepairResult) -> Result<bool> {
        let (issue, result) = (to::issue(issue), to::repair_result(result));
        self.instantiate_async(&mut *store).await?.call_validate(store, &issue, &result).await
    }

    async fn rollback(&self, store: &mut Store<CallState>, result: &RepairResult) -> Result<Result<(), RepairFailure>> {
        let result = to::repair_result(result);
        let answer = self.instantiate_async(&mut *store).await?.call_rollback(store, &result).await?;
        Ok(answer.map_err(to::repair_failure))
    }

    async fn estimated_duration(&self, store: &mut Store<CallState>, issue: &Issue) -> Result<u64> {
        let issue = to::issue(issue);
        self.instantiate_async(&mut *store).await?.call_estimated_duration(store, &issue).await
    }

    async fn timed(&self, store: &mut Store<CallState>, issue: &Issue) -> Result<(Duration, Duration)> {
        let issue = to::issue(issue);
        let began = Instant::now();
        let guest = self.instantiate_async(&mut *store).await?;
        let instantiated = Instant::now();
        guest.call_can_repair(store, &issue).await?;
        Ok((instantiated.duration_since(began), instantiated.elapsed()))
    }
}
