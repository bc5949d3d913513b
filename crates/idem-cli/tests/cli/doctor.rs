//! Planted misconfigurations: each is found, and where its mend is a setting, the mend is tried.

mod mariadb;
mod postgres;
mod redis;
mod sqlite;

use crate::idem::Idem;

/// The finding is there, and exits with 5 unless it is a note.
#[track_caller]
pub(crate) fn finds(idem: &Idem, arguments: &str, code: &str) {
    let ran = idem.run(&format!("doctor --json {arguments}"));
    let found = ran.findings();
    assert!(found.iter().any(|there| there == code), "{code}: {ran:?}");
    assert_eq!(ran.code, 5, "{ran:?}");
    // People are told as well, with the mend.
    let text = idem.run(&format!("doctor {arguments}"));
    assert!(
        text.out.contains(code) && text.out.contains("mend: "),
        "{text:?}"
    );
}

/// The finding is not there any more.
#[track_caller]
pub(crate) fn is_mended(idem: &Idem, arguments: &str, code: &str) {
    let ran = idem.run(&format!("doctor --json {arguments}"));
    let found = ran.findings();
    assert!(!found.iter().any(|there| there == code), "{code}: {ran:?}");
}
