/// Runs at the start of every exported call: a panic's message goes to the host's log before the trap.
#[doc(hidden)]
pub fn on_entry() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        crate::host::log::write(crate::host::log::Level::Error, &panic.to_string());
    }));
}

/// Makes a type that implements [`crate::Strategy`] the component's strategy.
#[macro_export]
macro_rules! export_strategy {
    ($strategy:ty) => {
        #[doc(hidden)]
        pub struct PghealStrategy;

        impl $crate::bindings::strategy::Guest for PghealStrategy {
            fn name() -> String {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::name()
            }
            fn settings() -> Vec<$crate::SettingDeclaration> {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::settings()
            }
            fn can_repair(issue: $crate::Issue) -> bool {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::can_repair(&issue)
            }
            fn propose(issue: $crate::Issue, context: $crate::RepairContext) -> String {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::propose(&issue, &context)
            }
            fn repair(
                issue: $crate::Issue,
                context: $crate::RepairContext,
            ) -> Result<$crate::RepairResult, $crate::RepairError> {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::repair(&issue, &context)
            }
            fn validate(issue: $crate::Issue, outcome: $crate::RepairResult) -> bool {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::validate(&issue, &outcome)
            }
            fn rollback(outcome: $crate::RepairResult) -> Result<(), $crate::RepairError> {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::rollback(&outcome)
            }
            fn estimated_duration(issue: $crate::Issue) -> u64 {
                $crate::on_entry();
                <$strategy as $crate::Strategy>::estimated_duration(&issue)
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::strategy::export_strategy_world!(
            PghealStrategy with_types_in $crate::bindings::strategy
        );
    };
}

/// Makes a type that implements [`crate::Prioritizer`] the component's prioritizer.
#[macro_export]
macro_rules! export_prioritizer {
    ($prioritizer:ty) => {
        #[doc(hidden)]
        pub struct PghealPrioritizer;

        impl $crate::bindings::prioritizer::Guest for PghealPrioritizer {
            fn name() -> String {
                $crate::on_entry();
                <$prioritizer as $crate::Prioritizer>::name()
            }
            fn settings() -> Vec<$crate::SettingDeclaration> {
                $crate::on_entry();
                <$prioritizer as $crate::Prioritizer>::settings()
            }
            fn compute_priority(issue: $crate::Issue) -> f64 {
                $crate::on_entry();
                <$prioritizer as $crate::Prioritizer>::compute_priority(&issue)
            }
            fn prioritize(diagnoses: Vec<$crate::Diagnosis>) -> Vec<$crate::Ranked> {
                $crate::on_entry();
                <$prioritizer as $crate::Prioritizer>::prioritize(&diagnoses)
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::prioritizer::export_prioritizer_world!(
            PghealPrioritizer with_types_in $crate::bindings::prioritizer
        );
    };
}
