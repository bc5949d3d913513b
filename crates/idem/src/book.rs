//! The README and the pages of the book that have code: each block of theirs is a doctest.

macro_rules! pages {
    ($($name:ident: $path:literal,)+) => {
        $(#[doc = include_str!(concat!("../../../", $path))] struct $name;)+
    };
}

pages! {
    Readme: "README.md",
    Llms: "llms.txt",
    Comparison: "docs/comparison.md",
    Consumers: "docs/consumers.md",
    Webhooks: "docs/webhooks.md",
    Console: "docs/console.md",
    Http: "docs/http.md",
    Operations: "docs/operations.md",
    Payment: "docs/tutorial/1-payment.md",
    LostReply: "docs/tutorial/2-lost-reply.md",
    Deploy: "docs/tutorial/3-deploy.md",
    YourRows: "docs/tutorial/5-your-rows.md",
    Job: "docs/tutorial/job.md",
    AdoptOnALiveApi: "docs/how-to/adopt-on-a-live-api.md",
    ChooseAStore: "docs/how-to/choose-a-store.md",
    CommitWithYourRows: "docs/how-to/commit-with-your-rows.md",
    Fingerprints: "docs/how-to/fingerprints.md",
    HandKeysDownstream: "docs/how-to/hand-keys-downstream.md",
    KeysAndScopes: "docs/how-to/keys-and-scopes.md",
    Migrate: "docs/how-to/migrate.md",
    RollingDeploys: "docs/how-to/rolling-deploys.md",
    SecretsAndPersonalData: "docs/how-to/secrets-and-personal-data.md",
    TestYourApp: "docs/how-to/test-your-app.md",
    BackupAndRestore: "docs/operate/backup-and-restore.md",
    Failover: "docs/operate/failover.md",
}
