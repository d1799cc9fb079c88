use crate::{SettingDeclaration, SettingKind};

/// A setting of a policy, for `settings()`. `default_value` is in force where the operator sets nothing.
///
/// ```
/// use pgheal_guest_sdk::*;
///
/// let share = declare("max_share", SettingKind::Number((0.0, 1.0)), Some("0.08"), "Beyond this share it rebuilds.");
/// assert_eq!(share.default_value.as_deref(), Some("0.08"));
/// ```
pub fn declare(name: &str, kind: SettingKind, default_value: Option<&str>, description: &str) -> SettingDeclaration {
    SettingDeclaration {
        name: name.to_owned(),
        kind,
        default_value: default_value.map(str::to_owned),
        description: description.to_owned(),
    }
}
