//! The columns that a call sends.

use idem_core::{RecordKey, store::Version};
use idem_sql::batch::{Job, Kind as _};

use super::kind::Kind;
use crate::{
    call::Scalar,
    rows::{Columns, signed},
};

/// The columns of a call's row, in the order in which the statement that waits numbers them.
pub(crate) fn row<'a>(job: &'a Job, key: &'a RecordKey) -> Vec<Scalar<'a>> {
    let mut row = Vec::new();
    write_row(job, Kind::of(job, false, true), key, &mut row);
    row
}

/// Appends the columns of a call's row, in the order in which the statement of a kind numbers them.
pub(super) fn write_row<'a>(
    job: &'a Job,
    kind: Kind,
    key: &'a RecordKey,
    row: &mut Vec<Scalar<'a>>,
) {
    row.extend([Scalar::Text(key.scope()), Scalar::Text(key.key())]);
    row.extend(job.expected().into_iter().flat_map(version));
    if let Some((record, ttl)) = job.written() {
        let columns = Columns::new(record, ttl);
        match kind {
            Kind::Claim => row.extend(columns.claim()),
            Kind::End => row.extend(columns.ending()),
            Kind::Look => {}
            Kind::Create | Kind::Update | Kind::Delete | Kind::Get => row.extend(columns.all()),
        }
    }
}

fn version(version: &Version) -> [Scalar<'_>; 2] {
    [
        Scalar::Bytes(Some(version.token.as_bytes())),
        Scalar::Int(Some(signed(version.revision))),
    ]
}
