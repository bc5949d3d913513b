//! The subcommands.

mod audit;
mod erase;
mod list;
mod migrate;
mod release;
mod resolve;
mod serve;
pub(crate) mod show;
mod status;
mod sweep;

use std::process::ExitCode;

use clap::CommandFactory as _;
use idem_core::{IdempotencyKey, RecordKey, Scope};

use crate::{
    cli::{Cli, Command, KeyArgs},
    doctor,
    failure::Failure,
    key,
    output::Output,
    place::Place,
};

pub(crate) fn run(cli: Cli, output: &Output) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "idem", &mut text);
            output.line(String::from_utf8_lossy(&text).trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { subcommand } => man(subcommand.as_deref(), output),
        command => {
            let place = Place::of(&cli.common)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(with_store(command, &place, output))
        }
    }
}

async fn with_store(command: Command, place: &Place, output: &Output) -> Result<ExitCode, Failure> {
    let done = match command {
        Command::Status(args) => status::run(place, &args, output).await,
        Command::List(args) => list::run(&place.open().await?, &args, output).await,
        Command::Show(args) => show::run(&place.open().await?, &args, output).await,
        Command::Resolve(args) => resolve::run(&place.open().await?, &args, output).await,
        Command::Release(args) => release::run(&place.open().await?, &args, output).await,
        Command::Erase(args) => erase::run(&place.open().await?, &args, output).await,
        Command::Audit(args) => audit::run(&place.open().await?, &args, output).await,
        Command::Serve(args) => serve::run(place, &args, output).await,
        Command::Sweep => sweep::run(&place.open().await?, output).await,
        Command::Migrate(args) => return migrate::run(place, &args, output).await,
        Command::Doctor(args) => return doctor::run(place, &args, output).await,
        Command::Completions { .. } | Command::Man { .. } => Ok(()),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn man(subcommand: Option<&str>, output: &Output) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    command.build();
    let command = match subcommand {
        None => command,
        Some(name) => command
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| Failure::usage(format!("there is no subcommand `{name}`")))?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    output.line(String::from_utf8_lossy(&text).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The key that a command is for.
pub(crate) fn key_of(args: &KeyArgs) -> Result<RecordKey, Failure> {
    let text = match args.literal {
        true => args.key.clone(),
        false => key::parse(&args.key),
    };
    match &args.scope {
        Some(scope) => Ok(RecordKey::from_parts(scope, &text)?),
        None => parse_key(&text),
    }
}

pub(crate) fn parse_key(text: &str) -> Result<RecordKey, Failure> {
    if !text.contains(':') {
        return Err(Failure::usage(
            "a key is SCOPE:KEY, as `idem list` prints it; :KEY in the global scope, or name the \
             scope with --scope",
        ));
    }
    Ok(RecordKey::parse(text)?)
}

/// A scope's text, as `idem list` prints it before the `:`.
pub(crate) fn scope(text: &str) -> Result<&str, Failure> {
    let any = IdempotencyKey::new("k")?;
    if text != Scope::global().as_str() {
        RecordKey::from_parts(text, any.as_str())?;
    }
    Ok(text)
}
