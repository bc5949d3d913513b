//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use idem_core::store::Version;

use crate::record::{Standing, parse_version};

/// Look into a store of idempotency keys, settle what is stuck, check the server.
#[derive(Debug, Parser)]
#[command(
    name = "idem",
    version,
    max_term_width = 80,
    after_help = "\
Stores:
  sqlite:FILE   redis://   rediss://   postgres://   mysql://
  redis+cluster://HOST,HOST   redis+sentinel://HOST,HOST/NAME   ?prefix=NAME:
  Others on this host can see a command line: if the URL has a password in it,
  set IDEM_STORE instead. The password is never printed.

Exit codes:
  0  done
  1  error: the store or the command failed
  2  wrong command line, or nobody to ask and no --yes: nothing was done
  3  no such record
  4  the record changed since it was shown
  5  `doctor` or `migrate --check` found something
  6  the record's state does not allow it

A stuck key, from start to end:
  idem list --state halted
  idem show merchant-7:order-4711
  idem resolve merchant-7:order-4711 --run-again --reason \"no charge at bank\""
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Store and output")]
pub(crate) struct Common {
    /// The store: sqlite:FILE, redis://…, postgres://… or mysql://…
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "IDEM_STORE",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,

    /// The schema of the tables in PostgreSQL
    #[arg(long, global = true, value_name = "NAME", default_value = "idem")]
    pub(crate) schema: String,

    /// Print one JSON object a line instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count the records by their state, and name the oldest in flight
    Status(StatusArgs),
    /// List records
    ///
    /// A filter that few records pass goes through the whole store.
    List(ListArgs),
    /// Show a record, and what was done to it by hand
    Show(ShowArgs),
    /// Settle an abandoned or halted key
    ///
    /// Shows the record, asks, and writes only if the record is still the one
    /// that it showed. What was done, by whom and why is kept beside the
    /// records: see `idem audit`.
    #[command(override_usage = RESOLVE_USAGE)]
    Resolve(ResolveArgs),
    /// Free a key: its next claim runs, whatever the request
    ///
    /// For keys that are abandoned, halted, retryable or failed. A key that is
    /// running is never released; a completed one with --completed alone.
    Release(ReleaseArgs),
    /// Forget the answers of a scope, and keep its keys from running again
    ///
    /// Without --yes it counts, and asks on a terminal; where there is nobody to
    /// ask it exits with 2, and nothing was done. Of an HTTP answer the status stays; any
    /// other answer becomes a failure that says that it was erased. Keys,
    /// scopes and fingerprints stay until their retention is over. What has no
    /// ending yet is left as it is, and counted.
    Erase(EraseArgs),
    /// Remove expired records now
    Sweep,
    /// Make the tables, or bring them up to date
    Migrate(MigrateArgs),
    /// Check the store and its server, and say how to mend what is wrong
    Doctor(DoctorArgs),
    /// List what was done by hand: who, when, why, from what to what
    Audit(AuditArgs),
    /// Serve a page that shows what is stuck, and settles it
    ///
    /// Prints the page's address, with the token that it asks for. Whoever has
    /// it sees scopes and keys, never answers.
    Serve(ServeArgs),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Of this subcommand instead, say `resolve`
        subcommand: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Stop after so many records, and say that it was a sample
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// In this state; can be given several times
    #[arg(long, value_parser = standing(), value_name = "STATE", hide_possible_values = true, help = STATE_HELP)]
    pub(crate) state: Vec<Standing>,
    /// In this scope alone; empty for the global scope
    #[arg(long, value_name = "SCOPE", conflicts_with = "under")]
    pub(crate) scope: Option<String>,
    /// In this scope and all below it
    #[arg(long, value_name = "SCOPE")]
    pub(crate) under: Option<String>,
    /// Last written longer ago than this, say 2h or 3days
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub(crate) older: Option<Duration>,
    /// Last written within this time
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub(crate) newer: Option<Duration>,
    /// Claimed so many times or more
    #[arg(long, value_name = "N")]
    pub(crate) attempts: Option<u32>,
}

const RESOLVE_USAGE: &str = "idem resolve KEY --reason TEXT --run-again
       idem resolve KEY --reason TEXT --completed FILE [--http STATUS]
       idem resolve KEY --reason TEXT --completed-json JSON [--http STATUS]
       idem resolve KEY --reason TEXT --failed FILE [--http STATUS]
       idem resolve KEY --reason TEXT --failed-json JSON [--http STATUS]";

const STATE_HELP: &str = "In this state: in-flight, abandoned, halted, retryable, released, \
    completed or failed; can be given several times";

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// At most so many records
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "all")]
    pub(crate) limit: usize,
    /// All that there are
    #[arg(long)]
    pub(crate) all: bool,
    /// Go on where an earlier list ended, with the text that it printed
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// SCOPE:KEY, as `idem list` prints it; `:KEY` in the global scope
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// The key is in this scope, and KEY is the client's key alone
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<String>,
    /// KEY is as --json has it: \\u{202e} in it is eight characters, not one
    #[arg(long)]
    pub(crate) literal: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Show the stored answer, too
    #[arg(long)]
    pub(crate) payload: bool,
}

/// What every change by hand takes.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Why. No change without it; it is kept in the audit
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who does it
    #[arg(long = "by", value_name = "NAME", env = "USER", hide_env_values = true)]
    pub(crate) who: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// How long the audit entry is kept, at least a day
    #[arg(long, value_name = "TIME", default_value = "400days", value_parser = days)]
    pub(crate) keep_audit: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct SeenArgs {
    /// Only if the record has this version, which `show` prints
    #[arg(long, value_name = "VERSION", value_parser = parse_version)]
    pub(crate) if_version: Option<Version>,
    /// How long the settled record is kept
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) retention: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// The answer is an HTTP answer with this status, and the value its body
    #[arg(long, value_name = "STATUS", conflicts_with_all = ["run_again", "raw"])]
    pub(crate) http: Option<u16>,
    /// The media type of an HTTP answer
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "application/json",
        requires = "http"
    )]
    pub(crate) content_type: String,
    /// Store the bytes as they are, not as a value of JSON
    #[arg(long, conflicts_with = "run_again")]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) seen: SeenArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct HowArgs {
    /// It happened: repeats get the value in this file (- for standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) completed: Option<PathBuf>,
    /// It happened: repeats get this value
    #[arg(long, value_name = "JSON")]
    pub(crate) completed_json: Option<String>,
    /// It failed for good: repeats get the error in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) failed: Option<PathBuf>,
    /// It failed for good: repeats get this error
    #[arg(long, value_name = "JSON")]
    pub(crate) failed_json: Option<String>,
    /// It had no effect and can have none: the next request runs
    #[arg(long)]
    pub(crate) run_again: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Also a completed key: its answer is lost, and its effect happens again
    #[arg(long)]
    pub(crate) completed: bool,
    #[command(flatten)]
    pub(crate) seen: SeenArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// The scope; empty for the global one
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: String,
    /// The scopes below it, too
    #[arg(long)]
    pub(crate) under: bool,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Change nothing: exit with 5 if there is something to do
    #[arg(long, conflicts_with = "sql")]
    pub(crate) check: bool,
    /// Change nothing: print the SQL, for those who apply it by other means
    #[arg(long)]
    pub(crate) sql: bool,
}

/// What an answer that was given has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Survives {
    /// The server's process dies
    Process,
    /// The server loses its power
    Power,
    /// The server is lost, and another takes its place
    Failover,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// What an answer has to survive: process, power or failover
    #[arg(
        long,
        value_enum,
        default_value = "power",
        value_name = "WHAT",
        hide_possible_values = true
    )]
    pub(crate) survives: Survives,
    /// Connections that the application opens: its processes times their pools
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<u32>,
    /// New keys a second, on average over the retention: is there room for them?
    #[arg(long, value_name = "N")]
    pub(crate) per_second: Option<f64>,
    /// How long the application keeps answers
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration, requires = "per_second")]
    pub(crate) retention: Duration,
    /// Do not fail over findings that are only notes or warnings
    #[arg(long)]
    pub(crate) errors_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Of this key alone
    #[arg(long, value_name = "SCOPE:KEY")]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// What the page is called; by default the store's URL without its password
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Let whoever has the token settle and release keys, in the name of --by
    #[arg(long)]
    pub(crate) allow_changes: bool,
    /// In whose name changes are made
    #[arg(long = "by", value_name = "NAME", env = "USER", hide_env_values = true)]
    pub(crate) who: Option<String>,
    /// How long a record is kept that was settled or released
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) retention: Duration,
    /// Read so many records for the page at most
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(crate) most_records: usize,
    /// The token to ask for; by default a new one each time
    #[arg(
        long,
        value_name = "TEXT",
        env = "IDEM_CONSOLE_TOKEN",
        hide_env_values = true,
        value_parser = token
    )]
    pub(crate) token: Option<String>,
}

fn token(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match text.len() >= 16 && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("at least 16 letters, digits, `-` and `_`".to_owned()),
    }
}

fn standing() -> impl TypedValueParser<Value = Standing> {
    let names = PossibleValuesParser::new(Standing::ALL.map(Standing::name));
    names.try_map(|name| Standing::named(&name).ok_or("no such state"))
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// So that nobody can do something by hand and leave no trace.
fn days(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < Duration::from_secs(24 * 3600) => Err("at least a day".to_owned()),
        time => Ok(time),
    }
}
