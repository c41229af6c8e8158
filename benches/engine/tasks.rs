//! What the two clients with a task for each connection share: when to begin, and the clock over them.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use malaria_bench::clock::Nanos;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

use crate::load::{CONNECTING, Edge, Load, Pace, Sample};

/// Known to every task.
pub struct Tasks {
    pub load: Load,
    pub broker: SocketAddr,
    /// A permit for each connection that is being established.
    pub gate: Semaphore,
    connected: Cell<u32>,
    acked: Cell<u64>,
    start: watch::Sender<Option<Instant>>,
}

impl Tasks {
    pub fn new(load: &Load, broker: SocketAddr) -> Rc<Tasks> {
        Rc::new(Tasks {
            load: *load,
            broker,
            gate: Semaphore::new(CONNECTING),
            connected: Cell::new(0),
            acked: Cell::new(0),
            start: watch::Sender::new(None),
        })
    }

    /// Says that this client is connected, and waits until all are; answers the start of the schedule.
    pub async fn begin(&self) -> Instant {
        self.connected.set(self.connected.get() + 1);
        let mut start = self.start.subscribe();
        let start = start.wait_for(Option::is_some).await.expect("the sender is in `self`");
        start.expect("waited for")
    }

    pub fn count_acked(&self, count: usize) {
        self.acked.set(self.acked.get() + count as u64);
    }

    /// Takes all clients through the load; the tasks are left behind as they are.
    pub async fn measure(&self) -> Sample {
        while self.connected.get() < self.load.clients {
            sleep(Duration::from_millis(5)).await;
        }
        self.start.send_replace(Some(Instant::now()));
        sleep(Duration::from_nanos(self.load.warmup)).await;
        // The first volley of many clients may take longer than that.
        while matches!(self.load.pace, Pace::Closed { inflight } if self.acked.get() < self.volley(inflight))
        {
            sleep(Duration::from_millis(5)).await;
        }
        let opening = Edge::now(self.acked.get(), None);
        sleep(Duration::from_nanos(self.load.measure)).await;
        opening.to(Edge::now(self.acked.get(), None))
    }

    fn volley(&self, inflight: u16) -> u64 {
        u64::from(self.load.clients) * u64::from(inflight)
    }

    /// When message `round` of `client` is due.
    pub fn due(&self, start: Instant, round: u64, client: u32) -> Instant {
        let since: Nanos = self.load.due(round, client);
        start + Duration::from_nanos(since)
    }
}
