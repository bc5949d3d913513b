//! What the jobs do: the part that a user of idem writes.

use idem::{Context, Failure};

use crate::{
    crash::Life,
    job::{Job, Kind, Receipt},
    world::World,
};

/// Pages of a report.
pub(crate) const PAGES: u32 = 6;

type Done = Result<Receipt, Failure<String>>;

/// Does the job, if the worker lives to see its end.
pub(crate) async fn work(job: Job, world: &World, life: &Life<'_>, context: &Context) -> Done {
    match job.kind {
        Kind::Payout => pay_out(world, life, context).await,
        Kind::Report => write_report(job.number, world, life, context).await,
        Kind::Parcel => book_parcel(job.number, world, life, context).await,
        Kind::Letter => print_letter(job.number, world, life).await,
    }
}

/// Safe to repeat: every attempt hands the bank the same key, so the bank knows.
async fn pay_out(world: &World, life: &Life<'_>, context: &Context) -> Done {
    life.may_end("before the transfer").await;
    let transfer = world.bank.transfer(context.derive_key("transfer"));
    life.may_end("after the transfer").await;
    Ok(Receipt(format!("transfer {transfer}")))
}

/// Goes on where the last attempt left its checkpoint.
async fn write_report(number: u32, world: &World, life: &Life<'_>, context: &Context) -> Done {
    let first = match context.previous_checkpoint() {
        Some(checkpoint) => serde_json::from_slice(checkpoint).map_err(|e| e.to_string())?,
        None => 0,
    };
    for page in first..PAGES {
        world.archive.write(number, page);
        life.may_end("after a page").await;
        let next = (page + 1).to_string();
        // It fails when somebody else took over. What he writes, and nothing of ours, counts then.
        context
            .checkpoint(next)
            .await
            .map_err(|error| Failure::Retryable(error.to_string()))?;
    }
    life.may_end("after the last page").await;
    Ok(Receipt(format!("{PAGES} pages")))
}

/// Not safe to repeat, but safe to ask: see [`AskTheCourier`](crate::policy::AskTheCourier).
async fn book_parcel(number: u32, world: &World, life: &Life<'_>, context: &Context) -> Done {
    life.may_end("before the booking").await;
    let Some(booking) = world.courier.book(number, context.attempt()) else {
        return Err(Failure::Retryable("taken for dead meanwhile".to_owned()));
    };
    life.may_end("after the booking").await;
    Ok(booked(booking))
}

pub(crate) fn booked(booking: usize) -> Receipt {
    Receipt(format!("booking {booking}"))
}

/// Neither safe to repeat nor to ask: a vanished attempt stays halted until a person looked.
async fn print_letter(number: u32, world: &World, life: &Life<'_>) -> Done {
    life.may_end("before the print").await;
    world.printer.print(number);
    life.may_end("after the print").await;
    Ok(printed())
}

pub(crate) fn printed() -> Receipt {
    Receipt("printed".to_owned())
}
