//! Past its retention a key is as new (G2, S5), and of those who come then one wins (S1).

use std::time::Duration;

use idem_core::{Claim, Refused};
use tokio::time::sleep;

use super::scene::{RETENTION, Scene, fingerprint};

/// Which no client of a plan sends.
const ANOTHER_REQUEST: u8 = 2;

/// Two claim each key when all that a world left there has expired.
pub(super) async fn as_new(scene: &Scene) -> Result<(), String> {
    let plan = &scene.shared.plan;
    // A claim in flight is kept for its lease on top; the store's clock may be slower than this one.
    let longest = RETENTION + plan.lease + Duration::from_secs(1);
    sleep(longest.div_f64(plan.store_clock_rate)).await;
    scene.note("world", || "whatever it left has expired".to_owned());
    let engines = [1, 2].map(|n| scene.faultless(plan.seed.wrapping_add(n)));
    for (number, key) in scene.shared.keys.iter().enumerate() {
        let fingerprint = fingerprint(ANOTHER_REQUEST);
        let [one, other] = engines.each_ref();
        let (one, other) = tokio::join!(
            one.claim(&key.record, &fingerprint),
            other.claim(&key.record, &fingerprint),
        );
        scene.note("late claims", || {
            format!("key {number}: {one:?}, {other:?}")
        });
        match (&one, &other) {
            (Ok(Claim::Acquired(first)), Ok(Claim::Refused(Refused::InFlight { .. })))
            | (Ok(Claim::Refused(Refused::InFlight { .. })), Ok(Claim::Acquired(first)))
                if first.attempt() == 1 => {}
            _ => {
                return Err(format!(
                    "G2, S5: key {number} is not as new past its retention: {one:?}, {other:?}"
                ));
            }
        }
    }
    Ok(())
}
