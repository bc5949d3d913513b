//! Where the file lies: a network share is refused.
//!
//! SQLite's write-ahead log shares memory between processes, and its locks are the file system's.
//! Neither works between two hosts, and a share that two hosts use damages the file.

use std::path::Path;

use idem_core::store::StoreError;

/// File systems of a network, by the number that `statfs` gives.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SHARES: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
];

/// FUSE, which may be anything: also a share, such as sshfs.
#[cfg(any(target_os = "linux", target_os = "android"))]
const FUSE: u32 = 0x6573_5546;

/// Refuses a folder on a network share, and warns of one that may be.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn check(file: &Path) -> Result<(), StoreError> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // What cannot be asked is told by opening the file.
    let Ok(found) = rustix::fs::statfs(folder) else {
        return Ok(());
    };
    // The numbers have 32 bits, whatever the type of the field.
    let number = found.f_type as u32;
    if number == FUSE {
        tracing::warn!("the file is on a FUSE file system: make sure that it is no network share");
    }
    refuse_share(number)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn refuse_share(number: u32) -> Result<(), StoreError> {
    match SHARES.iter().find(|(share, _)| *share == number) {
        Some((_, name)) => Err(StoreError::config(format!(
            "the file is on a network share ({name}), where SQLite damages it: put it on a disk of this host"
        ))),
        None => Ok(()),
    }
}

/// Not asked on this system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[expect(clippy::unnecessary_wraps, reason = "as on other systems")]
pub(crate) fn check(_file: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn a_network_share_is_refused_and_a_disk_is_not() {
        assert!(refuse_share(0x6969).is_err());
        assert!(refuse_share(0xff53_4d42).is_err());
        assert!(refuse_share(0xef53).is_ok(), "ext4");
        assert!(refuse_share(0x0102_1994).is_ok(), "tmpfs");
        assert!(check(Path::new("here.db")).is_ok());
    }
}
