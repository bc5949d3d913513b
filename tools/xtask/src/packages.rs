//! The servers and the browser that the tests talk to, as Debian packages.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Result;

use crate::cli::Install;
use crate::command::{Step, answers, find_program, is_executable};
use crate::lane::Outcome;
use crate::workspace::Workspace;

/// A Debian package and how to tell that what it brings is already there.
struct Need {
    package: &'static str,
    purpose: &'static str,
    is_there: fn() -> bool,
}

const NEEDS: [Need; 10] = [
    Need {
        package: "build-essential",
        purpose: "the client libraries of SQLite and Kafka",
        is_there: || {
            ["cc", "c++", "make"]
                .map(find_program)
                .iter()
                .all(Option::is_some)
        },
    },
    Need {
        package: "redis-server",
        purpose: "the Redis store's tests",
        is_there: has_redis,
    },
    Need {
        package: "postgresql",
        purpose: "the Postgres store's tests",
        is_there: has_postgres,
    },
    Need {
        package: "mariadb-server",
        purpose: "the MySQL store's tests",
        is_there: has_mariadb,
    },
    Need {
        package: "rabbitmq-server",
        purpose: "the consumer's tests",
        is_there: has_rabbitmq,
    },
    Need {
        package: "pgbouncer",
        purpose: "the Postgres store's tests through a pooler",
        is_there: || find_program("pgbouncer").is_some(),
    },
    Need {
        package: "strace",
        purpose: "the SQLite store's power cut",
        is_there: || find_program("strace").is_some(),
    },
    Need {
        package: "chromium",
        purpose: "the tests of the payments page and the console",
        is_there: || find_program("chromium").is_some(),
    },
    Need {
        package: "chromium-driver",
        purpose: "the tests of the payments page",
        is_there: || find_program("chromedriver").is_some(),
    },
    Need {
        package: "prometheus",
        purpose: "the tests of the dashboard and the alert rules",
        is_there: || find_program("promtool").is_some(),
    },
];

/// Installs what is missing where that is allowed; elsewhere says what to type. Never fails by
/// itself: a test that misses its server does, or says that it was skipped.
pub(crate) fn lane(workspace: &Workspace, install: Install) -> Result<Outcome> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(Outcome::Passed("nothing is missing".to_owned()));
    }
    for need in &missing {
        eprintln!("missing: {} (for {})", need.package, need.purpose);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    match authority(install) {
        Ok(authority) => Ok(install_now(workspace, authority, &packages)),
        Err(obstacle) => Ok(left_to_the_user(obstacle, &packages)),
    }
}

/// As whom packages can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    Root,
    Sudo,
}

/// The right to install, or the reason why there is none.
fn authority(install: Install) -> Result<Authority, &'static str> {
    let is_root = || fs::metadata("/proc/self").is_ok_and(|meta| owner(&meta) == 0);
    decide(
        install.no_install,
        find_program("apt-get").is_some(),
        is_root(),
        || answers("sudo", &["-n", "true"]),
    )
}

fn decide(
    forbidden: bool,
    has_apt: bool,
    is_root: bool,
    sudo_answers: impl FnOnce() -> bool,
) -> Result<Authority, &'static str> {
    if forbidden {
        Err("--no-install was given")
    } else if !has_apt {
        Err("there is no apt-get here")
    } else if is_root {
        Ok(Authority::Root)
    } else if sudo_answers() {
        Ok(Authority::Sudo)
    } else {
        Err("it takes root, or sudo without a password")
    }
}

fn owner(meta: &fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    meta.uid()
}

fn install_now(workspace: &Workspace, authority: Authority, packages: &[&str]) -> Outcome {
    const SCRIPT: &str = include_str!("install-packages.sh");
    let names = packages.join(" ");
    eprintln!(
        "installing {names}: apt-get update, then apt-get install, services kept from starting"
    );
    let step = match authority {
        Authority::Root => Step::new(workspace, "sh"),
        Authority::Sudo => Step::new(workspace, "sudo").args(["-n", "sh"]),
    };
    let done = step
        .args(["-c", SCRIPT, "install-packages"])
        .args(packages)
        .run_shown_as(&format!("apt-get install {names}"));
    match done {
        Ok(()) => Outcome::Passed(format!("installed {names}")),
        Err(error) => {
            eprintln!("{error:#}");
            left_to_the_user("apt-get failed", packages)
        }
    }
}

fn left_to_the_user(obstacle: &str, packages: &[&str]) -> Outcome {
    let line = by_hand(packages);
    eprintln!("not installed, because {obstacle}. By hand:\n\n    {line}\n");
    Outcome::Skipped(format!("{obstacle}; by hand: {line}"))
}

fn by_hand(packages: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

fn has_redis() -> bool {
    env::var_os("IDEM_REDIS_SERVER").is_some_and(|path| is_executable(Path::new(&path)))
        || find_program("redis-server").is_some()
}

/// Debian keeps the server outside of most users' `PATH`.
fn has_mariadb() -> bool {
    env::var_os("IDEM_MARIADB_SERVER").is_some_and(|path| is_executable(Path::new(&path)))
        || find_program("mariadbd").is_some()
        || is_executable(Path::new("/usr/sbin/mariadbd"))
}

/// The script in `PATH` insists on a user of its own; the tests start the one below.
fn has_rabbitmq() -> bool {
    env::var_os("IDEM_RABBITMQ_SERVER").is_some_and(|path| is_executable(Path::new(&path)))
        || Path::new("/usr/lib/rabbitmq/lib").is_dir()
}

/// Debian keeps the server's programs outside `PATH`, in a folder per version.
fn has_postgres() -> bool {
    let given = env::var_os("IDEM_PG_BINDIR").map(PathBuf::from);
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = versions.flatten().map(|version| version.path().join("bin"));
    find_program("initdb").is_some()
        || given
            .into_iter()
            .chain(debian)
            .any(|folder| is_executable(&folder.join("initdb")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_passwordless_sudo_may_install() {
        assert_eq!(decide(false, true, true, || false), Ok(Authority::Root));
        assert_eq!(decide(false, true, false, || true), Ok(Authority::Sudo));
    }

    #[test]
    fn nobody_else_may() {
        assert!(decide(false, true, false, || false).is_err());
        assert!(decide(false, false, true, || true).is_err());
    }

    #[test]
    fn no_install_is_obeyed_without_asking_sudo() {
        let asked = || panic!("sudo was asked although nothing may be installed");
        assert!(decide(true, true, true, asked).is_err());
    }

    #[test]
    fn what_to_type_names_every_package() {
        assert_eq!(
            by_hand(&["redis-server", "chromium"]),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends redis-server chromium"
        );
    }

    #[test]
    fn the_script_is_what_sh_can_read() {
        let script = include_str!("install-packages.sh");
        assert!(answers("sh", &["-n", "-c", script]));
    }
}
