use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};

use idempotent::{CachedResponse, IdempotencyKey, IdempotencyStore, memory::MemoryStore};

static CHARGES: AtomicU32 = AtomicU32::new(0);

async fn charge() -> Result<CachedResponse, Box<dyn std::error::Error + Send + Sync>> {
    CHARGES.fetch_add(1, Ordering::SeqCst);
    Err("the receipt could not be printed".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = MemoryStore::builder().try_build()?;
    let key = IdempotencyKey::new("order-1")?;
    for _ in 0..2 {
        let lease = Duration::from_millis(100);
        let claim = store.claim(&key, lease).fingerprint("POST /charges", b"500 usd");
        let day = Duration::from_secs(24 * 3600);
        let _ = claim.execute_or_replay(day, |_token| charge()).await;
        tokio::time::sleep(2 * lease).await; // the client tries again when the lease is over
    }
    println!("{} charges", CHARGES.load(Ordering::SeqCst));
    Ok(())
}
