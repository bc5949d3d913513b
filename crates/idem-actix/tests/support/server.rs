//! A server of actix-web's with workers of its own, until it is dropped.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
};

use actix_web::{App, HttpServer, dev::ServerHandle, web::ServiceConfig};

/// Cheap to clone; the last clone stops it.
#[derive(Clone)]
pub struct Server(Arc<Running>);

struct Running {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Server {
    /// Starts workers that each set their app up like this.
    pub fn start(
        workers: usize,
        configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let (sender, started) = mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || App::new().configure(configure.clone()))
                    .workers(workers)
                    .disable_signals()
                    .bind_auto_h2c("127.0.0.1:0")
                    .unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                let running = Running {
                    address,
                    handle: server.handle(),
                };
                sender.send(Self(Arc::new(running))).unwrap();
                server.await.unwrap();
            });
        });
        started.recv().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub fn handle(&self) -> ServerHandle {
        self.0.handle.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}
