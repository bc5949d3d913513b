//! `idem audit`

use idem_core::{
    Scope,
    store::{Filter, Within},
};

use crate::{
    audit::{self, Entry, Trail},
    cli::AuditArgs,
    commands,
    failure::Failure,
    key,
    output::{BOLD, Output},
    place::Opened,
    scan::Scan,
};

pub(crate) async fn run(opened: &Opened, args: &AuditArgs, output: &Output) -> Result<(), Failure> {
    let trails = match &args.key {
        Some(key) => {
            let key = commands::parse_key(&key::parse(key))?;
            let trail = audit::trail(&*opened.store, key.as_str()).await?;
            trail.into_iter().collect()
        }
        None => all(opened, output).await?,
    };
    let mut entries: Vec<(&str, &Entry)> = Vec::new();
    for Trail {
        subject,
        entries: of_one,
    } in &trails
    {
        entries.extend(of_one.iter().map(|entry| (subject.as_str(), entry)));
    }
    entries.sort_by_key(|(_, entry)| entry.at_ms());
    if entries.is_empty() {
        output.note("nothing was done by hand");
    }
    for (subject, entry) in entries {
        match output.json {
            true => output.value(&entry.json(subject)),
            false => output.line(&format!(
                "{}\n    {BOLD}{}{BOLD:#}",
                commands::show::audit_line(entry),
                key::shown(subject)
            )),
        }
    }
    Ok(())
}

async fn all(opened: &Opened, output: &Output) -> Result<Vec<Trail>, Failure> {
    let progress = output.progress("records found", None);
    let mut trails = Vec::new();
    let filter = Filter {
        within: Some(Within::Only(Scope::audit().as_str().to_owned())),
        ..Filter::default()
    };
    let mut scan = Scan::new(&*opened.browse, &filter);
    while let Some((key, stored)) = scan.next().await? {
        progress.set_position(scan.listed as u64);
        if audit::is_entry(&key) {
            trails.extend(audit::read(&stored.record));
        }
    }
    progress.finish_and_clear();
    scan.tell_unreadable(output);
    // A listing may give a record twice.
    trails.sort_by(|one, other| one.subject.cmp(&other.subject));
    trails.dedup_by(|one, other| one.subject == other.subject);
    Ok(trails)
}
