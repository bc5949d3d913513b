//! The proxy as a test holds it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;

use super::{
    Armed, FaultCounts, Rule,
    armed::Plan,
    listener::{Given, Listener, Order},
};
use crate::{TestbedError, ports::Port};

/// A TCP proxy in front of one server, transparent until it is told otherwise. It lives in this
/// process on a thread of its own, so that it works however busy or blocked the test's runtime is,
/// and on real time even where that runtime's clock stands still.
///
/// Clones are handles of the same proxy; with the last of them its connections are cut.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use idem_testbed::{Fault, FaultyProxy, Redis, redis::RespClient, skip_or_fail};
///
/// let Some(redis) = skip_or_fail(Redis::start().await) else {
///     return Ok(());
/// };
/// let proxy = FaultyProxy::start(redis.address())?;
/// proxy.arm(Fault::LoseReply.once().command("INCR"));
///
/// let mut client = RespClient::connect(proxy.address())?;
/// assert!(client.call(&["INCR", "visits"]).is_err(), "the reply is lost");
/// assert_eq!(redis.command(&["GET", "visits"])?.text().as_deref(), Some("1"), "yet it happened");
/// assert_eq!(proxy.counts().lost_replies, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FaultyProxy {
    running: Arc<Running>,
}

impl FaultyProxy {
    /// Starts a proxy to the server at `target`, which need not be up yet.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Io`] if there is no free port or no thread to be had.
    pub fn start(target: SocketAddr) -> Result<Self, TestbedError> {
        let port = Port::lease()?;
        let address = (Ipv4Addr::LOCALHOST, port.number()).into();
        let target = Arc::new(Mutex::new(target));
        let plan = Arc::new(Plan::default());
        let (orders, received) = mpsc::unbounded_channel();
        let listener = Listener {
            address,
            target: Arc::clone(&target),
            plan: Arc::clone(&plan),
        };
        let (ready, listening) = std::sync::mpsc::channel();
        let thread = thread::Builder::new()
            .name("faulty-proxy".to_owned())
            .spawn(move || listener.run(received, &ready))
            .map_err(TestbedError::io("start the proxy's thread"))?;
        listening
            .recv()
            .expect("the thread says how it went before it ends")?;
        Ok(Self {
            running: Arc::new(Running {
                address,
                target,
                plan,
                orders: Some(orders),
                thread: Some(thread),
                _port: port,
            }),
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.running.address.port()
    }

    /// A server's URL with this proxy in the place of the server.
    ///
    /// ```
    /// # fn main() -> Result<(), idem_testbed::TestbedError> {
    /// let server = "127.0.0.1:5432".parse().expect("this is an address");
    /// let proxy = idem_testbed::FaultyProxy::start(server)?;
    /// let url = proxy.url("postgres://postgres@127.0.0.1:5432/postgres");
    /// assert_eq!(url, format!("postgres://postgres@{}/postgres", proxy.address()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn url(&self, server_url: &str) -> String {
        server_url.replacen(&self.target().to_string(), &self.address().to_string(), 1)
    }

    /// Where connections go.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        *self.lock_target()
    }

    /// Sends the connections that come from now on elsewhere.
    pub fn set_target(&self, target: SocketAddr) {
        *self.lock_target() = target;
    }

    /// Puts a rule in force, behind those that are. Of several that fit a request, the first one
    /// that is not used up has it.
    pub fn arm(&self, rule: Rule) -> Armed {
        self.running.plan.arm(rule)
    }

    /// Takes every rule out of force, and lets go on whatever they hold.
    pub fn clear(&self) {
        self.running.plan.clear();
    }

    /// Cuts every connection, with whatever is held on it, and returns when they are cut. New ones
    /// are taken.
    pub fn cut_connections(&self) {
        self.running.give(Order::Cut);
    }

    /// Stops listening: whoever connects from now on gets `connection refused`. Connections that
    /// are open stay so.
    pub fn refuse(&self) {
        self.running.give(Order::Refuse);
    }

    /// Listens again after [`refuse`](Self::refuse).
    pub fn accept(&self) {
        self.running.give(Order::Accept);
    }

    /// What the proxy has done so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.running.plan.counters.read()
    }

    fn lock_target(&self) -> std::sync::MutexGuard<'_, SocketAddr> {
        let target = self.running.target.lock();
        target.unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    plan: Arc<Plan>,
    /// Gone only while this is being dropped, and with it the thread ends.
    orders: Option<mpsc::UnboundedSender<Given>>,
    thread: Option<JoinHandle<()>>,
    /// Stays reserved while the proxy refuses.
    _port: Port,
}

impl Running {
    /// Has the proxy's thread carry out `order`, and returns when it has.
    fn give(&self, order: Order) {
        let (done, wait) = std::sync::mpsc::channel();
        let orders = self.orders.as_ref().expect("taken by drop alone");
        let given = orders.send((order, done)).is_ok() && wait.recv().is_ok();
        assert!(given, "the proxy's thread has panicked");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
