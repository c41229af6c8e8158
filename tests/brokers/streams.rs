//! The same seed and plan give the same bytes.

use crate::bench::{self, assert_exact};
use crate::sink::{Sink, Streams};

/// What the publishers of one run sent.
fn streams(sink: &Sink, arguments: &str) -> Streams {
    let plan = "--topology publish --clients 8 -n 40 --clientid c";
    let record = bench::run(sink.address(), &format!("{plan} {arguments}"));
    assert_exact(&record, 0);
    let streams = sink.take();
    assert_eq!(streams.len(), 8);
    assert!(streams.values().all(|stream| stream.topics.len() == 40));
    streams
}

#[test]
fn the_same_seed_and_plan_give_the_same_bytes() {
    let sink = Sink::start();
    for qos in 0..=2 {
        for arrival in ["constant", "poisson"] {
            let plan = format!("-q {qos} --arrival {arrival} --rate 2000 -s 200 -t %r/%c/%i/%p --seed");
            let once = streams(&sink, &format!("{plan} 42"));
            let again = streams(&sink, &format!("{plan} 42"));
            assert!(once == again, "QoS {qos}, {arrival}: the bytes differ");
            let other = streams(&sink, &format!("{plan} 43"));
            assert!(once.iter().all(|(client, stream)| stream.bytes != other[client].bytes));
        }
    }
}

#[test]
fn topics_are_what_the_template_says() {
    let sink = Sink::start();
    let run_id = malaria_bench::run::run_id(9);
    let streams = streams(&sink, "--rate 2000 --seed 9 -t 100%%/%r/%c/%i/%p");
    for (index, (client, stream)) in streams.iter().enumerate() {
        assert_eq!(*client, format!("c-{index}"));
        let topic = format!("100%/{run_id:08x}/c-{index}/{index}/{index}");
        assert!(stream.topics.iter().all(|each| *each == topic), "{:?}", stream.topics);
    }
}
