//! A tokio client of `rumqttc`: one event loop for each connection, on one thread.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

use crate::load::{KEEP_ALIVE_S, Load, PAYLOAD, Pace, Sample, topic};
use crate::tasks::Tasks;

/// Messages of one client in flight at most, in the open loop: the library's default.
const WINDOW: u16 = 100;

pub fn run(load: &Load, broker: SocketAddr) -> Sample {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = LocalSet::new();
    let sample = local.block_on(&runtime, async {
        let tasks = Tasks::new(load, broker);
        for client in 0..load.clients {
            spawn_local(drive(Rc::clone(&tasks), client));
        }
        tasks.measure().await
    });
    // Dropping thousands of tasks one by one is nobody's business.
    std::mem::forget((local, runtime));
    sample
}

async fn drive(tasks: Rc<Tasks>, number: u32) {
    let (host, port) = (tasks.broker.ip().to_string(), tasks.broker.port());
    let mut options = MqttOptions::new(format!("bench-{number}"), host, port);
    let window = match tasks.load.pace {
        Pace::Closed { inflight } => inflight,
        Pace::Open { .. } => WINDOW,
    };
    options.set_keep_alive(Duration::from_secs(KEEP_ALIVE_S.into())).set_inflight(window);
    let (client, mut events) = AsyncClient::new(options, window.into());
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);

    let permit = tasks.gate.acquire().await.expect("the gate is never closed");
    let first = events.poll().await.expect("the reflector listens");
    assert!(matches!(first, Event::Incoming(Packet::ConnAck(_))), "{first:?}");
    drop(permit);
    let start = tasks.begin().await;
    match tasks.load.pace {
        Pace::Closed { inflight } => close_loop(&tasks, &client, events, number, inflight).await,
        Pace::Open { .. } => {
            spawn_local(keep_schedule(Rc::clone(&tasks), client, number, start));
            loop {
                acked(&mut events).await;
                tasks.count_acked(1);
            }
        }
    }
}

async fn close_loop(tasks: &Tasks, client: &AsyncClient, mut events: EventLoop, number: u32, inflight: u16) {
    let topic = topic(number);
    for _ in 0..inflight {
        publish(client, &topic).await;
    }
    loop {
        acked(&mut events).await;
        tasks.count_acked(1);
        // There is room in the channel: the event loop took as many out of it as were acknowledged.
        publish(client, &topic).await;
    }
}

async fn keep_schedule(tasks: Rc<Tasks>, client: AsyncClient, number: u32, start: Instant) {
    let topic = topic(number);
    for round in 0.. {
        sleep_until(tasks.due(start, round, number)).await;
        publish(&client, &topic).await;
    }
}

async fn publish(client: &AsyncClient, topic: &str) {
    client.publish(topic, QoS::AtLeastOnce, false, [7; PAYLOAD]).await.expect("the event loop runs");
}

/// Runs the event loop up to the next PUBACK.
async fn acked(events: &mut EventLoop) {
    while !matches!(events.poll().await.expect("connected"), Event::Incoming(Packet::PubAck(_))) {}
}
