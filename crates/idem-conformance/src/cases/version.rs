//! S2, S3: every byte of a version counts.

use idem_core::store::{ClaimToken, Deleted, Record, Updated, Version};

use crate::{
    Harness, Verdict,
    call::{expect_record, ok, put},
    sample::{self, Keys, LONG},
};

/// **S2, S3.** A token that differs in one byte, whichever it is, refuses both writes.
pub async fn s2_every_byte_of_the_token_counts(harness: &dyn Harness) -> Verdict {
    let there = sample::claim().version;
    let others = (0..16).map(|n| {
        let mut bytes = *there.token.as_bytes();
        bytes[n] ^= 1;
        Version {
            token: ClaimToken::from_bytes(bytes),
            ..there
        }
    });
    expect_refusals(harness, there, others).await
}

/// **S2, S3.** A revision that differs in one bit, whichever it is, refuses both writes: revisions
/// are not compared modulo a power of two, nor as floating-point numbers.
pub async fn s2_every_bit_of_the_revision_counts(harness: &dyn Harness) -> Verdict {
    for revision in [7, (1 << 53) + 8, u64::MAX - 7] {
        let there = Version {
            revision,
            ..sample::claim().version
        };
        let others = (0..64).map(|bit| Version {
            revision: revision ^ (1 << bit),
            ..there
        });
        expect_refusals(harness, there, others).await?;
    }
    Ok(())
}

async fn expect_refusals(
    harness: &dyn Harness,
    there: Version,
    others: impl Iterator<Item = Version>,
) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let record = Record {
        version: there,
        ..sample::claim()
    };
    put(&*store, &key, &record, LONG).await;
    for expected in others {
        let intruder = sample::completed(&sample::claim(), "intruder");
        let updated = store.update(&key, expected, &intruder, LONG).await;
        assert!(
            matches!(ok("update", updated), Updated::Conflict(_)),
            "S2: {there:?} is stored, but {expected:?} is updated"
        );
        let deleted = ok("delete", store.delete(&key, expected).await);
        assert!(
            matches!(deleted, Deleted::Conflict(_)),
            "S3: {there:?} is stored, but {expected:?} is deleted"
        );
    }
    expect_record(&*store, &key, &record, "S2: what is refused writes nothing").await;
    Ok(())
}
