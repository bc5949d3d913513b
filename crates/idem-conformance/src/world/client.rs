//! A client: asks, waits as long as it has patience, and asks again.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::oneshot,
    time::{sleep, sleep_until, timeout},
};

use super::{
    handler::{self, Answer},
    scene::Scene,
};

/// Between an answer that is none and the next try.
const BACKOFF: Duration = Duration::from_millis(200);

pub(super) async fn ask(scene: Scene, number: usize) {
    let plan = scene.shared.plan.clients[number].clone();
    let name = format!("client {number}");
    let mut rng = StdRng::seed_from_u64(scene.shared.plan.seed ^ (number as u64) << 16);
    sleep_until(scene.shared.began + plan.arrives).await;
    for _ in 0..plan.tries {
        let process = rng.random_range(0..scene.shared.plan.processes);
        let Some(server) = scene.server(process) else {
            scene.note(&name, || format!("finds process {process} down"));
            sleep(BACKOFF).await;
            continue;
        };
        scene.note(&name, || {
            format!(
                "asks process {process} for request {} under key {}",
                plan.request,
                scene.key_of(&plan)
            )
        });
        let (reply, replied) = oneshot::channel();
        let handling = handler::handle(scene.clone(), server.clone(), number, reply);
        server.process.spawn(handling);
        let answer = timeout(plan.patience, replied).await;
        scene.note_news(&server);
        match answer {
            Ok(Ok(Answer::Stored(payload))) => {
                scene.note(&name, || format!("has the answer {payload:?}"));
                let number = scene.key_of(&plan);
                scene.books().keys[number].answers.push(payload);
                return;
            }
            Ok(Ok(Answer::Never(why))) => {
                scene.note(&name, || format!("is refused: {why}"));
                return;
            }
            Ok(Ok(Answer::NotNow(why))) => scene.note(&name, || format!("is put off: {why}")),
            Ok(Err(_)) => scene.note(&name, || "loses its connection".to_owned()),
            Err(_) => scene.note(&name, || "waits no longer".to_owned()),
        }
        sleep(BACKOFF).await;
    }
    scene.note(&name, || "gives up".to_owned());
}
