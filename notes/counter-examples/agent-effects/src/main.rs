use std::sync::atomic::{AtomicU32, Ordering};

use agent_effects::{EffectFailure, EffectKind, EffectOutcome, Runtime};
use agent_effects_memory::MemoryStore;

static CHARGES: AtomicU32 = AtomicU32::new(0);

async fn charge() -> Result<u32, EffectFailure> {
    CHARGES.fetch_add(1, Ordering::SeqCst);
    Err(EffectFailure::ambiguous("the provider's answer was lost"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new(MemoryStore::new());
    for _ in 0..2 {
        let effect = runtime.effect("payment.charge", "order-1");
        let effect = effect.kind(EffectKind::IrreversibleWrite).input(&500);
        let outcome: EffectOutcome<u32> = effect.run(|_| charge()).await?;
        println!("{outcome:?}");
    }
    println!("{} charges", CHARGES.load(Ordering::SeqCst));
    Ok(())
}
