//! Orders on actix-web: the order and its answer commit together, in SQLite.

mod merchant;
mod orders;
#[cfg(test)]
mod tests;

use std::time::Duration;

use actix_web::{
    App, HttpServer,
    middleware::from_fn,
    rt,
    web::{self, ServiceConfig},
};
use idem::{
    Idempotency,
    actix::IdempotencyMiddleware,
    sqlite::{SqliteStore, Transactional},
};

/// What all workers share.
#[derive(Clone)]
struct Shop {
    db: Transactional,
    idempotent: IdempotencyMiddleware,
}

impl Shop {
    async fn open(url: &str) -> anyhow::Result<(Self, Idempotency)> {
        let store = SqliteStore::connect(url).await?;
        let idem = Idempotency::new(store.clone());
        let db = store.transactional(&idem);
        orders::create_table(&db).await?;
        let idempotent = IdempotencyMiddleware::new(idem.clone(), merchant::scope).transactions();
        Ok((Self { db, idempotent }, idem))
    }

    /// Of the two middlewares the later one is outside.
    fn configure(self, config: &mut ServiceConfig) {
        let route = web::post()
            .to(orders::place)
            .wrap(self.idempotent)
            .wrap(from_fn(merchant::authenticate));
        config
            .app_data(web::Data::new(self.db))
            .service(web::resource("/orders").route(route));
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let (shop, idem) = Shop::open("sqlite:orders.db").await?;
    let server = HttpServer::new(move || {
        let shop = shop.clone();
        App::new().configure(|config| shop.configure(config))
    })
    .disable_signals()
    .bind("127.0.0.1:8080")?
    .run();

    let handle = server.handle();
    let serving = rt::spawn(server);
    rt::signal::ctrl_c().await?;
    // No new connections; handlers whose clients are gone come to their end; then the rest.
    handle.pause().await;
    let _ = rt::time::timeout(Duration::from_secs(20), idem.wait_idle()).await;
    handle.stop(true).await;
    Ok(serving.await??)
}
