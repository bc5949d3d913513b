//! The proxy's own thread: takes connections and orders.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::mpsc::UnboundedReceiver,
    task::JoinSet,
};

use super::{armed::Plan, relay::relay};
use crate::TestbedError;

/// What a test can have the proxy do at once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Cut,
    Refuse,
    Accept,
}

/// Everything that the thread works on.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) target: Arc<Mutex<SocketAddr>>,
    pub(super) plan: Arc<Plan>,
}

/// An order, and where to say that it is carried out.
pub(super) type Given = (Order, Sender<()>);

impl Listener {
    /// Says on `ready` whether it listens, then works until nobody can give orders any more.
    pub(super) fn run(
        self,
        orders: UnboundedReceiver<Given>,
        ready: &Sender<Result<(), TestbedError>>,
    ) {
        let runtime = Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.listen(orders, ready)),
            Err(source) => {
                let _ = ready.send(Err(TestbedError::io("start the proxy's runtime")(source)));
            }
        }
    }

    async fn listen(
        self,
        orders: UnboundedReceiver<Given>,
        ready: &Sender<Result<(), TestbedError>>,
    ) {
        let mut door = Door {
            address: self.address,
            open: None,
        };
        let opened = door.open();
        let is_open = opened.is_ok();
        let address = self.address;
        let _ = ready.send(opened.map_err(TestbedError::io(format!("listen at {address}"))));
        if is_open {
            self.serve(door, orders).await;
        }
    }

    async fn serve(self, mut door: Door, mut orders: UnboundedReceiver<Given>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, done)) = order else { return };
                    carry_out(order, &mut door, &mut connections, &self.plan).await;
                    let _ = done.send(());
                }
                client = door.next() => {
                    let target = *self.target.lock().unwrap_or_else(PoisonError::into_inner);
                    connections.spawn(relay(client, target, Arc::clone(&self.plan)));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn carry_out(order: Order, door: &mut Door, connections: &mut JoinSet<()>, plan: &Plan) {
    match order {
        Order::Cut => {
            connections.abort_all();
            let mut cut = 0;
            while let Some(ended) = connections.join_next().await {
                cut += u64::from(ended.is_err());
            }
            plan.counters.connections_cut(cut);
        }
        Order::Refuse => {
            if door.open.take().is_some() {
                plan.counters.refusal();
            }
        }
        Order::Accept => door
            .open()
            .expect("the port is reserved for as long as the proxy lives"),
    }
}

/// The listening socket, while there is one.
struct Door {
    address: SocketAddr,
    open: Option<TcpListener>,
}

impl Door {
    fn open(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            let listener = std::net::TcpListener::bind(self.address)?;
            listener.set_nonblocking(true)?;
            self.open = Some(TcpListener::from_std(listener)?);
        }
        Ok(())
    }

    /// The next client; never, while the door is closed.
    async fn next(&self) -> TcpStream {
        loop {
            let Some(listener) = &self.open else {
                return std::future::pending().await;
            };
            // An error here is a client that has gone again.
            if let Ok((client, _)) = listener.accept().await {
                return client;
            }
        }
    }
}
