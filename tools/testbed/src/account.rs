//! The user that servers which refuse to run as root are given.

use std::{fs, path::Path};

use crate::TestbedError;

/// An unprivileged account of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account for a server that must not be root: none if the test is not root itself, else
    /// `postgres` where it exists, else `nobody`.
    pub(crate) fn unprivileged() -> Result<Option<Self>, TestbedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd")
            .map_err(TestbedError::io("read the list of accounts"))?;
        Self::find(&passwd, "postgres")
            .or_else(|| Self::find(&passwd, "nobody"))
            .map(Some)
            .ok_or_else(|| TestbedError::Missing {
                program: "an unprivileged account".to_owned(),
                hint: "this server does not run as root; add a user `postgres` or `nobody`, or run the tests as another user".to_owned(),
            })
    }

    /// Hands `path` over to this account.
    pub(crate) fn take(self, path: &Path) -> Result<(), TestbedError> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).map_err(TestbedError::io(
            format!("hand {} to user {}", path.display(), self.uid),
        ))
    }

    fn find(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        let uid = ids.next()?.parse().ok()?;
        let gid = ids.next()?.parse().ok()?;
        (uid != 0).then_some(Self { uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:admin,,,:/var:/bin/sh\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let found = Account::find(PASSWD, "postgres");
        assert_eq!(found, Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::find(PASSWD, "post"), None);
    }

    #[test]
    fn root_is_never_taken_for_unprivileged() {
        assert_eq!(Account::find(PASSWD, "root"), None);
    }
}
