use actix_web::{App, test};

use super::Shop;

fn order(merchant: &str, body: &'static str) -> test::TestRequest {
    test::TestRequest::post()
        .uri("/orders")
        .insert_header(("authorization", format!("Bearer {merchant}")))
        .insert_header(("idempotency-key", "order-1"))
        .insert_header(("content-type", "application/json"))
        .set_payload(body)
}

#[actix_web::test]
async fn g7_an_order_is_placed_once_for_each_merchant_and_its_answer_is_replayed()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.db");
    let (shop, idem) = Shop::open(&format!("sqlite:{}", file.display())).await?;
    let db = shop.db.clone();
    let app = App::new().configure(|config| shop.configure(config));
    let app = test::init_service(app).await;

    let refused = test::call_service(&app, order("a", r#"{"item":""}"#).to_request()).await;
    assert_eq!(refused.status(), 422);
    for (merchant, replayed, body) in [
        ("a", false, r#"{"id":1}"#),
        ("a", true, r#"{"id":1}"#),
        ("b", false, r#"{"id":2}"#),
    ] {
        let placed = order(merchant, r#"{"item":"tea"}"#).to_request();
        let placed = test::call_service(&app, placed).await;
        assert_eq!(placed.status(), 201);
        assert_eq!(
            placed.headers().contains_key("idempotent-replayed"),
            replayed
        );
        assert_eq!(test::read_body(placed).await, body);
    }
    let coffee = test::call_service(&app, order("a", r#"{"item":"coffee"}"#).to_request()).await;
    assert_eq!(coffee.status(), 409);
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(db.pool())
        .await?;
    assert_eq!(orders, 2);
    idem.wait_idle().await;
    Ok(())
}
