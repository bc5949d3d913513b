//! [`VersionPrefix`]: the first bytes of a record.

use std::ops::Deref;

use bytes::BufMut;

use super::{FORMAT, varint};
use crate::store::Version;

/// The longest prefix.
pub(super) const MAX_LEN: usize = 1 + 16 + varint::MAX_LEN;

/// The first bytes of every record with one version: see [`version_prefix`](super::version_prefix).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionPrefix {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl VersionPrefix {
    pub(super) fn of(version: Version) -> Self {
        let mut bytes = [0; MAX_LEN];
        let mut rest = &mut bytes[..];
        rest.put_u8(FORMAT);
        rest.put_slice(version.token.as_bytes());
        varint::put(&mut rest, version.revision);
        let len = MAX_LEN - rest.len();
        Self { bytes, len }
    }
}

impl Deref for VersionPrefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
