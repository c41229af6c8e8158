//! A plain tokio-uring client: one task for each connection, which writes and reads in turn.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use malaria_bench::wire::{Ack, MAX_PACKET, Packet, PacketId, Properties, Publish, QoS, decode};
use tokio::time::{Instant, sleep_until};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::TcpStream;

use crate::load::{Load, PAYLOAD, Pace, Sample, topic};
use crate::session;
use crate::tasks::Tasks;

/// Bytes read at once: some hundred PUBACKs.
const INPUT: usize = 1024;

pub fn run(load: &Load, broker: SocketAddr) -> Sample {
    let mut ring = tokio_uring::uring_builder();
    // Room for the completions of every connection, so that none overflows.
    ring.setup_clamp().setup_cqsize((4 * load.clients).next_power_of_two().max(4096));
    tokio_uring::builder().entries(1024).uring_builder(&ring).start(async {
        let tasks = Tasks::new(load, broker);
        for client in 0..load.clients {
            tokio_uring::spawn(drive(Rc::clone(&tasks), client));
        }
        tasks.measure().await
    })
}

async fn drive(tasks: Rc<Tasks>, number: u32) {
    let permit = tasks.gate.acquire().await.expect("the gate is never closed");
    let mut client = Client::connect(&tasks, number).await;
    drop(permit);
    let start = tasks.begin().await;
    match tasks.load.pace {
        Pace::Closed { inflight } => client.close_loop(&tasks, inflight.into()).await,
        Pace::Open { .. } => client.keep_schedule(&tasks, start).await,
    }
}

struct Client {
    number: u32,
    stream: TcpStream,
    topic: String,
    /// Lent to the kernel for each write and read, and got back.
    output: Vec<u8>,
    input: Vec<u8>,
    id: PacketId,
    /// Ids without PUBACK, oldest first.
    inflight: VecDeque<PacketId>,
}

impl Client {
    async fn connect(tasks: &Tasks, number: u32) -> Client {
        let stream = TcpStream::connect(tasks.broker).await.expect("the reflector listens");
        stream.set_nodelay(true).expect("TCP");
        let mut client = Client {
            number,
            stream,
            topic: topic(number),
            output: Vec::new(),
            input: Vec::with_capacity(INPUT),
            id: PacketId::MIN,
            inflight: VecDeque::new(),
        };
        session::connect(number, &mut client.output);
        client.write().await;
        while client.input.len() < session::CONNACK.len() {
            client.read().await;
        }
        assert_eq!(client.input, session::CONNACK);
        client.input.clear();
        client
    }

    async fn close_loop(&mut self, tasks: &Tasks, inflight: usize) {
        loop {
            while self.inflight.len() < inflight {
                self.publish();
            }
            self.write().await;
            tasks.count_acked(self.acks().await);
        }
    }

    /// Waits for the acknowledgement before the next message: there is time enough, and a second task
    /// for reading would cost more.
    async fn keep_schedule(&mut self, tasks: &Tasks, start: Instant) {
        for round in 0.. {
            sleep_until(tasks.due(start, round, self.number)).await;
            self.publish();
            self.write().await;
            while !self.inflight.is_empty() {
                tasks.count_acked(self.acks().await);
            }
        }
    }

    fn publish(&mut self) {
        let packet = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: &self.topic,
            packet_id: Some(self.id),
            properties: Properties::NONE,
            payload: &[7; PAYLOAD],
        });
        packet.encode(&mut self.output).expect("a valid packet");
        self.inflight.push_back(self.id);
        self.id = self.id.checked_add(1).unwrap_or(PacketId::MIN);
    }

    async fn write(&mut self) {
        let (result, output) = self.stream.write_all(std::mem::take(&mut self.output)).await;
        result.expect("write");
        self.output = output;
        self.output.clear();
    }

    /// Reads behind what is there.
    async fn read(&mut self) {
        let input = std::mem::take(&mut self.input);
        let there = input.len();
        let (result, input) = self.stream.read(input.slice(there..)).await;
        assert!(result.expect("read") > 0, "the reflector is gone");
        self.input = input.into_inner();
    }

    /// Reads once; answers how many messages that acknowledged.
    async fn acks(&mut self) -> usize {
        self.read().await;
        let (mut used, mut acks) = (0, 0);
        while let Some((packet, len)) = decode(&self.input[used..], MAX_PACKET).expect("a packet") {
            let Packet::PubAck(Ack { packet_id: id, .. }) = packet else {
                panic!("not a PUBACK: {packet:?}")
            };
            // [MQTT-4.6.0-2]: in order.
            assert_eq!(self.inflight.pop_front(), Some(id));
            (used, acks) = (used + len, acks + 1);
        }
        self.input.drain(..used);
        acks
    }
}
