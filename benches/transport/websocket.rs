//! Frames of a client: sealed for a server, and opened as a server has sealed them. The floor is to copy the bytes.

use crate::{BATCH, Row, compare};
use malaria_bench::seed::{Draw, Purpose};
use malaria_bench::transport::websocket::{Upgrade, WebSocket};
use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// 100 bytes of MQTT, and what eight messages in one pass have.
const SIZES: [usize; 2] = [100, 800];

/// Both ends, after the upgrade.
fn pair() -> (WebSocket, WebSocket) {
    let upgrade = Arc::new(Upgrade::new("localhost", "/mqtt", &[]));
    let mut client = WebSocket::client(&upgrade, Draw::of(1, Purpose::named("bench"), 0, 0));
    let (mut server, mut get, mut answer, mut plain) =
        (WebSocket::server(), Vec::new(), Vec::new(), Vec::new());
    client.start(&mut get);
    server.receive(&get, &mut plain, &mut answer).expect("a request");
    client.receive(&answer, &mut plain, &mut Vec::new()).expect("an answer");
    (client, server)
}

pub fn bench() {
    for size in SIZES {
        let payload: Vec<u8> = (0..size).map(|at| at as u8).collect();
        seal(&payload);
        open(&payload);
    }
}

fn seal(payload: &[u8]) {
    let (mut client, _) = pair();
    let [mut copied, mut ours, mut theirs] = [const { Vec::new() }; 3];
    let copy = || {
        copied.clear();
        for _ in 0..BATCH {
            copied.extend_from_slice(black_box(payload));
        }
        black_box(&copied);
    };
    let seal = || {
        ours.clear();
        for _ in 0..BATCH {
            client.seal(black_box(payload), &mut ours);
        }
        black_box(&ours);
    };
    let mut number = 0u32;
    let oracle = || {
        theirs.clear();
        for _ in 0..BATCH {
            let bytes = black_box(payload).to_vec();
            let mut frame = Frame::message(bytes, OpCode::Data(Data::Binary), true);
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            frame.header_mut().mask = Some(number.to_ne_bytes());
            frame.format(&mut theirs).expect("it fits");
        }
        black_box(&theirs);
    };
    let rows: Vec<Row<'_>> =
        vec![("copy", Box::new(copy)), ("ours", Box::new(seal)), ("tungstenite", Box::new(oracle))];
    compare(&format!("websocket, a client seals {} B", payload.len()), rows);
}

fn open(payload: &[u8]) {
    let (mut client, mut server) = pair();
    let mut wire = Vec::new();
    (0..BATCH).for_each(|_| server.seal(payload, &mut wire));
    let [mut copied, mut ours, mut theirs] = [const { Vec::new() }; 3];
    let copy = || {
        copied.clear();
        for frame in black_box(&wire).chunks(wire.len() / BATCH) {
            copied.extend_from_slice(&frame[frame.len() - payload.len()..]);
        }
        black_box(&copied);
    };
    let mut answers = Vec::new();
    let open = || {
        ours.clear();
        client.receive(black_box(&wire), &mut ours, &mut answers).expect("frames");
        black_box(&ours);
    };
    let oracle = || {
        theirs.clear();
        let mut cursor = Cursor::new(&black_box(&wire)[..]);
        while let Some((_, length)) = FrameHeader::parse(&mut cursor).expect("a frame") {
            let at = cursor.position() as usize;
            theirs.extend_from_slice(&wire[at..at + length as usize]);
            cursor.set_position((at + length as usize) as u64);
        }
        black_box(&theirs);
    };
    let rows: Vec<Row<'_>> =
        vec![("copy", Box::new(copy)), ("ours", Box::new(open)), ("tungstenite", Box::new(oracle))];
    compare(&format!("websocket, a client opens {} B", payload.len()), rows);
}
