//! What programs print of the engine's own types: enough to tell them apart, and no payload.

use idem_core::{Failure, spi::Spawner};

use super::*;

#[tokio::test(start_paused = true)]
async fn engines_show_their_knobs() {
    let builder = Idempotency::builder(ScriptedStore::default()).policy(Policy::default());
    let shown = format!("{builder:?}");
    assert!(
        shown.starts_with("Builder") && shown.contains("retention"),
        "{shown}"
    );
    let shown = format!("{:?}", builder.build().unwrap());
    assert!(
        shown.starts_with("Idempotency") && shown.contains("lease"),
        "{shown}"
    );
    assert_eq!(format!("{:?}", Spawner::new(drop)), "Spawner");
}

#[tokio::test(start_paused = true)]
async fn work_shows_its_key_its_attempt_and_whether_it_is_protected() {
    let idem = engine(&ScriptedStore::default());
    idem.execute(&key("k"), &print("a"), async |context| {
        assert!(context.is_protected());
        let shown = format!("{context:?}");
        for part in ["Context", "attempt: 1", "protected: true", "k"] {
            assert!(shown.contains(part), "{shown}");
        }
        Ok::<_, Failure<String>>(())
    })
    .await
    .unwrap();
}
