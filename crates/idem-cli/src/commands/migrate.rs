//! `idem migrate`

use std::process::ExitCode;

use serde_json::json;

use crate::{
    cli::MigrateArgs,
    failure::{Failure, Kind},
    output::{GOOD, Output},
    place::{Place, StoreKind},
};

/// How many steps the tables have had, and how many this release knows.
struct Steps {
    applied: usize,
    known: usize,
}

pub(crate) async fn run(
    place: &Place,
    args: &MigrateArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if args.sql {
        output.line(sql(place).await?.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    if place.kind == StoreKind::Redis {
        place.open().await?;
        output.say(
            &json!({ "type": "migrations", "applied": 0, "known": 0 }),
            || format!("{GOOD}nothing to do{GOOD:#}  Redis has no tables"),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let before = steps(place, args.check).await?;
    if before.applied > before.known {
        return Err(Failure::error(format!(
            "the tables are at version {} and this release knows {}: upgrade it",
            before.applied, before.known
        )));
    }
    let pending = before.applied < before.known;
    if pending && !args.check {
        migrate(place).await?;
    }
    let applied = if args.check {
        before.applied
    } else {
        before.known
    };
    let value = json!({ "type": "migrations", "applied": applied, "known": before.known });
    output.say(&value, || match (pending, args.check) {
        (false, _) => format!("{GOOD}nothing to do{GOOD:#}  the tables are at version {applied}"),
        (true, true) => format!(
            "to do: the tables are at version {applied}, and this release has {}",
            before.known
        ),
        (true, false) => format!("{GOOD}done{GOOD:#}  the tables are at version {applied}"),
    });
    Ok(match pending && args.check {
        true => ExitCode::from(Kind::Findings.number()),
        false => ExitCode::SUCCESS,
    })
}

async fn steps(place: &Place, check: bool) -> Result<Steps, Failure> {
    Ok(match place.kind {
        #[cfg(feature = "sqlite")]
        StoreKind::Sqlite => match idem_sqlite::migrations(&place.existing_file()).await {
            Ok(found) => Steps {
                applied: found.applied,
                known: found.known,
            },
            // There may be no file yet; the attempt to make one tells what else is wrong.
            Err(_) if !check => Steps {
                applied: 0,
                known: 1,
            },
            Err(error) => return Err(error.into()),
        },
        #[cfg(feature = "postgres")]
        StoreKind::Postgres => {
            let found = idem_postgres::migrations(&place.url, &place.schema).await?;
            Steps {
                applied: found.applied,
                known: found.known,
            }
        }
        #[cfg(feature = "mysql")]
        StoreKind::MySql => {
            let found = idem_mysql::migrations(&place.url).await?;
            Steps {
                applied: found.applied,
                known: found.known,
            }
        }
        _ => {
            place.open().await?;
            Steps {
                applied: 0,
                known: 0,
            }
        }
    })
}

async fn migrate(place: &Place) -> Result<(), Failure> {
    match place.kind {
        #[cfg(feature = "sqlite")]
        StoreKind::Sqlite => {
            let config = idem_sqlite::SqliteConfig::default().sweep_every(None);
            idem_sqlite::SqliteStore::connect_with(&place.url, config).await?;
        }
        #[cfg(feature = "postgres")]
        StoreKind::Postgres => place.postgres_store().await?.migrate().await?,
        #[cfg(feature = "mysql")]
        StoreKind::MySql => place.mysql_store().await?.migrate().await?,
        _ => {}
    }
    Ok(())
}

async fn sql(place: &Place) -> Result<String, Failure> {
    match place.kind {
        #[cfg(feature = "postgres")]
        StoreKind::Postgres => Ok(place.postgres_store().await?.migration_sql()),
        #[cfg(feature = "mysql")]
        StoreKind::MySql => Ok(place.mysql_store().await?.migration_sql()),
        _ => Err(Failure::usage(
            "--sql is for PostgreSQL, MySQL and MariaDB; SQLite's tables are made by `idem migrate`",
        )),
    }
}
