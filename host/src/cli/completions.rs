use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::say_as_is;
use super::{Arguments, ExitStatus};

#[derive(Debug, Args)]
pub(super) struct CompletionsCommand {
    shell: Shell,
}

pub(super) fn completions(command: &CompletionsCommand) -> anyhow::Result<ExitStatus> {
    let mut text = Vec::new();
    clap_complete::generate(command.shell, &mut Arguments::command(), "pgheal", &mut text);
    say_as_is!("{}", String::from_utf8_lossy(&text));
    Ok(ExitStatus::Healthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        let names: Vec<String> = Arguments::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "pgheal", &mut text);
            let text = String::from_utf8(text).unwrap();
            for name in &names {
                assert!(text.contains(name.as_str()), "{shell}: {name}");
            }
        }
    }
}
